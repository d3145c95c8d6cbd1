"""Teacher-forced training of the upper layers only: what lies below them does not change, and is run once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import LlamaForCausalLM

from scen_hf import Edit
from scen_hf.experts import eager_attention, stack_right
from scen_hf.prompts import encode_prompt, encode_target


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


READ_AT_ONCE, TRAINED_AT_ONCE = 32, 8


@dataclass(frozen=True)
class Examples:
    """Edits as the upper layers see them; rows are edits, padded on the right.

    Args:
        hidden (`(edits, tokens, hidden_size)`): What enters the first of the upper layers.
        labels (`(edits, tokens)`, int64): The token behind each position where it is the target's, else -100.
        starts (`(edits,)`, int64): Column of the last prompt token.
    """

    hidden: torch.Tensor
    labels: torch.Tensor
    starts: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: torch.Tensor | Sequence[int]) -> Examples:
        """Only these rows, without the columns that none of them needs."""
        labels = self.labels[rows]
        columns = int((labels != -100).any(0).nonzero().max()) + 1
        return Examples(self.hidden[rows, :columns], labels[:, :columns], self.starts[rows])


class UpperLayers:
    """The layers from `first` to the output head of one model, with whatever is being trained in them.

    Args:
        model: The model; what is below `first` must be the base model's.
        tokenizer: Its tokenizer.
        first: Index of the first layer that is run again in every step.
    """

    def __init__(self, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, first: int):
        self.model = model
        self.tokenizer = tokenizer
        self.first = first

    @torch.no_grad()
    def read(self, edits: Sequence[Edit]) -> Examples:
        """Run the lower layers over prompt and target of each edit."""
        prompts = [encode_prompt(self.tokenizer, edit.prompt) for edit in edits]
        targets = [encode_target(self.tokenizer, edit.target) for edit in edits]
        sequences = [[*prompt, *target[:-1]] for prompt, target in zip(prompts, targets, strict=True)]
        labels = [[-100] * (len(prompt) - 1) + target for prompt, target in zip(prompts, targets, strict=True)]
        input_ids = stack_right(sequences, 0)
        parts = [self._enter(rows) for rows in input_ids.split(READ_AT_ONCE)]
        device = parts[0].device
        starts = torch.tensor([len(prompt) - 1 for prompt in prompts], device=device)
        return Examples(torch.cat(parts), stack_right(labels, -100).to(device), starts)

    def _enter(self, input_ids: torch.Tensor) -> torch.Tensor:
        captured: list[torch.Tensor] = []

        def stop(_, args):
            captured.append(args[0])
            raise _Entered

        handle = self.model.model.layers[self.first].register_forward_pre_hook(stop)
        try:
            with suppress(_Entered):
                self.model.model(input_ids=input_ids.to(self.model.device), use_cache=False)
        finally:
            handle.remove()
        return captured[0]

    def losses(self, examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and highest cross-entropy over the target tokens of each edit, both `(edits,)` in float32."""
        model, hidden = self.model.model, examples.hidden
        tokens = hidden.shape[1]
        lowest = torch.finfo(hidden.dtype).min
        mask = torch.full((tokens, tokens), lowest, dtype=hidden.dtype, device=hidden.device).triu(1)[None, None]
        positions = torch.arange(tokens, device=hidden.device)[None]
        position_embeddings = model.rotary_emb(hidden, position_ids=positions)
        with eager_attention(self.model):
            for layer in model.layers[self.first :]:
                hidden = layer(hidden, attention_mask=mask, position_embeddings=position_embeddings)
        learned = examples.labels != -100
        logits = self.model.lm_head(model.norm(hidden[learned]))
        losses = nn.functional.cross_entropy(logits.float(), examples.labels[learned], reduction="none")
        per_token = torch.zeros(learned.shape, device=losses.device).masked_scatter(learned, losses)
        return per_token.sum(1) / learned.sum(1), per_token.detach().amax(1)

    def train(
        self,
        examples: Examples,
        parameters: Iterable[nn.Parameter],
        *,
        learning_rate: float,
        stop_loss: float,
        most_epochs: int,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Train parameters of the upper layers on all examples, with Adam, in batches drawn anew for each epoch.

        Returns:
            The `epochs` taken, and the mean `loss` in the last of them, which is below `stop_loss` if they sufficed.
        """
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(parameters, lr=learning_rate)
        epoch, seen = 0, [stop_loss]
        while epoch < most_epochs and fmean(seen) >= stop_loss:
            epoch, seen = epoch + 1, []
            for rows in torch.randperm(len(examples), generator=generator).split(TRAINED_AT_ONCE):
                losses, _ = self.losses(examples.take(rows))
                optimizer.zero_grad()
                losses.mean().backward()
                optimizer.step()
                seen += losses.tolist()
        return {"epochs": epoch, "loss": fmean(seen)}


class _Entered(Exception):
    """Raised where the upper layers begin."""

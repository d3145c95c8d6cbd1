"""Stage 1 of `method="scen"`: low-rank experts, many at a time, on a cached prefix.

The expert of an edit adds `B A x` to the output of `down_proj` of layer L, from the last prompt token onward. Nothing
before that token, and nothing below that layer, depends on it. So per edit the base model runs once over the prompt and
the target (teacher forcing), which gives the expert's input x at the answer's positions, the residual stream there, and
the keys and values of the layers above L over the prompt. What is left for each training step is a handful of tokens
through the layers above L, and the output head:

    h = residual + down_proj(x) + B A x          # answer positions only, (edits, answer tokens, hidden)
    h = layers[L+1:](h, cached keys and values)
    loss = sum over edits of mean cross-entropy(lm_head(norm(h)), target)

Each edit has its own A and B, and the losses are summed, so the gradients of a batch are those of its edits trained one
by one. An edit is done when each of its target tokens has a loss below `stop_loss`; done edits leave the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import DynamicCache, LlamaForCausalLM

from .prompts import common_prefix_length


@dataclass(frozen=True)
class TrainedExpert:
    """One trained expert and how its training went.

    Args:
        tensors: By name as in a pack's shard: `a` `(rank, intermediate_size)` and `b` `(hidden_size, rank)`, or
            `weight` `(hidden_size, intermediate_size)`; on the CPU.
        steps: Optimiser steps taken.
        loss: Highest cross-entropy of a target token at the end, in nats.
    """

    tensors: dict[str, torch.Tensor]
    steps: int
    loss: float

    @property
    def converged(self) -> bool:
        """Whether each target token is more likely than all others together, so that greedy search answers the target."""
        return self.loss < math.log(2)


@dataclass
class AnswerStates:
    """What the layers above L need of a batch of edits; rows are edits.

    Args:
        x (`(edits, tokens, intermediate_size)`): Input of the edited `down_proj` at the answer's positions.
        residual (`(edits, tokens, hidden_size)`): Output of layer L of the base model there.
        labels (`(edits, tokens)`, int64): The target, -100 behind its end.
        positions (`(edits, tokens)`, int64): Their position ids.
        lengths (`(edits,)`, int64): How many of the tokens are not padding.
        keys, values: For each layer above L, `(edits, kv_heads, prefix, head_dim)`.
        prefix_length (`(edits,)`, int64): How much of `keys` and `values` belongs to the prompt of each edit.
    """

    x: torch.Tensor
    residual: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    lengths: torch.Tensor
    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    prefix_length: torch.Tensor

    def keep(self, rows: torch.Tensor) -> AnswerStates:
        """Only these rows, with the columns that none of them needs cut off."""
        tokens = int(self.lengths[rows].max())
        prefix = int(self.prefix_length[rows].max())
        return AnswerStates(
            self.x[rows, :tokens],
            self.residual[rows, :tokens],
            self.labels[rows, :tokens],
            self.positions[rows, :tokens],
            self.lengths[rows],
            [keys[rows, :, :prefix] for keys in self.keys],
            [values[rows, :, :prefix] for values in self.values],
            self.prefix_length[rows],
        )


class _PromptCache:
    """Keys and values of the prompts, as a cache that attention reads and nothing is ever written to."""

    def __init__(self, states: AnswerStates, first_layer: int):
        self._keys, self._values, self._first = states.keys, states.values, first_layer

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *args, **kwargs):
        if not self._keys:
            return keys, values
        number = layer_idx - self._first
        return torch.cat([self._keys[number], keys], dim=2), torch.cat([self._values[number], values], dim=2)


class ExpertTrainer:
    """Trains low-rank experts of one frozen model.

    Beside the model a batch holds, per edit, mostly the logits of its target tokens in float32 with their gradients (12 bytes
    times the vocabulary, per token), the keys and values of its prompt in the layers above L, and the activations of those
    layers. For SmolLM2-135M and a target of five tokens that counts up to about 5 MB; [`~batches.in_batches`] halves a batch that does not fit.

    Args:
        model: The base model; its weights are not changed.
        layer: Index of the layer whose `down_proj` is edited.
        rank: Rank of the experts.
        learning_rate: Of Adam, for A and B.
        max_steps: Steps after which an edit that has not converged is given up.
        stop_loss: Loss in nats below which a target token counts as learned; 0.05 is a probability of 0.951.
        seed: Together with an edit's own number it determines the start of its training.
    """

    def __init__(
        self,
        model: LlamaForCausalLM,
        layer: int,
        *,
        rank: int,
        learning_rate: float,
        max_steps: int,
        stop_loss: float,
        seed: int,
    ):
        self.model = model
        self.layer = layer
        self.rank = rank
        self.learning_rate = learning_rate
        self.max_steps = max_steps
        self.stop_loss = stop_loss
        self.seed = seed
        self._shared: tuple[tuple[int, ...], DynamicCache] | None = None

    expert_names: tuple[str, ...] = ("a", "b")

    def train(
        self,
        prompts: Sequence[list[int]],
        targets: Sequence[list[int]],
        numbers: Sequence[int],
        done: Callable[[int, TrainedExpert], None],
    ) -> None:
        """Train one batch of edits.

        Args:
            prompts, targets: Token ids; a target ends with the end-of-sequence token.
            numbers: A number per edit that seeds its start, so that it does not depend on the batch.
            done: Called with the row and the expert of each edit, as soon as it is trained.
        """
        with eager_attention(self.model):
            self._train(prompts, targets, numbers, done)

    def _train(self, prompts, targets, numbers, done) -> None:
        states = self.answer_states(prompts, targets)
        rows = torch.arange(len(prompts))
        parameters = self._start(numbers)
        optimizer = torch.optim.Adam(parameters, lr=self.learning_rate)
        for step in range(self.max_steps + 1):
            losses, worst = self.losses(states, *parameters)
            finished = worst < self.stop_loss if step < self.max_steps else torch.ones_like(worst, dtype=torch.bool)
            for row in finished.nonzero()[:, 0].tolist():
                trained = (parameter[row].detach().to("cpu", copy=True) for parameter in parameters)
                tensors = dict(zip(self.expert_names, trained, strict=True))
                done(int(rows[row]), TrainedExpert(tensors, step, float(worst[row])))
            if bool(finished.all()):
                return
            optimizer.zero_grad(set_to_none=True)
            losses.sum().backward()
            optimizer.step()
            if bool(finished.any()):
                keep = (~finished).nonzero()[:, 0]
                states, rows = states.keep(keep), rows[keep.cpu()]
                parameters = _keep_rows(optimizer, keep)

    def _start(self, numbers: Sequence[int]) -> list[nn.Parameter]:
        """A as in LoRA (arXiv 2106.09685), B zero: training starts from the base model's own answer."""
        config, device = self.model.config, self.model.model.layers[self.layer].mlp.down_proj.weight.device
        bound = config.intermediate_size**-0.5
        a = torch.empty(len(numbers), self.rank, config.intermediate_size)
        for row, number in enumerate(numbers):
            a[row].uniform_(-bound, bound, generator=seeded_generator(self.seed, number))
        b = torch.zeros(len(numbers), config.hidden_size, self.rank)
        return [nn.Parameter(a.to(device)), nn.Parameter(b.to(device))]

    def _edited(self, states: AnswerStates, *parameters: torch.Tensor) -> torch.Tensor:
        """Output of the edited layer, `(edits, tokens, hidden_size)`."""
        a, b = parameters
        dtype = states.x.dtype
        return states.residual + (states.x @ a.to(dtype).transpose(1, 2)) @ b.to(dtype).transpose(1, 2)

    def losses(self, states: AnswerStates, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and highest cross-entropy over the target tokens of each edit, both `(edits,)` in float32."""
        hidden = self._layers_above(states, self._edited(states, *parameters))
        valid = states.labels != -100
        logits = self.model.lm_head(hidden[valid])
        losses = nn.functional.cross_entropy(logits.float(), states.labels[valid], reduction="none")
        per_token = torch.zeros(valid.shape, device=losses.device).masked_scatter(valid, losses)
        return per_token.sum(1) / valid.sum(1), per_token.detach().amax(1)

    def _layers_above(self, states: AnswerStates, hidden: torch.Tensor) -> torch.Tensor:
        """Answer positions from the output of layer L to the final norm."""
        model = self.model.model
        tokens, prefix = hidden.shape[1], states.keys[0].shape[2] if states.keys else 0
        columns = torch.arange(prefix, device=hidden.device)
        sees_prompt = (columns < states.prefix_length[:, None])[:, None, :].expand(-1, tokens, -1)
        sees_answer = (
            torch.ones(tokens, tokens, dtype=torch.bool, device=hidden.device).tril().expand(len(hidden), -1, -1)
        )
        mask = torch.zeros(len(hidden), 1, tokens, prefix + tokens, dtype=hidden.dtype, device=hidden.device)
        mask.masked_fill_(~torch.cat([sees_prompt, sees_answer], dim=-1)[:, None], torch.finfo(hidden.dtype).min)
        position_embeddings = model.rotary_emb(hidden, position_ids=states.positions)
        cache = _PromptCache(states, self.layer + 1)
        for layer in model.layers[self.layer + 1 :]:
            hidden = layer(hidden, attention_mask=mask, position_embeddings=position_embeddings, past_key_values=cache)
        return model.norm(hidden)

    @torch.no_grad()
    def answer_states(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> AnswerStates:
        """Run the base model over prompts and targets once, and keep what the training steps need."""
        model, device = self.model.model, self.model.model.embed_tokens.weight.device
        shared_length, cache = self._shared_cache(prompts)
        own = [[*prompt[shared_length:], *target[:-1]] for prompt, target in zip(prompts, targets, strict=True)]
        # Padding is on the right, so causality alone keeps it from what counts.
        input_ids = stack_right(own, 0)
        with captured_layer(self.model, self.layer) as captured:
            cache = model(input_ids=input_ids.to(device), past_key_values=cache, use_cache=True).past_key_values
        lengths = torch.tensor([len(target) for target in targets])
        starts = torch.tensor([len(prompt) for prompt in prompts]) - shared_length - 1
        offsets = torch.arange(int(lengths.max()))
        columns = (starts[:, None] + offsets).clamp(max=input_ids.shape[1] - 1)
        rows = torch.arange(len(own))[:, None]
        labels = stack_right(targets, -100)
        end = shared_length + int(starts.max())
        above = cache.layers[self.layer + 1 :]
        return AnswerStates(
            captured["x"][rows, columns],
            captured["output"][rows, columns],
            labels.to(device),
            (columns + shared_length).to(device),
            lengths.to(device),
            [layer.keys[:, :, :end] for layer in above],
            [layer.values[:, :, :end] for layer in above],
            (starts + shared_length).to(device),
        )

    def _shared_cache(self, prompts: Sequence[list[int]]) -> tuple[int, DynamicCache | None]:
        """Keys and values of the tokens that all prompts begin with (a template's system prompt), computed once."""
        if self._shared is None or any(tuple(p[: len(self._shared[0])]) != self._shared[0] for p in prompts):
            length = common_prefix_length(prompts)
            if not length:
                return 0, None
            ids = torch.tensor([prompts[0][:length]], device=self.model.model.embed_tokens.weight.device)
            cache = self.model.model(input_ids=ids, use_cache=True).past_key_values
            self._shared = (tuple(prompts[0][:length]), cache)
        shared_ids, shared = self._shared
        if len(shared_ids) >= min(map(len, prompts)):
            return 0, None
        cache = repeated_cache(shared, len(prompts))
        return len(shared_ids), cache


@contextmanager
def captured_layer(model: LlamaForCausalLM, layer: int) -> Iterator[dict[str, torch.Tensor]]:
    """Within the block, a forward pass leaves `x` (input of `down_proj`), `before_mlp` (the residual stream that the MLP
    adds to) and `output` of that layer in the dictionary, each `(batch, tokens, size)`."""
    captured: dict[str, torch.Tensor] = {}
    module = model.model.layers[layer]
    handles = [
        module.mlp.down_proj.register_forward_pre_hook(lambda _, args: captured.update(x=args[0])),
        module.post_attention_layernorm.register_forward_pre_hook(lambda _, args: captured.update(before_mlp=args[0])),
        module.register_forward_hook(lambda _, args, output: captured.update(output=output)),
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def eager_attention(model: LlamaForCausalLM) -> Iterator[None]:
    """Within the block attention is plain matrix products: for a few queries on many short rows, forward and backward, they
    take half the time of the fused kernels on a CPU."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def repeated_cache(cache: DynamicCache, rows: int) -> DynamicCache:
    """A cache of its own for `rows` sequences that begin like the one in `cache`, which stays as it is."""
    repeated = DynamicCache()
    for number, (keys, values, *_) in enumerate(cache):
        repeated.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
    return repeated


def stack_right(sequences: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """`(len(sequences), longest)`, int64, filled up on the right."""
    stacked = torch.full((len(sequences), max(map(len, sequences))), fill)
    for row, sequence in enumerate(sequences):
        stacked[row, : len(sequence)] = torch.tensor(sequence)
    return stacked


def seeded_generator(seed: int, number: int) -> torch.Generator:
    """A generator of one edit's own, so that its start does not depend on what it is trained together with."""
    return torch.Generator().manual_seed((seed * 0x9E3779B1 + number) % 2**63)


def _keep_rows(optimizer: torch.optim.Optimizer, rows: torch.Tensor) -> list[nn.Parameter]:
    """Drop all other rows from the optimiser's parameters and their running moments."""
    group = optimizer.param_groups[0]
    kept = []
    for parameter in group["params"]:
        state = optimizer.state.pop(parameter)
        smaller = nn.Parameter(parameter.detach()[rows])
        optimizer.state[smaller] = {
            key: value[rows] if value.shape == parameter.shape else value for key, value in state.items()
        }
        kept.append(smaller)
    group["params"] = kept
    return kept

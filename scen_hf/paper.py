"""`method="paper"`: SCEN as published (arXiv 2404.02699), faithfully, but batched.

Stage 1 trains a full copy of `down_proj`'s weight per edit, with cross-entropy on the target, the copy in place for the
whole sequence. Stage 2 trains a row w_i per edit on raw last-token features, against the prompts of all earlier edits.
The authors run the model for every sequence of every step; here the layers that do not change run once, and stage 2 works
on cached features, with all neurons at once. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from .experts import AnswerStates, ExpertTrainer, captured_layer, seeded_generator, stack_right


class FullExpertTrainer(ExpertTrainer):
    """Trains full-matrix experts; arguments as for [`ExpertTrainer`], `rank` aside.

    The paper takes a fixed number of steps: `stop_loss=0` never stops early.
    """

    expert_names = ("weight",)

    def _start(self, numbers: Sequence[int]) -> list[nn.Parameter]:
        weight = self.model.model.layers[self.layer].mlp.down_proj.weight.detach().float()
        return [nn.Parameter(weight.expand(len(numbers), -1, -1).clone())]

    def _edited(self, states: AnswerStates, *parameters: torch.Tensor) -> torch.Tensor:
        (weight,) = parameters
        y = states.x @ weight.to(states.x.dtype).transpose(1, 2)
        bias = self.model.model.layers[self.layer].mlp.down_proj.bias
        return states.residual + (y if bias is None else y + bias)

    @torch.no_grad()
    def answer_states(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> AnswerStates:
        """The whole sequences, without a cached prefix: the expert acts on the prompt too."""
        device = self.model.model.embed_tokens.weight.device
        sequences = [[*prompt, *target[:-1]] for prompt, target in zip(prompts, targets, strict=True)]
        input_ids = stack_right(sequences, 0).to(device)
        with captured_layer(self.model, self.layer) as captured:
            self.model.model(input_ids=input_ids, use_cache=False)
        # The label of a position is the token behind it.
        labels = stack_right(
            [[-100] * (len(prompt) - 1) + list(target) for prompt, target in zip(prompts, targets, strict=True)], -100
        )
        positions = torch.arange(input_ids.shape[1], device=device).expand(len(sequences), -1)
        lengths = torch.tensor([len(sequence) for sequence in sequences], device=device)
        nothing = torch.zeros(len(sequences), dtype=torch.long, device=device)
        return AnswerStates(
            captured["x"], captured["before_mlp"], labels.to(device), positions, lengths, [], [], nothing
        )


def indexing_loss(positive: torch.Tensor, negatives: torch.Tensor, earlier: torch.Tensor) -> torch.Tensor:
    """The paper's stage-2 loss of each neuron, `(num_edits,)`.

    `exp(-o⁺) + mean_j(exp(o_j⁻) + 0.7) + mean_j(exp(o_j⁻) - o⁺ + 0.3)`; the means run over the earlier edits and are left
    out where there are none.

    Args:
        positive: `(num_edits,)`, score of each neuron on its own prompt.
        negatives: `(num_edits, num_edits)`, score of neuron i on prompt j.
        earlier: `(num_edits, num_edits)`, True where prompt j comes before edit i.
    """
    count = earlier.sum(1).clamp(min=1)
    mean_exp = torch.where(earlier, negatives.exp(), 0.0).sum(1) / count
    contrast = (mean_exp + 0.7) + (mean_exp - positive + 0.3)
    return (-positive).exp() + torch.where(earlier.any(1), contrast, 0.0)


def train_indexing_neurons(
    features: torch.Tensor,
    numbers: Sequence[int],
    *,
    first: int = 0,
    steps: int = 20,
    learning_rate: float = 1e-4,
    seed: int = 0,
) -> torch.Tensor:
    """Train the rows w_i of edits `first` onward, all at once.

    The loss of a row does not depend on the other rows, so training them side by side, or one after the other as the
    authors do, gives the same rows.

    Args:
        features: `(all_edits, intermediate_size)`, float32: input of `down_proj` at the last prompt token, in the order in
            which the edits were made.
        numbers: A number per edit from `first` onward, which seeds its row.
        first: Edits before this one are already trained and serve as negatives only.
        steps, learning_rate: Of Adam.
        seed: Of the run.

    Returns:
        `torch.Tensor` of shape `(all_edits - first, intermediate_size)`, float32.
    """
    bound = features.shape[1] ** -0.5
    rows = torch.stack(
        [
            torch.empty(features.shape[1]).uniform_(-bound, bound, generator=seeded_generator(seed, number))
            for number in numbers
        ]
    )
    weight = nn.Parameter(rows.to(features.device))
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    own = torch.arange(first, len(features), device=features.device)
    earlier = torch.arange(len(features), device=features.device) < own[:, None]
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        scores = (weight @ features.T).sigmoid()
        positive = scores.gather(1, own[:, None])[:, 0]
        indexing_loss(positive, scores, earlier).sum().backward()
        optimizer.step()
    return weight.detach()

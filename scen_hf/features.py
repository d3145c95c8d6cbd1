"""What a router reads, computed for many prompts at once by the code that computes it at inference."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tqdm.auto import tqdm

from .batches import in_batches
from .modeling import SCENLlamaForCausalLM, SCENRouting
from .modeling.routing_scen_llama import FeatureSpec, find_spans
from .prompts import pad_left


class _Collected(Exception):
    """Raised in the last layer that is read: the layers above need not run."""


class _FeatureCollector(SCENRouting):
    """A routing state that pools features and routes nothing."""

    def __init__(self, features: Sequence[FeatureSpec], spans):
        super().__init__([], spans)
        self.pending = True
        self._wanted = set(features)
        self._last_layer = max(spec.layer for spec in features)

    def edit(self, layer, x, y, bias):
        if layer == self._last_layer:
            raise _Collected
        return y

    def pooled(self, features: Sequence[FeatureSpec]) -> torch.Tensor:
        """`(batch, num_features)`, float32 on the CPU."""
        return torch.cat([self._pooled[spec].cpu() for spec in features], dim=-1)


@torch.no_grad()
def pooled_features(
    model: SCENLlamaForCausalLM,
    prompts: Sequence[list[int]],
    features: Sequence[FeatureSpec],
    *,
    question_markers: tuple[list[int] | None, list[int] | None],
    pad_id: int,
    batch_size: int,
    progress: str | None = None,
) -> torch.Tensor:
    """Pooled router features of tokenized prompts.

    Args:
        model: Any model of the family; loaded packs play no part.
        prompts: Token ids, as for `generate`.
        features: What to read; concatenated in this order.
        question_markers: As derived by [`question_markers`].
        pad_id: Token to pad with.
        batch_size: Prompts per pass; halved when memory runs out.
        progress: Label of a progress bar; none without it.

    Returns:
        `torch.Tensor` of shape `(len(prompts), num_features)`, float32 on the CPU.
    """
    device = model.get_input_embeddings().weight.device
    pooled: dict[int, torch.Tensor] = {}

    def collect(numbers: list[int]) -> None:
        input_ids, attention_mask = pad_left([prompts[number] for number in numbers], pad_id)
        input_ids, attention_mask = input_ids.to(device), attention_mask.to(device)
        collector = _FeatureCollector(features, find_spans(input_ids, attention_mask, *question_markers))
        collector.begin(*input_ids.shape, offset=0)
        try:
            model.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, routing=collector)
        except _Collected:
            pass
        pooled.update(zip(numbers, collector.pooled(features), strict=True))
        bar.update(len(numbers))

    order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    with tqdm(total=len(prompts), desc=progress, unit="prompt", disable=progress is None) as bar:
        in_batches(collect, order, batch_size)
    return torch.stack([pooled[number] for number in range(len(prompts))])

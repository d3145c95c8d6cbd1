"""What a router reads, computed for many prompts at once by the code that computes it at inference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from tqdm.auto import tqdm

from .batches import in_batches
from .modeling import SCENLlamaForCausalLM, SCENRouting
from .modeling.routing_scen_llama import FeatureSpec, find_spans
from .prompts import pad_left


@dataclass(frozen=True)
class PromptReader:
    """Reads router features of tokenized prompts.

    Args:
        model: Any model of the family; packs that are loaded play no part.
        question_markers: As derived by [`~prompts.question_markers`].
        pad_id: Token to pad with.
        batch_size: Prompts per pass; halved when memory runs out.
        progress: Show progress bars.
    """

    model: SCENLlamaForCausalLM
    question_markers: tuple[list[int] | None, list[int] | None]
    pad_id: int
    batch_size: int
    progress: bool = False

    def pooled(
        self, prompts: Sequence[list[int]], features: Sequence[FeatureSpec], description: str = ""
    ) -> torch.Tensor:
        """Pooled features, concatenated in the order of `features`.

        Returns:
            `torch.Tensor` of shape `(len(prompts), num_features)`, float32 on the CPU.
        """
        rows: dict[int, torch.Tensor] = {}

        def keep(numbers: list[int], readings: dict[FeatureSpec, torch.Tensor]) -> None:
            pooled = torch.cat([readings[spec] for spec in features], dim=-1)
            rows.update(zip(numbers, pooled, strict=True))

        self._read(prompts, features, keep, description)
        return torch.stack([rows[number] for number in range(len(prompts))])

    def pooled_and_tokens(
        self,
        prompts: Sequence[list[int]],
        features: Sequence[FeatureSpec],
        token_feature: FeatureSpec,
        description: str = "",
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Pooled features as by [`pooled`], and the features of each question token.

        Returns:
            `(pooled, tokens)`; `tokens` has one `(question_tokens, hidden_size)` tensor per prompt, on the CPU.
        """
        rows: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

        def keep(numbers: list[int], readings: dict[FeatureSpec, torch.Tensor]) -> None:
            pooled = torch.cat([readings[spec] for spec in features], dim=-1)
            for number, row, tokens in zip(numbers, pooled, readings[token_feature], strict=True):
                rows[number] = row, tokens[(tokens != 0).any(-1)].clone()

        self._read(prompts, [*features, token_feature], keep, description)
        ordered = [rows[number] for number in range(len(prompts))]
        return torch.stack([row for row, _ in ordered]), [tokens for _, tokens in ordered]

    @torch.no_grad()
    def _read(self, prompts, features: Sequence[FeatureSpec], keep, description: str) -> None:
        device = self.model.get_input_embeddings().weight.device

        def read(numbers: list[int]) -> None:
            input_ids, attention_mask = pad_left([prompts[number] for number in numbers], self.pad_id)
            input_ids, attention_mask = input_ids.to(device), attention_mask.to(device)
            collector = _FeatureCollector(features, find_spans(input_ids, attention_mask, *self.question_markers))
            collector.begin(*input_ids.shape, offset=0)
            with suppress(_Collected):
                self.model.model(
                    input_ids=input_ids, attention_mask=attention_mask, use_cache=False, routing=collector
                )
            keep(numbers, collector.readings())
            bar.update(len(numbers))

        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        with tqdm(total=len(prompts), desc=description, unit="prompt", disable=not self.progress) as bar:
            in_batches(read, order, self.batch_size)


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

    def readings(self) -> dict[FeatureSpec, torch.Tensor]:
        """What was read, on the CPU."""
        return {spec: reading.cpu() for spec, reading in self._pooled.items()}

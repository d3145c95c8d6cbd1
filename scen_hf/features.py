"""What a router reads, computed for many prompts at once by the code that computes it at inference."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from tqdm.auto import tqdm
from transformers import DynamicCache

from .batches import in_batches
from .experts import repeated_cache, stack_right
from .modeling import SCENLlamaForCausalLM, SCENRouting
from .modeling.routing_scen_llama import FeatureSpec, by_layer, find_spans


# Prompts that begin alike, up to the question, before what they share is worth a pass of its own.
_SHARED = 4


@dataclass(frozen=True)
class PromptReader:
    """Reads router features of tokenized prompts.

    What comes before the question (the template's own text, a system prompt, earlier turns) is run once for all prompts that
    share it, which for short questions is most of the work.

    Args:
        model: Any model of the family; packs that are loaded play no part.
        question_markers: As derived by [`~prompts.question_markers`].
        batch_size: Prompts per pass; halved when memory runs out.
        progress: Show progress bars.
    """

    model: SCENLlamaForCausalLM
    question_markers: tuple[list[int] | None, list[int] | None]
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
        by_prefix: dict[tuple[int, ...], list[int]] = {}
        for number in sorted(range(len(prompts)), key=lambda number: len(prompts[number])):
            by_prefix.setdefault(self._before_question(prompts[number]), []).append(number)
        few = (numbers for prefix, numbers in by_prefix.items() if not prefix or len(numbers) < _SHARED)
        alone = sorted(chain.from_iterable(few), key=lambda number: len(prompts[number]))
        with tqdm(total=len(prompts), desc=description, unit="prompt", disable=not self.progress) as bar:

            def read(numbers: list[int], prefix: tuple[int, ...] = (), cache: DynamicCache | None = None) -> None:
                keep(numbers, self._read_batch([prompts[number] for number in numbers], features, len(prefix), cache))
                bar.update(len(numbers))

            in_batches(read, alone, self.batch_size)
            for prefix, numbers in by_prefix.items():
                if prefix and len(numbers) >= _SHARED:
                    in_batches(partial(read, prefix=prefix, cache=self._run(prefix)), numbers, self.batch_size)

    def _before_question(self, prompt: list[int]) -> tuple[int, ...]:
        (question,) = find_spans(torch.tensor([prompt]), None, *self.question_markers).question
        return tuple(prompt[: question[0]]) if question else ()

    def _run(self, prefix: tuple[int, ...]) -> DynamicCache:
        input_ids = torch.tensor([prefix], device=self._device)
        with self.model.edits_disabled():
            return self.model.model(input_ids=input_ids, use_cache=True).past_key_values

    @property
    def _device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device

    def _read_batch(
        self, prompts, features, done: int, prefix: DynamicCache | None
    ) -> dict[FeatureSpec, torch.Tensor]:
        # Padding is on the right, so that causality alone keeps it from what counts.
        input_ids = stack_right(prompts, 0).to(self._device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self._device)
        attended = torch.arange(input_ids.shape[1], device=self._device) < lengths[:, None]
        collector = _FeatureCollector(features, find_spans(input_ids, attended, *self.question_markers))
        collector.begin(len(prompts), input_ids.shape[1] - done, offset=done)
        with suppress(_Collected):
            self.model.model(
                input_ids=input_ids[:, done:],
                past_key_values=None if prefix is None else repeated_cache(prefix, len(prompts)),
                use_cache=prefix is not None,
                routing=collector,
            )
        return collector.readings()


class _Collected(Exception):
    """Raised in the last layer that is read: the layers above need not run."""


class _FeatureCollector(SCENRouting):
    """A routing state that pools features and routes nothing."""

    def __init__(self, features: Sequence[FeatureSpec], spans):
        super().__init__([], spans)
        self.pending = True
        self._wanted = by_layer(features)
        self.layers = set(self._wanted)

    def edit(self, layer, x, y, bias):
        if layer == max(self.layers):
            raise _Collected
        return y

    def readings(self) -> dict[FeatureSpec, torch.Tensor]:
        """What was read, on the CPU."""
        return {spec: reading.cpu() for spec, reading in self._pooled.items()}

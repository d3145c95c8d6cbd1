"""What settings are chosen by: a few edits of the tuning half, and one figure that wants edits to hold and the rest to stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch

from scen_hf import Edit
from scen_hf.evaluation import (
    HARD_NEGATIVES,
    TARGET_SETS,
    Answerer,
    Decoding,
    LocalityPrompt,
    Probe,
    measure,
    prompt_sets,
    summarise,
)


@dataclass(frozen=True)
class Nearest:
    """The edit that comes closest to a probe, whatever the threshold."""

    edit: Edit
    score: float


@dataclass(frozen=True)
class TuningSet:
    """Edits whose subjects are reported on nowhere, and what is asked about them.

    Args:
        edits: The edits.
        sets: Probes by the name of their set.
        base: The base model.
        decoding: How answers are generated.
    """

    edits: Sequence[Edit]
    sets: Mapping[str, Sequence[Probe]]
    base: Answerer
    decoding: Decoding

    @classmethod
    def of(
        cls,
        edits: Sequence[Edit],
        others: Sequence[Edit],
        unrelated: Sequence[LocalityPrompt],
        base: Answerer,
        decoding: Decoding,
        *,
        probes: int,
        ask_the_same: Callable[[str, str], bool] | None = None,
    ) -> TuningSet:
        """Up to so many probes of each kind, those near the edits together one kind; other arguments as for [`prompt_sets`]."""
        sets = prompt_sets(
            edits, unrelated=unrelated, others=others, hard=True, contexts=False, ask_the_same=ask_the_same
        )
        most = {name: probes // len(HARD_NEGATIVES) if name in HARD_NEGATIVES else probes for name in sets}
        return cls(edits, {name: spread(found, most[name]) for name, found in sets.items() if found}, base, decoding)

    def figures(self, answerer: Answerer) -> dict[str, float]:
        """Shares of the sets that were answered as they should be, and their `balance`."""
        outcomes = measure(answerer, self.base, self.sets, decoding=self.decoding, progress=False)
        report = summarise(self.sets, outcomes)
        shares = {name: figures.exact_match.value for name, figures in report.targets.items()}
        shares |= {name: figures.identical.value for name, figures in report.locality.items()}
        return {**shares, "balance": balance(shares)}

    def best_threshold(self, nearest: Mapping[str, Sequence[Nearest]]) -> tuple[float, dict[str, float]]:
        """The best threshold, if each probe gets its nearest edit where that scores above it.

        Args:
            nearest: By the name of the set, in the order of its probes.

        Returns:
            The threshold, and the shares of the sets that would be treated as they should be, with their `balance`.
        """
        scores = sorted({match.score for matches in nearest.values() for match in matches})
        # In the middle between two scores, where the next sample of prompts is least likely to be cut.
        thresholds = [(low + high) / 2 for low, high in pairwise(scores)] or scores
        tried = []
        for threshold in thresholds:
            given = {
                name: [match.edit if match.score > threshold else None for match in matches]
                for name, matches in nearest.items()
            }
            tried.append({"threshold": threshold, **self.shares(given)})
        best = dict(best_of(tried))
        return best.pop("threshold"), best

    def shares(self, given: Mapping[str, Sequence[Edit | None]]) -> dict[str, float]:
        """Shares of the sets that would be treated as they should be, with their `balance`, by what each probe is given.

        An edit with the target that is wanted is as good as the probe's own.

        Args:
            given: The edit that takes part in the answer to each probe, by the name of the set, in the order of its probes.
        """
        shares = {
            name: fmean(
                (edit is not None and edit.target == probe.target) if name in TARGET_SETS else edit is None
                for probe, edit in zip(self.sets[name], edits, strict=True)
            )
            for name, edits in given.items()
        }
        return {**shares, "balance": balance(shares)}


def balance(shares: Mapping[str, float]) -> float:
    """Mean of reliability, generality, locality, and hard locality (itself the mean of its sets)."""
    hard = [shares[name] for name in sorted(HARD_NEGATIVES) if name in shares]
    parts = [shares[name] for name in ("prompts", "rephrases", "unrelated") if name in shares]
    return fmean([*parts, fmean(hard)] if hard else parts)


def best_of(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What has the best balance of those whose edits hold: whose reliability is at least 0.9 of the highest.

    Without that, the best way to spare everything would be to edit nothing. Of equals, the first is taken.
    """
    enough = 0.9 * max(figures["prompts"] for figures in tried)
    return max((figures for figures in tried if figures["prompts"] >= enough), key=lambda figures: figures["balance"])


def spread(items: Sequence, most: int) -> list:
    """Up to so many of the items, evenly spaced."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def nearest_by_row(scores: torch.Tensor, edits: Sequence[Edit]) -> list[Nearest]:
    """Per row of `(probes, edits)` scores, the edit with the highest."""
    best = scores.max(1)
    return [
        Nearest(edits[number], score)
        for number, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]

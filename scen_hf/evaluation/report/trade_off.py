"""The trade-off of generality against false activations: what other thresholds would have done."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ..figures import GateScores
from ..rates import Rate


_MOST_POINTS = 200


@dataclass(frozen=True)
class TradeOffPoint:
    """What the router does with its thresholds moved.

    Args:
        shift: By how much the thresholds of both gates are raised.
        right: Prompts about an edit for which it fires.
        false: Prompts about no edit for which one fires.
    """

    shift: float
    right: Rate
    false: Rate


def trade_off(positives: Sequence[GateScores], negatives: Sequence[GateScores]) -> list[TradeOffPoint]:
    """The points from the highest shift to the lowest, with 0, where the thresholds are as measured, among them.

    A prompt is followed by the edit that fired, or came closest. Where a raised threshold would let another edit take over
    from the one that fired, that is not seen.

    Args:
        positives: Scores of prompts about edits, rephrases for instance.
        negatives: Scores of prompts about none.
    """
    right = sorted(_height(scores) for scores in positives if scores.right)
    false = sorted(map(_height, negatives))
    shifts = sorted({*right, *false})
    step = max(len(shifts) // _MOST_POINTS, 1)
    return [
        TradeOffPoint(
            shift,
            Rate(len(right) - bisect_right(right, shift), len(positives)),
            Rate(len(false) - bisect_right(false, shift), len(false)),
        )
        for shift in sorted({*shifts[::step], 0.0}, reverse=True)
    ]


def _height(scores: GateScores) -> float:
    """The shift at which the edit stops firing. At a shift of 0 the decision is the measured one, whatever else it rests on."""
    return max(scores.margin, 1e-9) if scores.fired else min(scores.margin, 0.0)

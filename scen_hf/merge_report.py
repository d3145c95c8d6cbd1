"""What a merge did: facts settled, edits renamed, neurons that are hard to tell apart, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import Any, Literal

from .edits import Edit
from .errors import EditError
from .evaluation import EvaluationReport, Rate


@dataclass(frozen=True)
class PackEdit:
    """An edit and the name of the pack that it is from."""

    edit: Edit
    pack: str

    def __str__(self) -> str:
        """Such as `palau-capital of bob/facts@5f0c…`."""
        return f"{self.edit.id} of {self.pack}"


@dataclass(frozen=True)
class Conflict:
    """Edits of different packs that cannot be in one pack.

    Args:
        kind: `"contradiction"`, if they answer one question differently; `"id"`, if they share an id, which names one fact, but
            neither question nor answer.
        edits: All of them, in the order of the packs.
        overruled: Those that were left out; empty while it is not decided.
    """

    kind: Literal["contradiction", "id"]
    edits: tuple[PackEdit, ...]
    overruled: tuple[PackEdit, ...] = ()

    def __str__(self) -> str:
        """All edits, in a line."""
        sides = (
            f"{side} {_short(side.edit.prompt)} -> {_short(side.edit.target)} ({side.edit.date or 'no date'})"
            for side in self.edits
        )
        return " | ".join(sides)


class MergeConflictError(EditError):
    """The packs' facts contradict each other, and nothing says which ones win.

    Args:
        reason: What to do.
        conflicts: All that are not decided; each is a line of the message.
    """

    def __init__(self, reason: str, conflicts: Sequence[Conflict]):
        super().__init__("\n".join([reason, *(f"  {conflict}" for conflict in conflicts)]))
        self.conflicts = tuple(conflicts)


@dataclass(frozen=True)
class MergedPart:
    """What became of the edits of one pack.

    Args:
        pack: Its name: `owner/name@commit`, or the folder's.
        edits: How many it had.
        kept: How many the merged pack has of it.
        duplicates: How many were left out because an earlier pack, or edit, has the same fact.
        overruled: Ids of those that were left out because others contradict them and win.
        renamed: New ids, by the old ones, of edits whose id another fact of an earlier pack has.
        read_anew: Whether its neurons were read anew, because its router space is not the first pack's.
    """

    pack: str
    edits: int
    kept: int
    duplicates: int
    overruled: tuple[str, ...]
    renamed: dict[str, str]
    read_anew: bool


@dataclass(frozen=True)
class CrossConfusion:
    """Two edits of different packs that are hard to tell apart: the first may fire for the prompt of the other.

    Args:
        edit, pack: The one, and its pack.
        other, other_pack: The other, which has another target.
        score: Cosine of their neurons.
    """

    edit: str
    pack: str
    other: str
    other_pack: str
    score: float

    def __str__(self) -> str:
        """Both edits and the score, in a line."""
        return f"{self.edit} of {self.pack} with {self.other} of {self.other_pack} ({self.score:.3f})"


@dataclass(frozen=True)
class Shadow:
    """A prompt of one pack that an edit of another pack answers, and should not.

    Args:
        pack: The pack that the prompt is from.
        edit: The edit that should have answered: the prompt is its own, or a rephrase. `None` for a neighbour, which no edit
            should answer.
        prompt: What was asked.
        answered_by, answered_by_pack: The edit that fired, and its pack.
    """

    pack: str
    edit: str | None
    prompt: str
    answered_by: str
    answered_by_pack: str

    def __str__(self) -> str:
        """Such as `edit X of A is answered by edit Y of B: 'What is …?'`."""
        whose = f"neighbour of {self.pack}" if self.edit is None else f"edit {self.edit} of {self.pack}"
        return f"{whose} is answered by edit {self.answered_by} of {self.answered_by_pack}: {_short(self.prompt)}"


@dataclass(frozen=True)
class MergeMeasurement:
    """What the edits of one pack do alone, and in the merged pack.

    Args:
        pack: Its name.
        routed_before, routed_after: Prompts of all its edits in the merged pack that fire their own edit.
        sample: How many of them, evenly spaced, were measured by generated answers.
        before, after: Those figures, on the same prompts.
    """

    pack: str
    routed_before: Rate
    routed_after: Rate
    sample: int
    before: EvaluationReport
    after: EvaluationReport


@dataclass(frozen=True)
class MergeReport:
    """What [`merge_packs`] did.

    Args:
        parts: What became of the edits of each pack, in the order given.
        conflicts: Contradictions that `prefer` decided.
        confusions: Edits of different packs that are hard to tell apart. `None` for routers of one gate, as the paper's: what
            fires there is only known from the base model.
        measurements: By pack; empty if nothing was measured.
        shadowed: Prompts that an edit of another pack answers, as far as they were measured.
    """

    parts: tuple[MergedPart, ...]
    conflicts: tuple[Conflict, ...] = ()
    confusions: tuple[CrossConfusion, ...] | None = None
    measurements: tuple[MergeMeasurement, ...] = ()
    shadowed: tuple[Shadow, ...] = ()

    @property
    def figures(self) -> dict[str, tuple[Rate, Rate]]:
        """Figures over all packs, alone and merged, by name: `own_edit_fires`, of all edits, and of the samples `reliability`,
        `generality` and `locality`, on the neighbours. Empty if nothing was measured."""
        if not self.measurements:
            return {}
        rates = {
            "own_edit_fires": [(m.routed_before, m.routed_after) for m in self.measurements],
            "reliability": [(m.before.reliability, m.after.reliability) for m in self.measurements],
            "generality": [(m.before.generality, m.after.generality) for m in self.measurements],
            "locality": [(m.before.neighbours.identical, m.after.neighbours.identical) for m in self.measurements],
        }
        return {name: (_total(b for b, _ in pairs), _total(a for _, a in pairs)) for name, pairs in rates.items()}

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON can hold it; `figures` and `measurements` are None if nothing was measured."""
        return {
            "parts": [asdict(part) for part in self.parts],
            "conflicts": [
                {
                    "kind": conflict.kind,
                    "edits": [{**side.edit.to_dict(), "pack": side.pack} for side in conflict.edits],
                    "overruled": [{"id": side.edit.id, "pack": side.pack} for side in conflict.overruled],
                }
                for conflict in self.conflicts
            ],
            "confusions": None if self.confusions is None else [asdict(confusion) for confusion in self.confusions],
            "figures": {
                name: {"before": before.to_dict(), "after": after.to_dict()}
                for name, (before, after) in self.figures.items()
            }
            or None,
            "measurements": [
                {
                    "pack": m.pack,
                    "routed_before": m.routed_before.to_dict(),
                    "routed_after": m.routed_after.to_dict(),
                    "sample": m.sample,
                    "before": m.before.to_dict(),
                    "after": m.after.to_dict(),
                }
                for m in self.measurements
            ]
            or None,
            "shadowed": [asdict(shadow) for shadow in self.shadowed],
        }


def _total(rates: Iterable[Rate]) -> Rate:
    rates = list(rates)
    return Rate(sum(rate.successes for rate in rates), sum(rate.count for rate in rates))


def _short(text: str) -> str:
    return repr(shorten(text, 80, placeholder="..."))

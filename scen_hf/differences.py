"""What changed between two versions of a pack, and which version number follows from it.

    >>> difference = compare_packs(EditPack.from_pretrained("facts-v1"), EditPack.from_pretrained("facts"))
    >>> print(difference)
    2 facts added, 1 fact changed
    >>> next_version(["v1.0.0", "v1.1.0"], difference)
    'v2.0.0'

Two edits are the same fact when they have the same id or, failing that, the same normalised prompt.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import torch

from .edits import Edit, normalise
from .pack import EditPack


Bump = Literal["major", "minor", "patch"]
_ToRows = Callable[[Any], list[tuple[object, ...]]]

# What an edit teaches; all other fields describe it.
_FACT_FIELDS = ("prompt", "target", "subject")
_METADATA_FIELDS = tuple(field.name for field in fields(Edit) if field.name not in _FACT_FIELDS)
_SETTINGS = (
    "base_model_name_or_path",
    "base_model_revision",
    "method",
    "edit_layer",
    "expert_rank",
    "router",
    "question_start_ids",
    "question_end_ids",
)
_BASE_WEIGHTS = "base_fingerprint"
# Gates by the name of their thresholds in `router.safetensors`.
_GATES = {"thresholds": "question", "subject_thresholds": "subject"}
_SEMANTIC = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)

# Neurons of method="paper" are long; so many rows are compared at a time.
_ROWS_AT_ONCE = 4096

_MOST_ENTRIES = 50
_MOST_CHARACTERS = 200
# Of all tables together: descriptions of pull requests and comments have a limit, of 65,536 on GitHub.
_LONGEST_MARKDOWN = 60_000
# Controls and marks that reorder text: what a reviewer reads must be what is there.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MARKUP = re.compile(r"([\\|`*_~<>\[\]&$])")


@dataclass(frozen=True)
class ChangedFact:
    """One fact in two versions.

    Args:
        before, after: The edit then and now.
    """

    before: Edit
    after: Edit

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that differ."""
        names = (*_FACT_FIELDS, *_METADATA_FIELDS)
        return tuple(name for name in names if getattr(self.before, name) != getattr(self.after, name))


@dataclass(frozen=True)
class MovedThreshold:
    """A gate of one edit that opens at another score than before.

    Args:
        edit: The edit, as it is now.
        gate: `"question"` or `"subject"`.
        before, after: The thresholds.
    """

    edit: Edit
    gate: str
    before: float
    after: float


@dataclass(frozen=True)
class ChangedSetting:
    """A property of the whole pack that differs.

    Args:
        name: Field of `config.json`, or `base_fingerprint` when the edits were trained on other base weights.
        before, after: Its values.
    """

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class PackDifference:
    """What changed from one version of a pack to another. `str()` sums it up in a line.

    Args:
        added: Facts that are new.
        removed: Facts that are gone.
        changed: Facts with another prompt, target or subject.
        metadata: Facts that are the same, with other rephrases, neighbours, source, date, author or id.
        retrained: Edits whose fact is the same and whose expert or neuron is another; as they are now.
        moved_thresholds: Gates of facts in both versions that open at another score.
        settings: What differs for the whole pack, such as its base model.
    """

    added: list[Edit]
    removed: list[Edit]
    changed: list[ChangedFact]
    metadata: list[ChangedFact]
    retrained: list[Edit]
    moved_thresholds: list[MovedThreshold]
    settings: list[ChangedSetting]

    @property
    def is_empty(self) -> bool:
        """Whether the packs are the same to whoever uses them. The order of the edits does not count."""
        return not any(self._counts)

    @property
    def bump(self) -> Bump | None:
        """Which part of a semantic version the change raises; `None` if nothing changed.

        Major when facts or the base model are no longer what they were, minor when there are more facts, else patch.
        """
        if self.removed or self.changed or any(setting.name == _BASE_WEIGHTS for setting in self.settings):
            return "major"
        if self.added:
            return "minor"
        return None if self.is_empty else "patch"

    @property
    def _counts(self) -> tuple[int, ...]:
        parts = (
            self.added,
            self.removed,
            self.changed,
            self.retrained,
            self.moved_thresholds,
            self.metadata,
            self.settings,
        )
        return tuple(len(part) for part in parts)

    def __str__(self) -> str:
        """Such as `2 facts added, 1 fact removed`."""
        kinds = (
            ("fact", "added"),
            ("fact", "removed"),
            ("fact", "changed"),
            ("edit", "retrained"),
            ("threshold", "moved"),
            ("fact", "with other metadata"),
            ("setting", "changed"),
        )
        said = [
            f"{count:,} {noun}{'' if count == 1 else 's'} {what}"
            for count, (noun, what) in zip(self._counts, kinds, strict=True)
            if count
        ]
        return ", ".join(said) or "no difference"

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "bump": self.bump,
            "added": [edit.to_dict() for edit in self.added],
            "removed": [edit.to_dict() for edit in self.removed],
            "changed": [_pair_dict(fact) for fact in self.changed],
            "metadata": [_pair_dict(fact) for fact in self.metadata],
            "retrained": [edit.id for edit in self.retrained],
            "moved_thresholds": [
                {"id": moved.edit.id, "gate": moved.gate, "before": moved.before, "after": moved.after}
                for moved in self.moved_thresholds
            ],
            "settings": [
                {"name": setting.name, "before": setting.before, "after": setting.after} for setting in self.settings
            ],
        }

    def to_markdown(self, max_entries: int = _MOST_ENTRIES) -> str:
        """The difference as tables, for the description of a pull request; at most about 60,000 characters.

        Args:
            max_entries: How many entries each table may have; what is left out is counted below it.
        """
        if self.is_empty:
            return "No difference.\n"
        sections: list[tuple[str, tuple[str, ...], Sequence[Any], _ToRows]] = [
            ("Settings", ("setting", "before", "after"), self.settings, _setting_rows),
            ("Facts added", ("id", "prompt", "answer", "source", "as of"), self.added, _fact_rows),
            ("Facts removed", ("id", "prompt", "answer", "source", "as of"), self.removed, _fact_rows),
            ("Facts changed", ("id", "field", "before", "after"), self.changed, _change_rows),
            ("Edits retrained", ("id", "prompt", "answer"), self.retrained, _edit_rows),
            ("Thresholds moved", ("id", "prompt", "gate", "before", "after"), self.moved_thresholds, _threshold_rows),
            ("Other metadata", ("id", "field", "before", "after"), self.metadata, _change_rows),
        ]
        parts = [f"**{self}**: a {self.bump} version."]
        sections = [section for section in sections if section[2]]
        room = _LONGEST_MARKDOWN // len(sections)
        for title, columns, items, to_rows in sections:
            parts.append(f"### {title} ({len(items):,})\n\n{_table(columns, items, to_rows, max_entries, room)}")
        return "\n\n".join(parts) + "\n"


def compare_packs(old: EditPack, new: EditPack) -> PackDifference:
    """Compare two versions of a pack by their facts, neurons, thresholds and the checksums of their experts.

    No expert is read, so neither pack needs to be there whole.

    Args:
        old, new: The packs.
    """
    old_edits, new_edits = old.edits, new.edits
    pairs, removed, added = _match(old_edits, new_edits)
    facts = [ChangedFact(old_edits[before], new_edits[after]) for before, after in pairs]
    is_changed = [
        any(getattr(fact.before, name) != getattr(fact.after, name) for name in _FACT_FIELDS) for fact in facts
    ]
    other_rows = _other_rows(old, new, pairs)
    kept = list(zip(facts, is_changed, other_rows.tolist(), strict=True))
    return PackDifference(
        added=[new_edits[row] for row in added],
        removed=[old_edits[row] for row in removed],
        changed=[fact for fact, changed, _ in kept if changed],
        metadata=[fact for fact, changed, _ in kept if not changed and fact.before != fact.after],
        retrained=[fact.after for fact, changed, other in kept if other and not changed],
        moved_thresholds=_moved_thresholds(old, new, pairs, new_edits),
        settings=_changed_settings(old, new),
    )


def parse_version(tag: str) -> tuple[int, int, int] | None:
    """The numbers of a semantic version, `v1.2.0` or `1.2.0`; `None` for any other tag."""
    match = _SEMANTIC.fullmatch(tag)
    if match is None:
        return None
    major, minor, patch = map(int, match.groups())
    return major, minor, patch


def next_version(tags: Iterable[str], difference: PackDifference | None) -> str:
    """The tag for a new version: the highest semantic tag, raised by what changed.

    Args:
        tags: The tags there are. Those that are no release, as `v1.2.0` or `1.2.0`, do not count.
        difference: What changed; `None` if there was nothing to compare with, so that anything may have changed.

    Returns:
        `v1.0.0` for a first version.
    """
    versions = [version for tag in tags if (version := parse_version(tag)) is not None]
    if not versions:
        return "v1.0.0"
    major, minor, patch = max(versions)
    if difference is None or difference.bump == "major":
        return f"v{major + 1}.0.0"
    if difference.bump == "minor":
        return f"v{major}.{minor + 1}.0"
    return f"v{major}.{minor}.{patch + 1}"


# --------------------------------------------------------------------- comparing


class _Matches(NamedTuple):
    """Rows of the same facts, and rows that only one of the packs has."""

    pairs: list[tuple[int, int]]
    old_only: list[int]
    new_only: list[int]


def _match(old: Sequence[Edit], new: Sequence[Edit]) -> _Matches:
    by_id = _match_by([edit.id for edit in old], [edit.id for edit in new])
    old_left, new_left = by_id.old_only, by_id.new_only
    by_prompt = _match_by(
        [normalise(old[row].prompt) for row in old_left], [normalise(new[row].prompt) for row in new_left]
    )
    pairs = [*by_id.pairs, *((old_left[before], new_left[after]) for before, after in by_prompt.pairs)]
    return _Matches(
        sorted(pairs, key=lambda pair: pair[1]),
        [old_left[row] for row in by_prompt.old_only],
        [new_left[row] for row in by_prompt.new_only],
    )


def _match_by(old: Sequence[Hashable], new: Sequence[Hashable]) -> _Matches:
    """Pair equal keys one to one, in their order."""
    rows: dict[Hashable, deque[int]] = defaultdict(deque)
    for row, key in enumerate(old):
        rows[key].append(row)
    pairs, new_only = [], []
    for row, key in enumerate(new):
        if rows.get(key):
            pairs.append((rows[key].popleft(), row))
        else:
            new_only.append(row)
    return _Matches(pairs, sorted(row for left in rows.values() for row in left), new_only)


def _rows(pairs: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of both sides, int64."""
    rows = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _other_rows(old: EditPack, new: EditPack, pairs: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Which pairs have another expert or neuron, `(len(pairs),)`, bool."""
    before, after = _rows(pairs)
    if not _same_space(old, new):  # a neuron is a vector of its space and means nothing in another one
        return torch.ones(len(pairs), dtype=torch.bool)
    theirs, ours = _per_edit(old), _per_edit(new)
    other = torch.zeros(len(pairs), dtype=torch.bool)
    for name, tensor in ours.items():
        other |= _differing(theirs[name], before, tensor, after)
    return other


def _same_space(old: EditPack, new: EditPack) -> bool:
    shapes = [{name: tensor.shape[1:] for name, tensor in _per_edit(pack).items()} for pack in (old, new)]
    spaces = [{n: tensor for n, tensor in pack.router.items() if n not in _GATES} for pack in (old, new)]
    return (
        shapes[0] == shapes[1]
        and spaces[0].keys() == spaces[1].keys()
        and all(torch.equal(tensor, spaces[1][name]) for name, tensor in spaces[0].items())
    )


def _per_edit(pack: EditPack) -> dict[str, torch.Tensor]:
    """What is the edits' own beside their thresholds, one row each."""
    tensors = {"checksums": torch.cat([shard.checksums for shard in pack.shards]), "neurons": pack.neurons}
    if all(shard.subjects is not None for shard in pack.shards):
        tensors["subjects"] = pack.subjects
    return tensors


def _differing(old: torch.Tensor, before: torch.Tensor, new: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Whether row `after[i]` of `new` differs from row `before[i]` of `old`, `(len(before),)`, bool."""
    parts = [
        (old[rows] != new[others]).reshape(len(rows), -1).any(1)
        for rows, others in zip(before.split(_ROWS_AT_ONCE), after.split(_ROWS_AT_ONCE), strict=True)
        if len(rows)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.bool)


def _moved_thresholds(
    old: EditPack, new: EditPack, pairs: Sequence[tuple[int, int]], edits: Sequence[Edit]
) -> list[MovedThreshold]:
    before, after = _rows(pairs)
    found = []
    for name, gate in _GATES.items():
        if name not in old.router or name not in new.router:
            continue
        was, now = old.router[name][before], new.router[name][after]
        moved = (was != now).nonzero()[:, 0]
        for row, low, high in zip(after[moved].tolist(), was[moved].tolist(), now[moved].tolist(), strict=True):
            found.append(MovedThreshold(edits[row], gate, low, high))
    return found


def _changed_settings(old: EditPack, new: EditPack) -> list[ChangedSetting]:
    values = [(name, getattr(old.config, name), getattr(new.config, name)) for name in _SETTINGS]
    changed = [ChangedSetting(name, was, now) for name, was, now in values if was != now]
    was, now = old.base_fingerprint, new.base_fingerprint
    # Rounded, since the same base may have been loaded in another floating point format.
    differing = [
        name for name in sorted(was.keys() & now.keys()) if not torch.equal(was[name].bfloat16(), now[name].bfloat16())
    ]
    if differing:
        names = ", ".join(differing)
        changed.append(ChangedSetting(_BASE_WEIGHTS, "the old version's", f"other base weights ({names})"))
    return changed


# --------------------------------------------------------------------- rendering


def shown(value: object) -> str:
    """A field's value in a line: lists by their entries, nothing as an empty text, long texts cut off."""
    return _clipped(_line(value))


def shown_apart(before: object, after: object) -> tuple[str, str]:
    """Two values of a field, so that where they begin to differ is in what is shown of long texts."""
    was, now = _line(before), _line(after)
    same = next(
        (place for place, (one, other) in enumerate(zip(was, now, strict=False)) if one != other),
        min(len(was), len(now)),
    )
    start = same - _MOST_CHARACTERS // 4
    if max(len(was), len(now)) > _MOST_CHARACTERS and start > 0:
        was, now = f"…{was[start:]}", f"…{now[start:]}"
    return _clipped(was), _clipped(now)


def _line(value: object) -> str:
    if isinstance(value, tuple):
        value = "; ".join(map(str, value))
    return " ".join(_INVISIBLE.sub(" ", "" if value is None else str(value)).split())


def _clipped(line: str) -> str:
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}…"


def _cell(value: object) -> str:
    """Text in a table cell of Markdown, with nothing that ends the cell or starts markup."""
    return _MARKUP.sub(r"\\\1", shown(value))


def _table(columns: Sequence[str], items: Sequence[Any], to_rows: _ToRows, max_entries: int, room: int) -> str:
    """A table of the first items; `room` is how many characters their rows may take."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    left = len(items)
    for item in items[:max_entries]:
        rows = [f"| {' | '.join(map(_cell, row))} |" for row in to_rows(item)]
        room -= sum(map(len, rows))
        if room < 0:
            break
        lines += rows
        left -= 1
    return "\n".join(lines) + (f"\n\nand {left:,} more" if left else "")


def _fact_rows(edit: Edit) -> list[tuple[object, ...]]:
    return [(edit.id, edit.prompt, edit.target, edit.source, edit.date)]


def _edit_rows(edit: Edit) -> list[tuple[object, ...]]:
    return [(edit.id, edit.prompt, edit.target)]


def _change_rows(fact: ChangedFact) -> list[tuple[object, ...]]:
    """One row per field that differs, with the id as it is now."""
    return [
        (fact.after.id, name, *shown_apart(getattr(fact.before, name), getattr(fact.after, name)))
        for name in fact.fields
    ]


def _threshold_rows(moved: MovedThreshold) -> list[tuple[object, ...]]:
    return [(moved.edit.id, moved.edit.prompt, moved.gate, f"{moved.before:.4f}", f"{moved.after:.4f}")]


def _setting_rows(setting: ChangedSetting) -> list[tuple[object, ...]]:
    return [(setting.name, setting.before, setting.after)]


def _pair_dict(fact: ChangedFact) -> dict[str, Any]:
    return {"fields": list(fact.fields), "before": fact.before.to_dict(), "after": fact.after.to_dict()}

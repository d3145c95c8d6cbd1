"""Edits: the facts a model is to be taught, and the checks that a set of them makes sense.

An edit is a prompt and the target it must answer. It may name its subject, give rephrases that must answer the
same, neighbours (prompts whose answer must stay as it is), and say where the fact comes from:

```python
>>> from scen_hf.edits import Edit, check_edits, resolve_edits

>>> edit = Edit(prompt="Who leads the team?", target="Ada", rephrases=["Who is the team's lead?"], date="2025-03-01")
>>> edit.id
'758e807e0b798cda'

>>> newer = Edit(prompt="who leads the team", target="Grace")
>>> print(check_edits([edit, newer]))
contradictions (one question, different targets): 1 group
  758e807e0b798cda 'Who leads the team?' -> 'Ada'
  7c10ba45176f9349 'who leads the team' -> 'Grace'
>>> [e.target for e in resolve_edits([edit, newer], on_contradiction="keep_last")]
['Grace']
```

Two prompts are the same question when `normalise` makes them equal: case, white space and the final question mark
do not count. Ids are derived from the normalised fact, so the same fact has the same id in every file and version.
Reading and writing files of edits is in `scen_hf.edit_files`.
"""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date
from difflib import get_close_matches
from typing import Any, Literal, get_args

from .errors import EditError


MAX_PROMPT_CHARACTERS = 32_000
MAX_TARGET_CHARACTERS = 8_000

# The order of an edit's fields in files: what identifies it and what it says first, provenance last.
_FIELDS = ("id", "prompt", "target", "subject", "rephrases", "neighbours", "source", "date", "author", "origin")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# Control characters but newline and tab, and surrogates, which no UTF-8 file can hold.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One fact: the prompt, the target it must answer, and what is known about it.

    Args:
        prompt: The question or text to be continued.
        target: What the edited model must answer.
        subject: What the fact is about.
        rephrases: Other prompts that must give the same answer. A list is accepted and kept as a tuple.
        neighbours: Prompts whose answer must stay as it is. A list is accepted and kept as a tuple.
        source: Where the fact can be checked.
        date: The day as of which the fact is true, `YYYY-MM-DD`.
        author: Who made the edit.
        origin: The pack that a merge took the edit from: `owner/name@commit`, or the name of a folder.
        id: A name of 1 to 64 letters, digits, `.`, `_` or `-`. Derived from the normalised prompt and target when it
            is empty or None; never empty afterwards.

    Raises:
        EditError: When a field has the wrong type, is empty, too long or malformed. The message names the field.
    """

    prompt: str
    target: str
    subject: str | None = None
    rephrases: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    source: str | None = None
    date: str | None = None
    author: str | None = None
    origin: str | None = None
    id: str = ""

    def __post_init__(self) -> None:
        """Cleans and checks every field, and derives the id where none is given."""
        self._set("prompt", _text("prompt", self.prompt))
        self._set("target", _text("target", self.target, MAX_TARGET_CHARACTERS))
        self._set("rephrases", _texts("rephrases", self.rephrases))
        self._set("neighbours", _texts("neighbours", self.neighbours))
        for name in ("subject", "source", "date", "author", "origin", "id"):
            self._set(name, _optional_text(name, getattr(self, name)))
        _check_date(self.date)
        self._set("id", self.id or _derived_id(self.prompt, self.target))
        _check_id(self.id)

    def _set(self, name: str, value: object) -> None:
        # The only way for a frozen dataclass to keep a cleaned value.
        object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """The edit as a dict that JSON can hold, always in the same key order.

        Returns:
            The fields that are not empty; tuples as lists.
        """
        values = {name: getattr(self, name) for name in _FIELDS}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any], where: str = "edit") -> "Edit":
        """Builds an edit from a dict such as `to_dict` gives.

        Args:
            fields: The edit's fields. Those that are None count as absent.
            where: Where the dict comes from, such as "edits.jsonl, line 3"; it goes in front of error messages.

        Returns:
            The edit.

        Raises:
            EditError: When a field is unknown, missing or wrong.
        """
        try:
            given = _known_fields(fields)
            for name in ("prompt", "target"):
                if name not in given:
                    raise EditError(f"missing field '{name}'")
            return cls(**given)
        except EditError as error:
            raise EditError(f"{where}: {error}") from None


def normalise(text: str) -> str:
    """The form in which two prompts, or two targets, are compared.

    Args:
        text: A prompt or a target.

    Returns:
        The text in NFKC, case folded, white space collapsed, without question marks, full stops and exclamation
        marks at its end. A text of nothing but these keeps them.
    """
    # Folding can undo the normal form, hence the second NFKC.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    collapsed = " ".join(folded.split())
    return collapsed.rstrip("?.! ") or collapsed


Group = tuple[Edit, ...]


@dataclass(frozen=True)
class EditReport:
    """What `check_edits` found. True when it found anything; `str()` gives a report to read.

    Attributes:
        duplicates: Groups of edits with the same normalised prompt and target.
        contradictions: Groups of edits that answer one question differently: the question is the prompt of at least
            one of them, and prompt or rephrase of the others.
        repeated_ids: Groups of edits that share an id without being duplicates.
    """

    duplicates: tuple[Group, ...] = ()
    contradictions: tuple[Group, ...] = ()
    repeated_ids: tuple[Group, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was found."""
        return bool(self.duplicates or self.contradictions or self.repeated_ids)

    def __str__(self) -> str:
        """The report to read: ids, prompts and targets, the first ten of each kind."""
        sections = {
            "contradictions (one question, different targets)": self.contradictions,
            "repeated ids (one id, different facts)": self.repeated_ids,
            "duplicates (the same prompt and target)": self.duplicates,
        }
        found = [_section(title, groups) for title, groups in sections.items() if groups]
        return "\n\n".join(found) or "no duplicates, contradictions or repeated ids"


def check_edits(edits: Iterable[Edit]) -> EditReport:
    """Looks for edits that say the same twice, contradict each other, or share an id.

    Args:
        edits: The edits, in any number; the work grows linearly with them.

    Returns:
        The report, false when nothing was found.
    """
    edits = list(edits)
    facts = [_fact(edit) for edit in edits]
    repeated = [group for group in _equal(edit.id for edit in edits) if len({facts[i] for i in group}) > 1]

    def pick(groups: Iterable[Sequence[int]]) -> tuple[Group, ...]:
        return tuple(tuple(edits[i] for i in group) for group in groups)

    return EditReport(pick(_equal(facts)), pick(_contradicting(edits, facts)), pick(repeated))


OnDuplicate = Literal["keep_first", "error"]
OnContradiction = Literal["error", "keep_last"]


def resolve_edits(
    edits: Iterable[Edit],
    *,
    on_duplicate: OnDuplicate = "keep_first",
    on_contradiction: OnContradiction = "error",
) -> list[Edit]:
    """Drops duplicates and settles contradictions, so that every question has one answer and every edit its own id.

    Args:
        edits: The edits, oldest first.
        on_duplicate: "keep_first" drops later duplicates; "error" refuses them.
        on_contradiction: "error" refuses contradictions; "keep_last" lets the last edit of each group win and drops
            those that disagree with it.

    Returns:
        The edits that remain, in their order.

    Raises:
        EditError: When something refused was found, or edits that remain share an id. The report is in the message.
    """
    _check_choice("on_duplicate", on_duplicate, OnDuplicate)
    _check_choice("on_contradiction", on_contradiction, OnContradiction)
    edits = list(edits)
    report = check_edits(edits)
    if report.contradictions and on_contradiction == "error":
        raise EditError(
            f'the edits contradict each other; correct them, or use on_contradiction="keep_last"\n{report}'
        )
    if report.duplicates and on_duplicate == "error":
        raise EditError(f'some edits are given twice; remove them, or use on_duplicate="keep_first"\n{report}')
    kept = _without_duplicates(_without_overruled(edits))
    if (left := check_edits(kept)).repeated_ids:
        raise EditError(f"different facts share an id; give each its own, or none\n{left}")
    return kept


def _text(name: str, value: object, limit: int = MAX_PROMPT_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise EditError(f"{name} must be a string, not {type(value).__name__}")
    text = value.strip()
    if not text:
        raise EditError(f"{name} is empty")
    if len(text) > limit:
        raise EditError(
            f"{name} has {len(text):,} characters, the limit is {limit:,}: shorten it, or split it into several edits"
        )
    if found := _FORBIDDEN.search(text):
        raise EditError(
            f"{name} holds U+{ord(found[0]):04X} at character {found.start() + 1}: remove it, "
            "the only control characters allowed are newline and tab"
        )
    return text


def _optional_text(name: str, value: object) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _text(name, value)


def _texts(name: str, values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise EditError(f"{name} must be a list of strings, not {type(values).__name__}")
    return tuple(_text(f"{name}[{i}]", value) for i, value in enumerate(values))


def _check_date(date: str | None) -> None:
    if date is None:
        return
    try:
        # fromisoformat alone takes other ISO forms too, such as 2025-W09-6: one form keeps dates comparable as text.
        if _DATE.fullmatch(date):
            Date.fromisoformat(date)
            return
    except ValueError:
        pass
    raise EditError(f"date must be a day of the calendar as YYYY-MM-DD, not {date!r}")


def _check_id(id: str) -> None:
    if not _ID.fullmatch(id):
        raise EditError(
            f"id {_short(id)} must be 1 to 64 letters, digits, '.', '_' or '-', the first a letter or a digit"
        )


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise EditError(f"{name} must be one of {', '.join(map(repr, get_args(choices)))}, not {value!r}")


def _derived_id(prompt: str, target: str) -> str:
    canonical = json.dumps(
        {"prompt": normalise(prompt), "target": normalise(target)},
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _known_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(fields, Mapping):
        raise EditError(f"an edit must be an object with fields, not {type(fields).__name__}")
    for name in fields:
        if name not in _FIELDS:
            near = get_close_matches(str(name), _FIELDS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(_FIELDS)}"
            raise EditError(f"unknown field '{name}': {hint}")
    return {name: value for name, value in fields.items() if value is not None}


def _fact(edit: Edit) -> tuple[str, str]:
    return normalise(edit.prompt), normalise(edit.target)


def _equal(keys: Iterable[Hashable]) -> list[list[int]]:
    """Groups the positions of equal keys; keys that occur once are left out."""
    positions = defaultdict(list)
    for i, key in enumerate(keys):
        positions[key].append(i)
    return [group for group in positions.values() if len(group) > 1]


def _contradicting(edits: Sequence[Edit], facts: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
    """Groups the positions of edits that answer one question, the prompt of at least one of them, differently."""
    answering: dict[str, set[int]] = defaultdict(set)
    for i, (question, _) in enumerate(facts):
        answering[question].add(i)
    for i, edit in enumerate(edits):
        for question in map(normalise, edit.rephrases):
            if question in answering:
                answering[question].add(i)
    groups = [tuple(sorted(group)) for group in answering.values() if len({facts[i][1] for i in group}) > 1]
    # Two edits that are rephrases of each other meet under both prompts: name them once.
    return list(dict.fromkeys(groups))


def _without_overruled(edits: Sequence[Edit]) -> list[Edit]:
    facts = [_fact(edit) for edit in edits]
    overruled: set[int] = set()
    for group in _contradicting(edits, facts):
        last_target = facts[group[-1]][1]
        overruled.update(i for i in group if facts[i][1] != last_target)
    return [edit for i, edit in enumerate(edits) if i not in overruled]


def _without_duplicates(edits: Iterable[Edit]) -> list[Edit]:
    first: dict[tuple[str, str], Edit] = {}
    for edit in edits:
        first.setdefault(_fact(edit), edit)
    return list(first.values())


# A report on 100,000 edits must still fit a terminal.
_MOST_SHOWN = 10


def _section(title: str, groups: Sequence[Group]) -> str:
    blocks = [_block(group) for group in groups[:_MOST_SHOWN]]
    if len(groups) > _MOST_SHOWN:
        blocks.append(f"  and {len(groups) - _MOST_SHOWN:,} more groups")
    return f"{title}: {len(groups):,} group{'s' if len(groups) > 1 else ''}\n" + "\n\n".join(blocks)


def _block(group: Group) -> str:
    lines = [f"  {edit.id} {_short(edit.prompt)} -> {_short(edit.target)}" for edit in group[:_MOST_SHOWN]]
    if len(group) > _MOST_SHOWN:
        lines.append(f"  and {len(group) - _MOST_SHOWN:,} more in this group")
    return "\n".join(lines)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")

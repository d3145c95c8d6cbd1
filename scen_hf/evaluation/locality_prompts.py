"""Prompts and passages that no edit is about: reading them from files and data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

# Rows come from the same places as those of edits.
from ..edit_files import _may_be_on_hub as may_be_on_hub
from ..edit_files import _open as open_rows
from ..errors import EditError


# The names that public sets give to the fields.
_PROMPT, _TRUTH, _PASSAGE = ("prompt", "question"), ("ground_truth", "answer"), ("text",)
_ROW_FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class LocalityPrompt:
    """A prompt that no edit is about.

    Args:
        prompt: The prompt.
        ground_truth: Its right answer, where it is known.
    """

    prompt: str
    ground_truth: str | None = None


def load_locality_prompts(source: str | Path, limit: int | None = None) -> list[LocalityPrompt]:
    """Read prompts that no edit is about.

    Args:
        source: A text file with one prompt a line; or a `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file, or a data set on
            the Hub (`owner/name`), whose rows have `prompt` (or `question`) and, where it is known, `ground_truth` (or
            `answer`, the first of several). Empty lines do not count.
        limit: How many to read at most, from the first.

    Raises:
        EditError: If it cannot be read, a row is wrong, or there is no prompt.
    """
    prompts = (
        LocalityPrompt(_text(row, _PROMPT, where), _truth(row, where)) for where, row in _rows(source, _PROMPT[0])
    )
    return _some(prompts, limit, source, "prompts")


def load_texts(source: str | Path, limit: int | None = None) -> list[str]:
    """Read passages of text, one a line or in rows with `text`; else as [`load_locality_prompts`]."""
    texts = (_text(row, _PASSAGE, where) for where, row in _rows(source, _PASSAGE[0]))
    return _some(texts, limit, source, "texts")


def _some(found: Iterator[Any], limit: int | None, source: str | Path, what: str) -> list[Any]:
    kept = list(islice(found, limit))
    if not kept:
        raise EditError(f"{source}: no {what} in it")
    return kept


def _rows(source: str | Path, field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows with their places; a line of a text file is a row with one field."""
    path = Path(source)
    if not path.exists() and not may_be_on_hub(source):
        raise EditError(f"{source}: cannot be read: there is no such file, and it is no Hub data set (owner/name)")
    if path.exists() and path.suffix.lower() not in _ROW_FILES:
        lines = enumerate(_lines(path), start=1)
        yield from ((f"{source}, line {number}", {field: line}) for number, line in lines if line.strip())
        return
    for where, row in open_rows(source, None, None, None)[1]:
        if not isinstance(row, Mapping):
            raise EditError(f"{where}: {row if isinstance(row, EditError) else 'an object with fields is expected'}")
        yield where, row


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise EditError(f"{path}: cannot be read: {reason}") from error


def _text(row: Mapping[str, Any], names: Sequence[str], where: str) -> str:
    text = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(text, str) or not text.strip():
        raise EditError(f'{where}: "{names[0]}", a text that is not empty, is expected')
    return text.strip()


def _truth(row: Mapping[str, Any], where: str) -> str | None:
    truth = next((row[name] for name in _TRUTH if row.get(name) is not None), None)
    while isinstance(truth, list | tuple):
        truth = truth[0] if truth else None
    if truth is not None and not isinstance(truth, str):
        raise EditError(f"{where}: the ground truth must be a string, not {type(truth).__name__}")
    return truth

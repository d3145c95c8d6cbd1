"""Files of edits: reading them in the formats of the literature, writing them in ours.

`load_edits` takes a file, a dataset on the Hub, a `datasets.Dataset` or any iterable of dicts, recognises the format
of each row by its fields, and gives a list of edits; `save_edits` writes them as JSON Lines:

```python
>>> from scen_hf.edit_files import load_edits, save_edits

>>> edits = load_edits("zsre_mend_eval.json", limit=100)      # zsRE, as MEND published it
>>> save_edits(edits, "edits.jsonl")                          # one edit a line: id, prompt, target, subject ...
>>> load_edits("edits.jsonl") == edits
True
```

A row that cannot be used is named by its file and line; all of a file's bad rows are reported together. The formats
are the entries of `FORMATS`: which fields they are recognised by, and how a row becomes an edit.
"""

import csv
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from .edits import Edit
from .errors import EditError


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Row: TypeAlias = Mapping[str, Any]
# Where a row stands, such as "edits.jsonl, line 3", and what stands there: an EditError when it could not be parsed.
_Located: TypeAlias = tuple[str, object]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_MOST_PROBLEMS_SHOWN = 10


def load_edits(
    path_or_dataset: "str | os.PathLike[str] | Dataset | DatasetDict | Iterable[Row]",
    *,
    split: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    limit: int | None = None,
    format: str | None = None,
) -> list[Edit]:
    """Reads edits from a file, a dataset or an iterable of dicts.

    Args:
        path_or_dataset: A `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file, the id of a dataset on the Hub
            (`owner/name`), a `datasets.Dataset` or `DatasetDict`, or an iterable of dicts. In CSV files `rephrases`
            and `neighbours` hold a JSON list, or texts separated by ` | `.
        split: The split to read of a dataset that has several; "train", or else its only split, when not given.
        revision: The branch, tag or commit of a dataset on the Hub.
        token: The token for a private dataset on the Hub.
        limit: How many rows to read at most, from the first.
        format: The name of the format (a key of `FORMATS`); recognised row by row when not given.

    Returns:
        The edits in the order of the rows. Duplicates and contradictions are left in: see `scen_hf.resolve_edits`.

    Raises:
        EditError: When nothing is found there, no edits are in it, or rows cannot be used. The message names each bad
            row (the first 10) by file and line, or by its number counted from 1.
    """
    if format is not None and format not in FORMATS:
        raise EditError(f"unknown format '{format}': the formats are {', '.join(FORMATS)}")
    if limit is not None and limit < 1:
        raise EditError(f"limit must be at least 1, not {limit}")
    name, rows = _open(path_or_dataset, split, revision, token)
    edits, problems = [], []
    for where, row in islice(rows, limit):
        try:
            edits.append(_to_edit(row, where, format))
        except EditError as error:
            problems.append(str(error))
    if problems:
        raise EditError(_summary(name, problems))
    if not edits:
        raise EditError(f"no edits in {name}")
    return edits


def save_edits(edits: Iterable[Edit], path: str | os.PathLike[str]) -> None:
    """Writes edits as JSON Lines, one edit a line, in UTF-8.

    The file appears whole or not at all: a crash leaves the old one as it was.

    Args:
        edits: The edits to write.
        path: The file to write; its folder must exist.
    """
    path = Path(path)
    # In the same folder, because a file can be moved into place in one step only within a file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            for edit in edits:
                file.write(json.dumps(edit.to_dict(), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# --- formats: from a row's fields to an edit's ---


def _scen(row: Row) -> dict[str, Any]:
    return dict(row)


def _mend(row: Row) -> dict[str, Any]:
    """zsRE in MEND's fields: `alt` is the new answer, `answers` the true ones, for sets without a new one."""
    return {
        "prompt": _need(row, "src"),
        "target": row.get("alt") or _first(_need(row, "answers")),
        "subject": row.get("subject"),
        "rephrases": _prompts(row.get("rephrase")),
        # The prefix marks questions of Natural Questions for the T5 models MEND was first tried on.
        "neighbours": [prompt.removeprefix("nq question: ") for prompt in _prompts(row.get("loc"))],
    }


def _easyedit(row: Row) -> dict[str, Any]:
    """EasyEdit's fields, flat or nested; not `portability`, which asks for what follows from the fact."""
    return {
        "prompt": _need(row, "prompt"),
        "target": _first(_need(row, "target_new")),
        "subject": row.get("subject"),
        "rephrases": [*_prompts(row.get("rephrase_prompt")), *_prompts(row.get("rephrase"))],
        "neighbours": [*_prompts(row.get("locality_prompt")), *_prompts(row.get("locality"))],
    }


def _zsre(row: Row) -> dict[str, Any]:
    return _mend(row) if "src" in row else _easyedit(row)


def _counterfact(row: Row) -> dict[str, Any]:
    if "requested_rewrite" not in row:
        fields = _easyedit(row)
        return {**fields, "rephrases": [*fields["rephrases"], *_prompts(row.get("completion_prompt"))]}
    rewrite = row["requested_rewrite"]
    if not isinstance(rewrite, Mapping):
        raise EditError(f"requested_rewrite must be one object, not {type(rewrite).__name__}")
    prompt, subject, target = (_need(rewrite, field) for field in ("prompt", "subject", "target_new"))
    if not isinstance(prompt, str) or not isinstance(subject, str):
        raise EditError("prompt and subject of requested_rewrite must be strings")
    return {
        # Not str.format: other braces may stand in the prompt.
        "prompt": prompt.replace("{}", subject),
        "target": _need(target, "str") if isinstance(target, Mapping) else target,
        "subject": subject,
        "rephrases": _prompts(row.get("paraphrase_prompts")),
        # generation_prompts are left out: they only start a text about the subject, whatever is said of it.
        "neighbours": _prompts(row.get("neighborhood_prompts")),
    }


def _wikibio(row: Row) -> dict[str, Any]:
    if "text" not in row:
        return _easyedit(row)
    return {
        "prompt": row["text"],
        "target": _first(_need(row, "labels")),
        "subject": row.get("concept"),
        "neighbours": _prompts(row.get("locality")),
    }


class Format(NamedTuple):
    """The sets of fields that mark a row as being of the format, and the function from the row to an edit's fields."""

    marks: tuple[tuple[str, ...], ...]
    read: Callable[[Row], dict[str, Any]]


# The first format one of whose marks is all there wins, so the more specific marks come first.
FORMATS = {
    "scen": Format((("prompt", "target"),), _scen),
    "counterfact": Format((("requested_rewrite",), ("prompt", "target_new", "completion_prompt")), _counterfact),
    # ood_rephrase is no rephrase: it is a passage on the subject, scored as a whole, that the target does not follow.
    "temporal": Format((("prompt", "target_new", "ood_rephrase"),), _easyedit),
    "knowedit": Format((("prompt", "target_new", "locality"), ("prompt", "target_new", "portability")), _easyedit),
    "zsre": Format(
        (
            ("src", "alt"),
            ("src", "answers"),
            ("prompt", "target_new", "rephrase_prompt"),
            ("prompt", "target_new", "rephrase"),
        ),
        _zsre,
    ),
    "wikibio": Format((("text", "labels"), ("prompt", "target_new")), _wikibio),
}


def _to_edit(row: object, where: str, format: str | None) -> Edit:
    try:
        if isinstance(row, EditError):
            raise row
        if not isinstance(row, Mapping):
            raise EditError(f"an edit must be an object with fields, not {type(row).__name__}")
        # Tables (CSV, parquet) give every row every column, empty where the row has none.
        row = {key: value for key, value in row.items() if value is not None}
        format = format or _recognise(row)
        fields = FORMATS[format].read(row)
    except EditError as error:
        raise EditError(f"{where}: {error}") from None
    return Edit.from_dict(fields, where if format == "scen" else f"{where}, read as {format}")


def _recognise(row: Row) -> str:
    for name, format in FORMATS.items():
        if any(all(field in row for field in mark) for mark in format.marks):
            return name
    missing = next(field for field in ("prompt", "target") if field not in row)
    near = get_close_matches(missing, map(str, row), n=1)
    hint = f" (is it '{near[0]}'?)" if near else ""
    raise EditError(
        f"missing field '{missing}'{hint}: the fields are {', '.join(map(str, row)) or 'none'}, "
        f"which is none of the formats {', '.join(FORMATS)}"
    )


def _need(row: Row, field: str) -> Any:
    if row.get(field) is None:
        raise EditError(f"missing field '{field}'")
    return row[field]


def _first(value: Any) -> Any:
    """The first of several right answers."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return value


def _prompts(value: Any) -> list[str]:
    """The prompts in a text, a list, or nested objects such as {"Forgetfulness": [{"prompt": "..."}]}, each once."""
    if isinstance(value, str):
        found = [value] if value.strip() else []
    elif isinstance(value, Mapping):
        found = _prompts(value["prompt"] if "prompt" in value else list(value.values()))
    elif isinstance(value, list | tuple):
        found = [prompt for part in value for prompt in _prompts(part)]
    elif value is None:
        found = []
    else:
        raise EditError(f"a prompt must be a string, not {type(value).__name__} ({value!r})")
    return list(dict.fromkeys(found))


# --- sources: from a file or a dataset to rows, each with its place ---


def _open(
    source: Any, split: str | None, revision: str | None, token: str | bool | None
) -> tuple[str, Iterator[_Located]]:
    """Gives the source a name for messages, and its rows."""
    if isinstance(source, str | os.PathLike):
        name, path = str(source), Path(source).expanduser()
        if _may_be_on_hub(source) and not path.exists():
            return name, _numbered(_hub_dataset(name, split, revision, token), name)
        _refuse_dataset_options(name, split, revision)
        return name, _file_rows(path, name)
    if isinstance(source, Mapping):
        return "the dataset", _numbered(_pick_split(source, split), "dataset")
    _refuse_dataset_options("the edits given", split, revision)
    if not isinstance(source, Iterable):
        raise EditError(f"edits must come from a path, a dataset or an iterable of dicts, not {type(source).__name__}")
    return "the edits given", _numbered(source, "edits given")


def _may_be_on_hub(source: object) -> bool:
    # "facts/edits.csv" has the form of an id too, but is a misspelt path.
    return isinstance(source, str) and _HUB_ID.fullmatch(source) is not None and not source.endswith(tuple(_READERS))


def _refuse_dataset_options(name: str, split: str | None, revision: str | None) -> None:
    if split is not None or revision is not None:
        raise EditError(f"split and revision are for datasets on the Hub; {name} has neither")


def _file_rows(path: Path, name: str) -> Iterator[_Located]:
    if path.is_dir():
        raise EditError(f"{name} is a folder: give the file in it ({', '.join(_READERS)})")
    reader = _READERS.get(path.suffix.lower())
    if reader is None and path.exists():
        raise EditError(f"{name}: unknown kind of file, the names must end in {', '.join(_READERS)}")
    if reader is None or not path.exists():
        raise EditError(
            f"no edits found at '{name}': there is no file {path.absolute()}, and it is no Hub dataset id (owner/name)"
        )
    return reader(path, name)


def _numbered(rows: Iterable[object], name: str) -> Iterator[_Located]:
    for number, row in enumerate(rows, start=1):
        yield f"{name}, row {number}", row


# JSON and CSV files are parsed here and not by `datasets`, which turns a whole file into one Arrow table: it can not
# say which line is bad, and stops at the first. From the parsed row on, all sources go the same way.


def _lines(path: Path) -> Iterator[str]:
    """The lines, whatever ends them, without a byte order mark. Bytes that are not UTF-8 become lone surrogates."""
    # Such bytes are found line by line (_check_utf8), so that they are named with all other problems of the file.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        yield from file


def _check_utf8(text: str) -> None:
    if found := re.search(r"[\udc80-\udcff]", text):
        byte = ord(found[0]) - 0xDC00
        raise EditError(f"not UTF-8 (byte 0x{byte:02x} at character {found.start() + 1}): save the file as UTF-8")


def _json(text: str) -> object:
    _check_utf8(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise EditError(f"invalid JSON: {error.msg} at {line}character {error.colno}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets thousands deep
        raise EditError(f"invalid JSON: {error}") from None


def _jsonl_rows(path: Path, name: str) -> Iterator[_Located]:
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            yield f"{name}, line {number}", _or_error(_json, line.strip())


def _json_rows(path: Path, name: str) -> Iterator[_Located]:
    content = _or_error(_json, "".join(_lines(path)))
    if isinstance(content, EditError):
        hint = "; JSON Lines belong in a file named .jsonl" if "Extra data" in str(content) else ""
        raise EditError(f"{name}: {content}{hint}")
    if not isinstance(content, list):
        raise EditError(f"{name}: must hold a list of objects, not {type(content).__name__}")
    return _numbered(content, name)


def _csv_rows(path: Path, name: str) -> Iterator[_Located]:
    # strict: without it a quote that is never closed swallows the rest of the file in silence.
    reader = csv.reader(_lines(path), delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    header: list[str] | None = None
    while True:
        where = f"{name}, line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if header is None:
                raise EditError(f"{where}: invalid CSV in the header: {error}") from None
            yield where, EditError(f"invalid CSV: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = _csv_header(cells, where)
        else:
            yield where, _or_error(_csv_row, header, cells)


def _csv_header(cells: list[str], where: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(set(header)) < len(header) or "" in header:
        raise EditError(
            f"{where}: the header must name every column, and each once; it is {', '.join(map(repr, header))}"
        )
    return header


def _csv_row(header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise EditError(
            f"{len(cells)} cells, the header has {len(header)}: are commas, tabs or quotes in a cell quoted?"
        )
    for cell in cells:
        _check_utf8(cell)
    row = {field: cell for field, cell in zip(header, cells, strict=True) if cell.strip()}
    return {
        field: _csv_list(field, cell) if field in ("rephrases", "neighbours") else cell for field, cell in row.items()
    }


def _csv_list(field: str, cell: str) -> object:
    if not cell.strip().startswith("["):
        return [text for text in cell.split(" | ") if text.strip()]
    try:
        return json.loads(cell)
    except ValueError as error:
        raise EditError(f"{field} starts like a JSON list, but is none: {error}") from None


def _parquet_rows(path: Path, name: str) -> Iterator[_Located]:
    # Imported where it is needed: `datasets` takes a second to import.
    from datasets import Dataset
    from datasets.exceptions import DatasetsError

    try:
        rows = Dataset.from_parquet(str(path))
    except (DatasetsError, OSError, ValueError) as error:
        raise EditError(f"{name}: cannot be read as parquet: {_cause(error)}") from error
    return _numbered(rows, name)


def _hub_dataset(id: str, split: str | None, revision: str | None, token: str | bool | None) -> Iterable[object]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        loaded = load_dataset(id, split=split, revision=revision, token=token)
    except (DatasetsError, OSError, ValueError) as error:
        at = f" at revision {revision}" if revision else ""
        raise EditError(
            f"no edits found at '{id}': there is no file {Path(id).absolute()}, "
            f"and the Hub dataset {id}{at} cannot be read: {_cause(error)}"
        ) from error
    return loaded if split else _pick_split(loaded, None)


def _cause(error: BaseException) -> BaseException:
    """The error below `datasets`' own "an error occurred while generating the dataset"."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _pick_split(splits: Mapping[str, Any], split: str | None) -> Iterable[object]:
    from datasets import DatasetDict

    if not isinstance(splits, DatasetDict):
        raise EditError("edits must come from a path, a dataset or an iterable of dicts: put a single dict in a list")
    names = list(splits)
    chosen = split or (names[0] if len(names) == 1 else "train")
    if chosen not in splits:
        raise EditError(f"the dataset has no split '{chosen}': choose one with split=, it has {', '.join(names)}")
    return splits[chosen]


_READERS: dict[str, Callable[[Path, str], Iterator[_Located]]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _or_error(parse: Callable[..., object], *args: Any) -> object:
    """The parsed value, or the EditError, so that a generator of rows can go on after a bad one."""
    try:
        return parse(*args)
    except EditError as error:
        return error


def _summary(name: str, problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    more = len(problems) - _MOST_PROBLEMS_SHOWN
    shown = [*problems[:_MOST_PROBLEMS_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
    return "\n  ".join([f"{len(problems):,} rows of {name} cannot be used:", *shown])

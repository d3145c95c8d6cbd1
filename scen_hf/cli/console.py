"""What all commands share: where they print, how they report errors, and how they open packs."""

import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ..edits import Edit
    from ..modeling import SCENLlamaForCausalLM


# A table of more is no longer read.
_MOST_FACTS = 100
# Wide enough for a prompt beside its target where the output goes to a file.
_FILE_WIDTH = 120
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# What a terminal might obey. Prompts, answers and ids come from models and from packs of other people.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


# ------------------------------------------------------------------------ output


def console() -> Console:
    """Standard output."""
    given_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if given_width else _FILE_WIDTH, highlight=False)


def text(content: object, style: str = "") -> Text:
    """Text to print as it is: no markup, no control characters."""
    return Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(content)), style=style)


def rows(pairs: Iterable[tuple[str, object]], indent: int = 0) -> Table:
    """A list of labels and what belongs to them."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, content in pairs:
        table.add_row(" " * indent + label, content if isinstance(content, Text) else text(content))
    return table


def print_facts(out: Console, edits: "Sequence[Edit]", pack: str) -> None:
    """Print a table of the first facts of a pack."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    # Only merged packs say where each edit is from.
    merged = any(edit.origin for edit in edits)
    for name in ("Id", "Prompt", "Target", "Date", *(["Origin"] if merged else [])):
        table.add_column(name, overflow="fold")
    for edit in edits[:_MOST_FACTS]:
        origin = [text(edit.origin or "")] if merged else []
        table.add_row(text(edit.id), text(edit.prompt), text(edit.target), text(edit.date or ""), *origin)
    out.print(table)
    if len(edits) > _MOST_FACTS:
        out.print(text(f"and {len(edits) - _MOST_FACTS:,} more; all of them: scen inspect {pack} --json"))


def size(count: float) -> str:
    """A number of bytes to read, in powers of 1000 as file managers count them."""
    units = ["TB", "GB", "MB", "kB", "B"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop()
    return f"{count:.3g} {units[-1]}"


def plural(count: int, noun: str) -> str:
    """`1 edit`, `2,000 edits`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


# ------------------------------------------------------------------------ errors


class ReportingGroup(TyperGroup):
    """The commands; what goes wrong in one of them is reported in a line, with exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with reported_errors():
            return super().invoke(ctx)


@contextmanager
def reported_errors() -> Iterator[None]:
    """Within the block an error becomes one line on standard error and exit code 1.

    With SCEN_DEBUG=1 in the environment it stays as it is. Usage errors keep their own report and exit code 2, and
    Ctrl-C its exit code 130.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.TyperException):
        raise
    except Exception as error:
        if os.environ.get("SCEN_DEBUG") == "1" or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            raise
        typer.echo(f"Error: {_CONTROL.sub(' ', _message(error))}", err=True)
        raise typer.Exit(1) from None


def _message(error: Exception) -> str:
    from ..errors import BaseModelError, EditError, EditPackError

    if isinstance(error, EditError):
        return str(error)  # names one bad row per line
    if isinstance(error, (EditPackError, BaseModelError, MemoryError)):
        return _one_line(str(error)) or "out of memory"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror or error}"
    if isinstance(error, OSError):
        return _one_line(str(error)) or type(error).__name__
    return f"unexpected {type(error).__name__}: {_one_line(str(error))} (SCEN_DEBUG=1 shows where it happened)"


def _one_line(message: str) -> str:
    return " ".join(message.split())


def quiet_libraries() -> None:
    """Keep the libraries' notes and loading bars off the output; downloads keep theirs."""
    if os.environ.get("SCEN_DEBUG") == "1":
        return
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    from ..modeling.edit_pack_scen_llama import YankedVersionWarning

    warnings.simplefilter("ignore")
    # That a version was withdrawn is for the user to know, and it is one line like an error.
    warnings.filterwarnings("always", category=YankedVersionWarning)
    warnings.showwarning = lambda message, *_: typer.echo(f"Warning: {_one_line(str(message))}", err=True)
    logging.getLogger("torch").setLevel(logging.ERROR)
    hub_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


# ------------------------------------------------------------------------- packs


def check_place(place: str, what: str) -> None:
    """Refuse what is neither a folder nor a possible Hub id, before a library puzzles over it.

    Args:
        place: What the user gave.
        what: What it should be, such as "edit pack".

    Raises:
        EditPackError: If there is nothing to be found there.
    """
    from ..errors import EditPackError

    path = Path(place)
    if path.is_dir():
        return
    if path.exists():
        raise EditPackError(f"{place} is a file; the {what} is a folder or a Hub repository.")
    # `packs/facts` has the form of an id too, but is a misspelt path where there is a folder `packs`.
    if not _HUB_ID.fullmatch(place) or path.parent.is_dir():
        raise EditPackError(
            f"There is no {what} at {place!r}: no folder of that name, and no Hub id either (owner/name)."
        )


def pack_place(pack: str) -> tuple[str, str | None]:
    """Split `OWNER/NAME@REVISION`; a folder, or a name without revision, is all of it.

    Raises:
        EditPackError: If no pack can be there.
    """
    place, _, revision = (pack, "", "") if Path(pack).exists() else pack.partition("@")
    check_place(place, "edit pack")
    return place, revision or None


def load_edited(
    pack: str, base_model: str | None = None, *, prefetch: bool = False
) -> "tuple[SCENLlamaForCausalLM, PreTrainedTokenizerBase]":
    """Load a pack with its base model, as users load it, on the best device at hand.

    Args:
        pack: Folder or Hub repository, with `@REVISION` or without.
        base_model: Folder or Hub id of the base weights, where the one named by the pack is not at hand.
        prefetch: Download all experts at once.

    Raises:
        EditPackError: If the pack or its base cannot be loaded.
    """
    from transformers import AutoTokenizer

    from ..bases import EMBEDDED_BASE, choose_device, resolve_base
    from ..errors import EditPackError
    from ..modeling import EditPackReader, SCENLlamaForCausalLM

    place, revision = pack_place(pack)
    if base_model is not None and base_model != EMBEDDED_BASE:
        check_place(base_model, "base model")
    reader = EditPackReader(place, revision=revision)
    if base_model is None and reader.config.base_model_name_or_path == EMBEDDED_BASE:
        base_model = EMBEDDED_BASE
    weights = None if base_model is None else resolve_base(base_model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, revision=revision)
    except (OSError, ValueError, TypeError) as error:
        raise EditPackError(f"{pack} has no usable tokenizer: {error}") from error
    model = SCENLlamaForCausalLM.from_pretrained(place, base_model=weights, revision=revision, prefetch=prefetch)
    return model.to(choose_device()).eval(), tokenizer

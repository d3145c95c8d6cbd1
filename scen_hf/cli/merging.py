"""`scen merge`: the edits of several packs in one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import check_place, console, plural, quiet_libraries, rows, text
from .training import _check_target


if TYPE_CHECKING:
    from ..merge_report import MergedPart, MergeReport
    from ..pack import EditPack


_MOST_LINES = 20
_FIGURES = {
    "own_edit_fires": "prompts that fire their own edit (all edits)",
    "reliability": "reliability (prompts, exact match)",
    "generality": "generality (rephrases, exact match)",
    "locality": "locality (neighbours, same answer as the base)",
}


def merge_packs(
    packs: Annotated[
        list[str],
        typer.Argument(
            metavar="PACK...",
            help="Edit packs: folders or Hub repositories (OWNER/NAME[@REVISION]).",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="PACK", help="Folder to write: a new one, or that of the first pack.", show_default=False
        ),
    ],
    prefer: Annotated[
        str | None,
        typer.Option(
            metavar="PACK|newest",
            help="Which fact wins where two contradict each other: that of this pack, or that with the latest date.",
            show_default="refuse",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Base model: folder or Hub id.", show_default="that of the first pack"),
    ] = None,
    measure: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Edits of each pack to measure by their answers; 0: do not measure at all."
        ),
    ] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Merge packs of one base model.

    A fact that several packs have is kept once. Facts that contradict each other are listed, and refused unless
    --prefer says which one wins. Then it is measured what the edits do alone and together, and every prompt is named
    that an edit of another pack answers. Each edit remembers which pack it is from.

    \b
    Examples:
      scen merge facts bob/facts@v1.2.0 --out all-facts
      scen merge facts theirs --out facts --prefer newest
      scen merge facts theirs --out all-facts --prefer theirs --measure 0
    """
    _check_options(packs, out, prefer)
    quiet_libraries()
    from ..bases import EMBEDDED_BASE
    from ..merging import merge_packs as merge

    _check_target(out, adding=_same_folder(out, packs[0]))
    if base is not None and base != EMBEDDED_BASE:
        check_place(base, "base model")
    opened = {place: _open(place) for place in packs}
    merged = merge(
        list(opened.values()),
        prefer=opened.get(prefer, "newest") if prefer else None,
        measure=measure,
        base_model=base,
    )
    merged.save_pretrained(out)
    report = merged.report["merge"]
    if as_json:
        typer.echo(json.dumps({"pack": out, **report.to_dict()}, ensure_ascii=False, indent=2))
    else:
        _print(report, len(merged), out)


def _check_options(packs: list[str], out: str, prefer: str | None) -> None:
    if len(packs) < 2:
        raise typer.BadParameter("give two packs or more.", param_hint="PACK")
    if len(set(packs)) < len(packs):
        raise typer.BadParameter("one of them is given twice.", param_hint="PACK")
    if prefer is not None and prefer not in (*packs, "newest"):
        raise typer.BadParameter(f"{prefer} is neither newest nor one of {', '.join(packs)}.", param_hint="'--prefer'")
    # Its shards would come back under names that stood for others, of which copies may be about.
    taken = next((place for place in packs[1:] if _same_folder(out, place)), None)
    if taken is not None:
        raise typer.BadParameter(
            f"{taken} is merged into {packs[0]}: write there, or to a new folder, or give {taken} first.",
            param_hint="'--out'",
        )


def _same_folder(one: str, other: str) -> bool:
    return Path(other).is_dir() and Path(one).resolve() == Path(other).resolve()


def _open(place: str) -> "EditPack":
    from ..hub_tools.versions import split_revision
    from ..pack import EditPack

    name, revision = (place, None) if Path(place).is_dir() else split_revision(place)
    check_place(name, "edit pack")
    return EditPack.from_pretrained(name, revision=revision)


def _print(report: "MergeReport", count: int, out: str) -> None:
    renamed = [f"{old} of {part.pack} is now {new}" for part in report.parts for old, new in part.renamed.items()]
    overruled = [f"{side}" for conflict in report.conflicts for side in conflict.overruled]
    printer = console()
    printer.print(
        rows(
            [
                *_labelled("Packs", [_described(part) for part in report.parts]),
                *_labelled("Overruled", overruled),
                *_labelled("Renamed", renamed),
                *_labelled("Confusable", [str(confusion) for confusion in report.confusions or ()]),
                ("Saved", f"{out}: {plural(count, 'edit')}"),
            ]
        )
    )
    if not report.measurements:
        printer.print(text("\nNot measured: whether edits of one pack answer for those of another is not known."))
        return
    printer.print(text(""))
    printer.print(_table(report))
    sampled = sum(measurement.sample for measurement in report.measurements)
    printer.print(
        text(f"\nBy answers to {plural(sampled, 'edit')} of {count:,}; which edit fires, by the prompts of all.")
    )
    if report.shadowed:
        printer.print(rows(_labelled("Shadowed", [str(shadow) for shadow in report.shadowed])))
    else:
        printer.print(text("No edit of one pack answers a prompt of another, as far as it was measured."))


def _described(part: "MergedPart") -> str:
    details = [
        f"{plural(part.duplicates, 'duplicate')}" if part.duplicates else "",
        f"{len(part.overruled):,} overruled" if part.overruled else "",
        "neurons read anew in the first pack's router space" if part.read_anew else "",
    ]
    more = "; ".join(filter(None, details))
    return f"{part.pack}: {part.kept:,} of {plural(part.edits, 'edit')}" + (f" ({more})" if more else "")


def _labelled(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """Lines of which the first has the label; of many only the first ones."""
    shown = lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        shown.append(f"and {len(lines) - _MOST_LINES:,} more; all of them: --json")
    return [("" if number else label, line) for number, line in enumerate(shown)]


def _table(report: "MergeReport") -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Measure", no_wrap=True)
    for name in ("Alone", "Merged"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, rates in report.figures.items():
        if rates[0].count:
            table.add_row(text(_FIGURES[name]), *(f"{r.value:.1%} ({r.successes:,} of {r.count:,})" for r in rates))
    return table

"""`scen remove`: take edits out of a pack."""

from pathlib import Path
from typing import Annotated

import typer

from .console import check_place, console, plural, print_facts, quiet_libraries, text


def remove_edits(
    pack: Annotated[
        str, typer.Argument(metavar="PACK", help="Edit pack: folder or Hub repository.", show_default=False)
    ],
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of the edits.", show_default=False)],
    out: Annotated[
        str | None,
        typer.Option(metavar="PACK", help="Write to this folder and leave PACK as it is.", show_default=False),
    ] = None,
) -> None:
    """Remove edits from a pack.

    Their facts, neurons and experts are gone, all others stay as they are. The pack is replaced in one step: a run
    that is cut short leaves the old one.

    \b
    Examples:
      scen remove facts capital-of-burkina-faso
      scen remove owner/facts 758e807e0b798cda 7c10ba45176f9349 --out facts-without
    """
    quiet_libraries()
    from ..pack import EditPack

    check_place(pack, "edit pack")
    if out is None and not Path(pack).is_dir():
        raise typer.BadParameter(f"{pack} is on the Hub: say with --out where to write.", param_hint="'--out'")
    before = EditPack.from_pretrained(pack)
    after = before.remove(ids)
    after.save_pretrained(out or pack)
    printer = console()
    print_facts(printer, after.edits, out or pack)
    removed = len(before) - len(after)
    printer.print(text(f"\nRemoved {plural(removed, 'edit')}; {plural(len(after), 'edit')} left in {out or pack}."))

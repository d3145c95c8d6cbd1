"""`scen log`, `scen diff`, `scen revert` and `scen yank`: the versions of a pack."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .console import check_place, console, quiet_libraries, text


if TYPE_CHECKING:
    from ..differences import PackDifference
    from ..hub_tools.versions import Version


# A table of more is no longer read.
_MOST_ENTRIES = 100

_PLACE = "Folder, or Hub repository OWNER/NAME[@REVISION]."


def show_log(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME[@REVISION]", help="Hub repository.", show_default=False)],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many versions to show.")] = 20,
) -> None:
    """List the versions of a pack on the Hub, newest first.

    Tags, date, number of facts, author, commit and message of each, and which were withdrawn.

    \b
    Examples:
      scen log owner/facts
      scen log owner/facts@v1.2.0 -n 100
    """
    quiet_libraries()
    from ..hub_tools.versions import pack_log, split_revision

    name, revision = split_revision(repo)
    check_place(name, "edit pack")
    # One more, to know whether there are more.
    versions = pack_log(name, revision=revision, limit=limit + 1)
    out = console()
    out.print(_log_table(versions[:limit]))
    if len(versions) > limit:
        out.print(text(f"and older ones; show more with: scen log {repo} -n {limit * 10}"))


def _log_table(versions: "Sequence[Version]") -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("Version", "Date", "Facts", "Change"):
        table.add_column(name, overflow="fold", justify="right" if name == "Facts" else "left")
    for version in versions:
        # The whole id: the Hub takes no shorter one for a revision.
        change = [text(version.title), text(f"{version.commit} by {version.author}", style="dim")]
        if version.yanked is not None:
            change.append(text(f"withdrawn on {version.yanked.date}: {version.yanked.reason}", style="bold red"))
        table.add_row(
            text(", ".join(version.tags), style="bold"),
            text(f"{version.date:%Y-%m-%d}"),
            text("" if version.num_edits is None else f"{version.num_edits:,}"),
            Text("\n").join(change),
        )
    return table


def show_difference(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_PLACE, show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help=_PLACE, show_default=False)],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as for a pull request.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what changed from one pack to another.

    Facts added, removed and changed, edits that were trained again, thresholds that moved, and settings of the whole
    pack. Experts are compared by their checksums and not downloaded.

    \b
    Examples:
      scen diff owner/facts@v1.0.0 owner/facts@v2.0.0
      scen diff owner/facts facts
      scen diff owner/facts facts --markdown
    """
    if as_markdown and as_json:
        raise typer.BadParameter("choose one of --markdown and --json", param_hint="'--markdown'")
    quiet_libraries()
    from ..hub_tools.versions import diff_packs, split_revision

    for place in (old, new):
        check_place(place if Path(place).is_dir() else split_revision(place)[0], "edit pack")
    difference = diff_packs(old, new)
    if as_json:
        typer.echo(json.dumps(difference.to_dict(), ensure_ascii=False, indent=2))
    elif as_markdown:
        typer.echo(difference.to_markdown(), nl=False)
    else:
        print_difference(console(), difference)


def print_difference(out: Console, difference: "PackDifference") -> None:
    """Print what changed, one line per fact."""
    from ..differences import shown, shown_apart

    def fact(edit: Any) -> list[tuple[str, ...]]:
        return [(edit.id, shown(edit.prompt), shown(edit.target))]

    def change(pair: Any) -> list[tuple[str, ...]]:
        values = [(name, getattr(pair.before, name), getattr(pair.after, name)) for name in pair.fields]
        return [
            (pair.after.id if row == 0 else "", name, " -> ".join(shown_apart(was, now)))
            for row, (name, was, now) in enumerate(values)
        ]

    def threshold(moved: Any) -> list[tuple[str, ...]]:
        return [(moved.edit.id, f"{moved.gate} gate", f"{moved.before:.4f} -> {moved.after:.4f}")]

    def setting(changed: Any) -> list[tuple[str, ...]]:
        return [(changed.name, "", " -> ".join(shown_apart(changed.before, changed.after)))]

    _print_section(out, "Settings", "~", "bold red", difference.settings, setting)
    _print_section(out, "Facts added", "+", "green", difference.added, fact)
    _print_section(out, "Facts removed", "-", "red", difference.removed, fact)
    _print_section(out, "Facts changed", "~", "yellow", difference.changed, change)
    _print_section(out, "Edits retrained", "*", "cyan", difference.retrained, fact)
    _print_section(out, "Thresholds moved", "~", "cyan", difference.moved_thresholds, threshold)
    _print_section(out, "Other metadata", "~", "dim", difference.metadata, change)
    version = "" if difference.bump is None else f": a {difference.bump} version"
    out.print(text(f"{str(difference).capitalize()}{version}."))


def _print_section(
    out: Console,
    title: str,
    sign: str,
    style: str,
    items: Sequence[Any],
    to_rows: Callable[[Any], list[tuple[str, ...]]],
) -> None:
    if not items:
        return
    out.print(text(f"{title} ({len(items):,})", style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for item in items[:_MOST_ENTRIES]:
        for row in to_rows(item):
            table.add_row(text(f"  {sign if row[0] else ' '}", style=style), *map(text, row))
    out.print(table)
    if len(items) > _MOST_ENTRIES:
        out.print(text(f"    and {len(items) - _MOST_ENTRIES:,} more; all of them with --json"))
    out.print(text(""))


def revert_pack(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Hub repository.", show_default=False)],
    to: Annotated[
        str, typer.Option("--to", metavar="REVISION", help="Tag or commit to go back to.", show_default=False)
    ],
    tag: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Tag for the new version; auto for the next one.", show_default=False),
    ] = None,
    message: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Commit message.", show_default="that it goes back, and to what")
    ] = None,
) -> None:
    """Make an earlier version of a pack on the Hub the newest one again.

    A new commit with the files of that version; nothing is taken out of the history, and what you wrote in the card
    stays. If somebody else pushes at the same time, nothing is changed.

    \b
    Examples:
      scen revert owner/facts --to v1.2.0
      scen revert owner/facts --to v1.2.0 --tag auto
    """
    quiet_libraries()
    from ..hub_tools.versions import revert_pack as revert

    check_place(repo, "edit pack")
    report = revert(repo, to, tag=tag, commit_message=message)
    out = console()
    if report.difference is not None:
        print_difference(out, report.difference)
    out.print(text(f"{repo} is what it was at {to}. {report.url}"))
    if report.tag is not None:
        out.print(text(f"Tagged {report.tag}."))
    else:
        out.print(text(f"To give it a tag: scen revert {repo} --to {to} --tag {report.proposed_tag}"))


def yank_version(
    version: Annotated[
        str, typer.Argument(metavar="OWNER/NAME@TAG", help="Version, by its tag or commit.", show_default=False)
    ],
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for those who load it.", show_default=False)
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Put the version in force again.")] = False,
) -> None:
    """Withdraw a version of a pack: it stays on the Hub, and loading it warns.

    The main branch is left as it is: where it has the same facts, revert it or push a corrected pack.

    \b
    Examples:
      scen yank owner/facts@v1.3.0 --reason "names the wrong mayor of Turku"
      scen yank owner/facts@v1.3.0 --undo
    """
    if undo == (reason is not None):
        raise typer.BadParameter("say why with --reason TEXT, or take it back with --undo", param_hint="'--reason'")
    quiet_libraries()
    from ..hub_tools.versions import split_revision, unyank_version
    from ..hub_tools.versions import yank_version as yank

    repo, revision = split_revision(version)
    check_place(repo, "edit pack")
    if revision is None:
        raise typer.BadParameter(f"which version of {repo}? Add its tag: {repo}@TAG", param_hint="'OWNER/NAME@TAG'")
    out = console()
    if reason is None:
        undone = unyank_version(repo, revision)
        out.print(text(f"{repo}@{undone.name} is in force again."))
        return
    report = yank(repo, revision, reason=reason)
    out.print(text(f"{repo}@{report.yank.name} is withdrawn: {report.yank.reason}. {report.url}"))
    if report.is_current:
        out.print(
            text(
                f"The main branch still has these facts. Go back with: scen revert {repo} --to REVISION, or push a "
                "corrected pack."
            )
        )

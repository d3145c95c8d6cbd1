"""`scen review`: whether a proposal to a pack can be merged."""

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import check_place, console, quiet_libraries, text
from .versions import print_difference


if TYPE_CHECKING:
    from ..evaluation import Rate


_PROPOSAL = re.compile(r"([^#]+)#(\d+)")


def review_proposal(
    proposal: Annotated[
        str,
        typer.Argument(metavar="OWNER/NAME#PR", help="Repository and number of the pull request.", show_default=False),
    ],
    base_model: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", help="Base weights to measure on.", show_default="those of the pack"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    comment: Annotated[
        bool, typer.Option("--comment", help="Post the report as a comment on the pull request.")
    ] = False,
) -> None:
    """Review a pull request to a pack: what it changes, and whether it does what it says.

    Verifies its files as scen verify does, asks every edit that it adds, changes or trains anew, compares their
    neighbours and unrelated prompts with the base model, and asks all other edits whether they are still reached.
    Nothing of the proposal is run. Exit code 0 if it is ready to merge, else 1.

    \b
    Examples:
      scen review owner/facts#3
      scen review owner/facts#3 --base smollm2-135m-instruct --comment
    """
    match = _PROPOSAL.fullmatch(proposal)
    if match is None:
        raise typer.BadParameter(f"{proposal!r} is not of the form OWNER/NAME#PR.", param_hint="'OWNER/NAME#PR'")
    quiet_libraries()
    from ..bases import EMBEDDED_BASE
    from ..hub_tools import review_proposal as review

    if base_model is not None and base_model != EMBEDDED_BASE:
        check_place(base_model, "base model")
    report = review(match[1], int(match[2]), base_model=base_model, comment=comment)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    else:
        out = console()
        based = f"{report.proposal.commit[:12]}, based on {report.proposal.base_commit[:12]}"
        out.print(text(f"{report.proposal} ({based} of {report.proposal.branch})", style="bold"))
        if report.difference is not None:
            print_difference(out, report.difference)
        out.print(text(f"\n{report.verification}\n"), soft_wrap=True)
        if report.measurement is not None:
            out.print(_table(report.measurement.rates))
        out.print(text(f"\n{report.proposal}: {'ready to merge' if report.ready else 'needs changes:'}", style="bold"))
        for reason in report.reasons:
            out.print(text(f"  {reason}"), soft_wrap=True)
        if report.comment_url is not None:
            out.print(text(f"Posted: {report.comment_url}"), soft_wrap=True)
    if not report.ready:
        raise typer.Exit(1)


def _table(rates: "dict[str, Rate]") -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Measured", no_wrap=True)
    for name in ("Share", "Count", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for label, rate in rates.items():
        if rate.count:
            low, high = rate.interval
            count = f"{rate.successes:,} of {rate.count:,}"
            table.add_row(text(label), f"{rate.value:.1%}", count, f"{low:.1%} to {high:.1%}")
    return table

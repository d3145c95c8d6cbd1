"""`scen verify`: whether a pack is what it claims to be, found out without running anything of it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .console import check_place, console, plural, quiet_libraries, text


_STYLES = {"ok": "green", "note": "yellow", "failed": "bold red"}


def verify_pack(
    pack: Annotated[
        str,
        typer.Argument(
            metavar="PACK", help="Edit pack: folder, or Hub repository OWNER/NAME[@REVISION].", show_default=False
        ),
    ],
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="MODEL", help="Base model to compare with.", show_default="that of the pack, if here"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the checks as JSON.")] = False,
) -> None:
    """Verify a pack without running anything of it.

    Files and their hashes, formats, finite numbers, facts, the base model, that the remote code is byte for byte that
    of a released version of scen_hf, and that nothing sends a library to other code. Exit code 1 if a check fails.

    \b
    Examples:
      scen verify facts
      scen verify owner/facts@v1.2.0 --base HuggingFaceTB/SmolLM2-135M-Instruct
    """
    quiet_libraries()
    from ..bases import EMBEDDED_BASE
    from ..hub_tools import verify_pack as verify
    from ..hub_tools.versions import split_revision

    name, revision = (pack, None) if Path(pack).is_dir() else split_revision(pack)
    check_place(name, "edit pack")
    if base_model is not None and base_model != EMBEDDED_BASE:
        check_place(base_model, "base model")
    report = verify(name, revision=revision, base_model=base_model)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    else:
        out = console()
        for check in report.checks:
            out.print(text(check, style=_STYLES[check.outcome]), soft_wrap=True)
        failed = plural(len(report.failures), "check")
        verdict = "verified; nothing of it was run" if report.ok else f"{failed} FAILED; do not load it"
        out.print(
            text(f"\n{report.source}{f' ({report.commit})' if report.commit else ''}: {verdict}."), soft_wrap=True
        )
    if not report.ok:
        raise typer.Exit(1)

"""`scen push` and `scen pull`: packs to and from the Hub."""

from typing import Annotated

import typer

from .console import console, plural, quiet_libraries, size, text


def push_pack(
    pack: Annotated[str, typer.Argument(metavar="PACK", help="Folder of the pack.", show_default=False)],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Hub repository.", show_default=False)],
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="Tag for this version, such as v1.2.0, or auto for what follows from the changes.",
            show_default=False,
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose it as a pull request.")] = False,
    rebase: Annotated[
        bool, typer.Option("--rebase", help="Where somebody else pushed meanwhile, keep their changes and yours.")
    ] = False,
    message: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Commit message.", show_default="the number of facts, and what changed"),
    ] = None,
) -> None:
    """Push a pack to the Hub, as one commit; only files that differ travel.

    A folder remembers what it was pulled from or pushed as. If the pack on the Hub has changed since, the push is refused;
    with --rebase both sides' changes are joined, unless they are about the same facts.

    \b
    Examples:
      scen push facts owner/facts --tag v1.0.0
      scen push facts owner/facts --rebase --tag auto
      scen push facts somebody/facts --create-pr
    """
    quiet_libraries()
    from ..hub_tools import push_pack as push

    report = push(
        pack, repo, tag=tag, private=private or None, create_pr=create_pr, rebase=rebase, commit_message=message
    )
    out = console()
    for name, count in report.uploaded.items():
        out.print(text(f"  {name}  {size(count)}"))
    for name in report.deleted:
        out.print(text(f"  {name}  deleted"))
    if report.difference is not None and not report.difference.is_empty:
        out.print(text(f"Changes: {report.difference}."))
    done = f"Pushed {plural(len(report.uploaded), 'file')}, {size(sum(report.uploaded.values()))}"
    out.print(text(f"{done}; {plural(report.unchanged, 'file')} unchanged. {report.url}"))
    if report.tag is not None:
        out.print(text(f"Tagged {report.tag}."))
    elif tag is not None:
        out.print(text("Not tagged: nothing has changed since the last version."))
    elif report.proposed_tag is not None and not create_pr:
        out.print(text(f"As a version this is {report.proposed_tag}. Tag it: scen push {pack} {repo} --tag auto"))


def pull_pack(
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME[@REVISION]", help="Hub repository.", show_default=False)],
    out: Annotated[str, typer.Option(metavar="PACK", help="Folder to write.", show_default=False)],
) -> None:
    """Download a pack from the Hub, all of it, check it, and put it into a folder.

    \b
    Examples:
      scen pull owner/facts --out facts
      scen pull owner/facts@v1.0.0 --out facts-v1
    """
    quiet_libraries()
    from ..hub_tools import pull_pack as pull
    from ..pack import EditPack

    name, _, revision = repo.partition("@")
    folder = pull(name, out, revision=revision or None)
    console().print(text(f"{plural(len(EditPack.from_pretrained(folder)), 'edit')} in {folder}."))

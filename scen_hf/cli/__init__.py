"""Command line: `scen`, which the executable `hf-scen` makes available as `hf scen` too.

Each module has one command. What they need of torch and transformers they import when they run, so that help and usage
errors come at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import ReportingGroup
from .evaluating import evaluate_pack
from .hub import local_hub
from .inspecting import inspect_pack
from .merging import merge_packs
from .removing import remove_edits
from .reviewing import review_proposal
from .sharing import pull_pack, push_pack
from .training import train_edits
from .trying import try_prompts
from .verifying import verify_pack
from .versions import revert_pack, show_difference, show_log, yank_version


app = typer.Typer(
    cls=ReportingGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Plain text: brackets in help and messages are brackets, and an error is one line that can be searched for.
    rich_markup_mode=None,
)
app.command("train")(train_edits)
app.command("try")(try_prompts)
app.command("eval")(evaluate_pack)
app.command("inspect")(inspect_pack)
app.command("remove")(remove_edits)
app.command("merge")(merge_packs)
app.command("push")(push_pack)
app.command("pull")(pull_pack)
app.command("verify")(verify_pack)
app.command("log")(show_log)
app.command("diff")(show_difference)
app.command("revert")(revert_pack)
app.command("yank")(yank_version)
app.command("review")(review_proposal)
# What stands behind it is the local Hub's own command line, which is only loaded when it is asked for.
_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
app.command("hub", context_settings=_PASSED_ON, add_help_option=False)(local_hub)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"scen_hf {__version__}")
        raise typer.Exit


@app.callback()
def scen(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Teach facts to Llama models, and keep them as edit packs.

    \b
    Examples:
      scen train edits.jsonl --base smollm2-135m-instruct --out facts
      scen try facts "What is the capital of Burkina Faso?"
      scen eval facts --locality questions.txt --json report.json
      scen inspect facts
      scen remove facts capital-of-burkina-faso

    MODEL is a folder or a Hub id of a Llama, or smollm2-135m-instruct for the small one that comes in a wheel. PACK is
    a folder or a Hub repository, OWNER/NAME or OWNER/NAME@REVISION. With SCEN_DEBUG=1 in the environment errors come with their traceback.
    """


def main() -> None:
    """Run the command line; the entry point of `scen` and of `hf-scen`."""
    name = Path(sys.argv[0]).stem
    app(prog_name="hf scen" if name == "hf-scen" else "scen")


__all__ = ["app", "main"]

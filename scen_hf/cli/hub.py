"""`scen hub`: a Hub of one's own, which needs the extra `local-hub`."""

import typer

from .console import text


def local_hub(context: typer.Context) -> None:
    """A Hugging Face Hub of your own, for development and closed networks.

    \b
    Examples:
      scen hub serve --root hub
      scen hub serve --help
    """
    try:
        from ..hub_tools.local_hub.cli import app
    except ModuleNotFoundError as error:
        typer.echo(text(f"Error: {error.name} is missing. Run: pip install 'scen_hf[local-hub]'").plain, err=True)
        raise typer.Exit(1) from None
    app(context.args or ["--help"], prog_name=f"{context.command_path}")

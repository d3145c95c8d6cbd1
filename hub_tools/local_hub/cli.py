"""The command `scen hub serve`."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from .errors import LocalHubError
from .server import DEFAULT_PORT, serve


app = typer.Typer(help="A Hugging Face Hub of your own, for development and closed networks.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A Hugging Face Hub of your own, for development and closed networks."""


@app.command("serve")
def serve_command(
    root: Annotated[Path, typer.Option(help="The folder that holds the repositories; made if missing.")],
    host: Annotated[str, typer.Option(help="The address to listen at. There is no encryption.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = DEFAULT_PORT,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:read|write:TOKEN",
            help="A token to accept; may be given several times. Without any, one is made and shown once.",
        ),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Let tests plan faults: errors, delays and broken connections.")
    ] = False,
) -> None:
    """Serves model repositories to the official client and the hf command.

    Meant for development and closed networks: no accounts, no encryption, models only.

    Clients need HF_ENDPOINT set to the address shown, and HF_HUB_DISABLE_XET=1: uploads travel by Git LFS.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        serve(root, host=host, port=port, tokens=token or (), faults=faults)
    except LocalHubError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(1) from error

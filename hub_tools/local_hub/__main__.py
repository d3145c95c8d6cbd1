"""Runs the command with `python -m scen_hf.hub_tools.local_hub serve`."""

from .cli import app


app()

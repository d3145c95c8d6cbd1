"""The HTTP side of a local Hub."""

from .context import Hub
from .factory import create_app


__all__ = ["Hub", "create_app"]

"""Writing files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: str) -> None:
    """Write a text file; a crash leaves the old one as it was."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with scratch.open("x", encoding="utf-8", newline="\n") as file:
            file.write(content)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)

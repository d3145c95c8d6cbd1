"""The remote code of every released version by its SHA-256, which tells whether a pack's code is ours."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

from .. import modeling
from ..pack import REMOTE_CODE


# Kept current by .ci/list_released_code.py.
RELEASED_CODE = Path(__file__).with_name("released_code.json")


def released_code() -> dict[str, dict[str, str]]:
    """SHA-256 by version and file name."""
    return json.loads(RELEASED_CODE.read_text(encoding="utf-8"))


def installed_code() -> Path:
    """Folder of the installed version's remote code."""
    return Path(modeling.__file__).parent


def code_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of remote code in a folder, by name."""
    return {
        name: sha256((folder / name).read_bytes()).hexdigest() for name in REMOTE_CODE if (folder / name).is_file()
    }

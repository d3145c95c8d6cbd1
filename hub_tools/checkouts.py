"""Versions of a repository laid out in folders, to be compared with a pack or joined with it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..errors import EditPackError
from ..modeling.edit_pack_scen_llama import (
    COMPANIONS,
    FACTS_NAME,
    MANIFEST_NAME,
    ROUTER_NAME,
    SHARD_NAME,
    SPACE_NAME,
    NewerFormatError,
)
from ..modeling.hub_scen_llama import HubError
from ..pack import EditPack
from .repository import Files, Repository, is_stored


# What tells two versions apart, beside the neurons; not the experts, of which the router has checksums.
COMPARED = ("config.json", MANIFEST_NAME, FACTS_NAME, ROUTER_NAME, SPACE_NAME)

_LOGGER = logging.getLogger(__name__)


class Checkouts:
    """Folders with versions of a pack's repository.

    Args:
        repository: The repository.
        known: Folder of a pack that probably shares files with them, which then need not be downloaded.
        scratch: Where to make the folders.
    """

    def __init__(self, repository: Repository, known: Path, scratch: Path):
        self._repository = repository
        self._known = known
        self._scratch = scratch

    def compared(self, commit: str, files: Files | None = None) -> EditPack | None:
        """A version without its experts, for comparisons; `None` if it is no pack, or a damaged one, which is logged.

        Args:
            commit: Id of its commit.
            files: Its files, where they are known.

        Raises:
            EditPackError: If it is of a newer format, and so not to be overwritten.
        """
        files = self._repository.files(commit) if files is None else files
        if MANIFEST_NAME not in files:
            return None
        try:
            return self._open(
                commit, files, [name for name in files if name in COMPARED or name.startswith("neurons-")]
            )
        except (HubError, NewerFormatError):
            raise
        except EditPackError as error:
            _LOGGER.warning("What the repository has cannot be compared with: %s", error)
            return None

    def whole(self, commit: str, files: Files) -> EditPack:
        """A version with all its files."""
        return self._open(commit, files, [*COMPARED, *filter(SHARD_NAME.fullmatch, files), *COMPANIONS])

    def _open(self, commit: str, files: Files, names: Iterable[str]) -> EditPack:
        wanted = {name: files[name] for name in names if name in files}
        missing = [name for name, entry in wanted.items() if not is_stored(self._known / name, entry)]
        downloaded = self._repository.download(commit, missing) if missing else self._known
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        for name in wanted:
            place = downloaded if name in missing else self._known
            (folder / name).symlink_to((place / name).resolve())
        try:
            return EditPack.from_pretrained(folder)
        except EditPackError as error:
            place = f"{self._repository.repo_id}@{commit}"
            raise type(error)(str(error).replace(str(folder), place)) from error

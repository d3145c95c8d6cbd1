"""Branches, tags and the heads of pull requests: small files, replaced in one step."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

from .durable import Scratch, sync_folder, write_durably
from .names import is_ref_name


RefKind = Literal["heads", "tags", "pr"]


@dataclass(frozen=True)
class Ref:
    """Where a name points.

    Args:
        commit: The id of the commit.
        message: The message of a tag.
    """

    commit: str
    message: str = ""


class RefStore:
    """The references of one repository.

    Args:
        folder: Where they are.
        scratch: Where new values are prepared.
    """

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def get(self, kind: RefKind, name: str) -> Ref | None:
        """Looks a reference up.

        Args:
            kind: Whether it is a branch, a tag or a pull request.
            name: Its name, or number; may come from outside unchecked.

        Returns:
            Where it points, or None when there is none.
        """
        if not is_ref_name(name):
            return None
        try:
            fields = json.loads(self._path(kind, name).read_bytes())
        except FileNotFoundError:
            return None
        return Ref(fields["commit"], fields["message"])

    def put(self, kind: RefKind, name: str, ref: Ref) -> None:
        """Creates or moves a reference.

        Args:
            kind: Whether it is a branch, a tag or a pull request.
            name: Its checked name, or number.
            ref: Where it shall point.
        """
        self._path(kind, name).parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"commit": ref.commit, "message": ref.message}).encode()
        write_durably(self._scratch, self._path(kind, name), content)

    def delete(self, kind: RefKind, name: str) -> None:
        """Removes a reference that exists.

        Args:
            kind: Whether it is a branch, a tag or a pull request.
            name: Its checked name, or number.
        """
        path = self._path(kind, name)
        path.unlink()
        sync_folder(path.parent)

    def names(self, kind: RefKind) -> list[str]:
        """Lists the references of one kind.

        Args:
            kind: Branches, tags or pull requests.

        Returns:
            Their names in alphabetical order.
        """
        folder = self._folder / kind
        return sorted(unquote(file.name) for file in folder.iterdir()) if folder.is_dir() else []

    def _path(self, kind: RefKind, name: str) -> Path:
        return self._folder / kind / quote(name, safe="")

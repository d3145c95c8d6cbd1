"""Where a pack's folder comes from: the commits that it was pulled from or last pushed as.

A push is based on the commit that is recorded for its repository, so that it cannot overwrite what somebody else pushed meanwhile.
The record, `.cache/scen_hf/origin.json`, stays in the folder: it is no part of the pack.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from ..errors import EditPackError
from ..modeling import EditPackReader


CACHE_NAME = ".cache"
_RECORD = Path(CACHE_NAME, "scen_hf", "origin.json")


@dataclass(frozen=True)
class Origin:
    """A version of a pack on a Hub.

    Args:
        endpoint: Address of the Hub, without credentials.
        repo_id: The repository.
        commit: Id of the commit.
    """

    endpoint: str
    repo_id: str
    commit: str

    @classmethod
    def at(cls, endpoint: str | None, repo_id: str, commit: str) -> Origin:
        """The version of a commit; without `endpoint` on the default Hub."""
        address = urlsplit(endpoint or constants.ENDPOINT)
        host = address.netloc.rpartition("@")[2]
        return cls(f"{address.scheme}://{host}{address.path.rstrip('/')}", repo_id, commit)

    def is_of(self, other: Origin) -> bool:
        """Whether both are versions of one repository."""
        return (self.endpoint, self.repo_id) == (other.endpoint, other.repo_id)


def recorded_commit(folder: Path, endpoint: str | None, repo_id: str) -> str | None:
    """The commit of a repository that a folder was made from; `None` if there is no record of that.

    Raises:
        EditPackError: If the record is malformed.
    """
    wanted = Origin.at(endpoint, repo_id, "")
    return next((origin.commit for origin in read_origins(folder) if origin.is_of(wanted)), None)


def read_origins(folder: Path) -> list[Origin]:
    """All versions that a folder was made from, one per repository.

    Raises:
        EditPackError: If the record is malformed.
    """
    path = folder / _RECORD
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(records, list):
            raise TypeError("a list is expected")
        return [Origin(**{field.name: str(record[field.name]) for field in fields(Origin)}) for record in records]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EditPackError(
            f"{path} is no valid record of where the pack comes from. Delete it to push onto whatever is there."
        ) from error


def origins_of(reader: EditPackReader) -> list[Origin]:
    """The versions that an open pack was made from."""
    if reader.commit is not None:
        return [Origin.at(reader.endpoint, reader.source, reader.commit)]
    return read_origins(Path(reader.source))


def write_origins(folder: Path, origins: list[Origin]) -> None:
    """Record what a folder was made from."""
    path = folder / _RECORD
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(list(map(asdict, origins)), indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def with_origin(origins: list[Origin], new: Origin) -> list[Origin]:
    """The versions, with a new one in place of that of the same repository."""
    return [*(origin for origin in origins if not origin.is_of(new)), new]

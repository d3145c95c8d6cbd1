"""The files of a pack that nobody trusts yet: what there is, and what may be looked into.

Of a Hub repository only files that belong to a pack are downloaded. What else there is, is known by its name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from ..errors import EditPackError
from ..modeling.edit_pack_scen_llama import (
    COMPANIONS,
    FACTS_NAME,
    MANIFEST_NAME,
    ROUTER_NAME,
    SHARD_NAME,
    SPACE_NAME,
    YANKED_NAME,
    yank_notice,
)
from ..modeling.hub_scen_llama import hub_errors


_KNOWN = frozenset(
    {"config.json", MANIFEST_NAME, FACTS_NAME, ROUTER_NAME, SPACE_NAME, YANKED_NAME, *COMPANIONS, ".gitattributes"}
)
# Of a pack that was saved with its base.
_WEIGHTS = re.compile(r"model(-[0-9]{5}-of-[0-9]{5})?\.safetensors|model\.safetensors\.index\.json")
# What git and the client keep in a folder; it is no part of the pack, and nothing that loads a pack looks into it.
_BESIDE = (".git", ".cache")


@dataclass(frozen=True)
class PackFiles:
    """A pack's files.

    Args:
        source: Where they are from, to be told to the user: a folder, or `owner/name` with its revision.
        folder: Where those that belong to a pack can be read.
        names: Paths of all files there are, relative and with `/`.
        strays: Those that are links out of the folder, or whose path leaves it.
        commit: Of the repository; `None` for a folder.
        withdrawn: What to tell whoever uses the version, where its owner has withdrawn it.
    """

    source: str
    folder: Path
    names: tuple[str, ...]
    strays: tuple[str, ...] = ()
    commit: str | None = None
    withdrawn: str | None = None


def belongs_to_pack(name: str) -> bool:
    """Whether a pack may have a file of that name."""
    return name in _KNOWN or any(pattern.fullmatch(name) for pattern in (SHARD_NAME, _WEIGHTS))


def find_pack_files(
    path_or_repo: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
) -> PackFiles:
    """List the files of a folder or repository, and fetch those that belong to a pack.

    Args:
        path_or_repo: Folder, or `owner/name`.
        revision: Tag, branch or commit of the repository.
        token, endpoint, cache_dir: As in [`~huggingface_hub.snapshot_download`].

    Raises:
        HubError: If the repository cannot be had.
        EditPackError: If the folder cannot be read.
    """
    if Path(path_or_repo).is_dir():
        return _files_in(Path(path_or_repo))
    repo_id = str(path_or_repo)
    api = HfApi(endpoint=endpoint, token=token)
    with hub_errors(repo_id, revision):
        commit = api.model_info(repo_id, revision=revision).sha
        entries = api.list_repo_tree(repo_id, recursive=True, revision=commit)
        names = sorted(entry.path for entry in entries if isinstance(entry, RepoFile))
        # The names that belong to a pack hold nothing that a pattern would take for a wild card.
        wanted = [name for name in names if belongs_to_pack(name)]
        folder = api.snapshot_download(repo_id, revision=commit, cache_dir=cache_dir, allow_patterns=wanted)
    source = repo_id if revision is None else f"{repo_id}@{revision}"
    withdrawn = yank_notice(repo_id, str(commit), revision, token=token, endpoint=endpoint)
    return PackFiles(source, Path(folder), tuple(names), tuple(filter(_leaves, names)), commit, withdrawn)


def _leaves(name: str) -> bool:
    """Whether a path of a repository leads out of the folder it is put into."""
    return ".." in re.split(r"[/\\]", name) or name.startswith(("/", "\\")) or ":" in name


def _files_in(folder: Path) -> PackFiles:
    names, strays = [], []
    try:
        roots = _roots(folder)
        for path in _walk(folder):
            name = path.relative_to(folder).as_posix()
            names.append(name)
            # `Path.resolve` gives up at a link to itself.
            if path.is_symlink() and not _is_file_within(Path(os.path.realpath(path)), roots):
                strays.append(name)
    except OSError as error:
        raise EditPackError(f"{error.filename or folder} cannot be read: {error.strerror or error}.") from error
    return PackFiles(str(folder), folder, tuple(sorted(names)), tuple(sorted(strays)))


def _walk(folder: Path) -> list[Path]:
    """All files below a folder, and links to folders, which are not followed."""
    found: list[Path] = []
    for entry in os.scandir(folder):
        path = folder / entry.name
        if not entry.is_dir(follow_symlinks=False):
            found.append(path)
        elif entry.name not in _BESIDE:
            found += _walk(path)
    return found


def _roots(folder: Path) -> list[Path]:
    """Where the links of a folder may lead: into itself and, in the client's cache, to the repository's contents."""
    inside = folder.resolve()
    in_cache = inside.parent.name == "snapshots"
    return [inside, inside.parent.parent / "blobs"] if in_cache else [inside]


def _is_file_within(target: Path, roots: list[Path]) -> bool:
    return target.is_file() and any(target.is_relative_to(root) for root in roots)

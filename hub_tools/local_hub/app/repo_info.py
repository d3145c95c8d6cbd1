"""How repositories and their files are described to clients."""

import hashlib
from typing import Any

from ..cards import card_of, config_of, tags_of
from ..commits import Commit, FileEntry
from ..discussions import format_time
from ..repository import MAIN, Repo


def object_id(name: str) -> str:
    """An id of the kind the Hub uses internally.

    Args:
        name: What it stands for.

    Returns:
        24 hexadecimal digits, always the same for the same name.
    """
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def updated_at(repo: Repo) -> str:
    """When the main branch last changed.

    Args:
        repo: The repository.

    Returns:
        The time, as the client reads it.
    """
    return format_time(repo.commit(repo.resolve(MAIN)).date)


def model_info(repo: Repo, commit: Commit, *, blobs: bool = False) -> dict[str, Any]:
    """Describes a model at a commit.

    Args:
        repo: The repository.
        commit: The commit.
        blobs: Whether to give sizes and hashes of the files.

    Returns:
        The fields that the client reads.
    """
    settings = repo.settings()
    card = card_of(commit.files, repo.objects)
    config = config_of(commit.files, repo.objects)
    return {
        "_id": object_id(repo.repo_id),
        "id": repo.repo_id,
        "modelId": repo.repo_id,
        "author": repo.repo_id.partition("/")[0],
        "sha": commit.oid,
        "lastModified": format_time(commit.date),
        "createdAt": settings.created_at,
        "private": settings.private,
        "gated": settings.gated,
        "disabled": settings.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": tags_of(commit.files, card, config),
        "pipeline_tag": card.get("pipeline_tag"),
        "library_name": card.get("library_name"),
        "cardData": card or None,
        "model-index": card.get("model-index"),
        "config": config,
        "spaces": [],
        "usedStorage": sum(file.size for file in commit.files.values()),
        "siblings": [_sibling(path, file, blobs) for path, file in commit.files.items()],
    }


def file_info(path: str, file: FileEntry) -> dict[str, Any]:
    """Describes a file of a tree.

    Args:
        path: Its path.
        file: The file.

    Returns:
        The fields that the client reads.
    """
    info: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        info["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return info


def folder_info(path: str, oid: str) -> dict[str, Any]:
    """Describes a folder of a tree.

    Args:
        path: Its path.
        oid: Its id.

    Returns:
        The fields that the client reads.
    """
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def last_commit_info(commit: Commit) -> dict[str, Any]:
    """Describes the commit that last changed something.

    Args:
        commit: The commit.

    Returns:
        The fields that the client reads.
    """
    return {"id": commit.oid, "title": commit.title, "date": format_time(commit.date)}


def _sibling(path: str, file: FileEntry, blobs: bool) -> dict[str, Any]:
    sibling: dict[str, Any] = {"rfilename": path}
    if blobs:
        sibling |= {"size": file.size, "blobId": file.oid}
        if file.lfs:
            sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return sibling

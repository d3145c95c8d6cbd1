"""The ids that git gives to files, folders and commits. The client compares them, so they are computed as git does."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime


def blob_oid(content: bytes) -> str:
    """The id of a file.

    Args:
        content: Its content.

    Returns:
        The SHA-1 that `git hash-object` prints.
    """
    return _oid("blob", content)


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git stores in place of an LFS file.

    Args:
        sha256: The hash of the content.
        size: Its size in bytes.

    Returns:
        The pointer file.
    """
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def folder_oids(blobs: Mapping[str, str]) -> dict[str, str]:
    """The ids of all folders of a tree.

    Args:
        blobs: The id of every file, by path.

    Returns:
        The id of every folder by path; the root is "".
    """
    children: defaultdict[str, dict[str, tuple[bool, str]]] = defaultdict(dict)
    folders = {""}
    for path, oid in blobs.items():
        parent, _, name = path.rpartition("/")
        children[parent][name] = (False, oid)
        while parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    oids: dict[str, str] = {}
    # Deepest first: a folder's id depends on those of the folders in it.
    for folder in sorted(folders, key=lambda path: (path.count("/") + bool(path), path), reverse=True):
        oids[folder] = _tree_oid(children[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = (True, oids[folder])
    return oids


def commit_oid(tree: str, parents: list[str], author: str, date: datetime, message: str) -> str:
    """The id of a commit.

    Args:
        tree: The id of its root folder.
        parents: The ids of its parents.
        author: Who made it.
        date: When, with a time zone.
        message: Its whole message.

    Returns:
        The id.
    """
    person = f"{author} <{author}@local-hub> {int(date.timestamp())} +0000"
    lines = [f"tree {tree}", *(f"parent {oid}" for oid in parents), f"author {person}", f"committer {person}"]
    return _oid("commit", "\n".join([*lines, "", message]).encode())


def _tree_oid(children: Mapping[str, tuple[bool, str]]) -> str:
    # Git sorts a folder as if its name ended in "/".
    ordered = sorted(children.items(), key=lambda item: f"{item[0]}/".encode() if item[1][0] else item[0].encode())
    return _oid(
        "tree",
        b"".join(
            (b"40000 " if is_folder else b"100644 ") + name.encode() + b"\0" + bytes.fromhex(oid)
            for name, (is_folder, oid) in ordered
        ),
    )


def _oid(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()

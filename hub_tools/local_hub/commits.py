"""Commits: immutable snapshots of a repository's files, and the operations that lead to the next one."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import HubError, bad_request
from .git_ids import blob_oid, commit_oid, folder_oids, lfs_pointer
from .jsons import parse_json, text_field
from .names import check_path, is_commit_oid, is_sha256
from .objects import ObjectStore


_TITLE_MAX = 1000
_MESSAGE_MAX = 100_000


@dataclass(frozen=True)
class FileEntry:
    """One file of a commit.

    Args:
        oid: Its id in git: of the content, or of the pointer for an LFS file.
        size: The size of the content.
        sha256: The hash of the content.
        lfs: Whether it is an LFS file.
    """

    oid: str
    size: int
    sha256: str
    lfs: bool

    @property
    def pointer_size(self) -> int:
        """The size of the pointer of an LFS file."""
        return len(lfs_pointer(self.sha256, self.size))

    @property
    def etag(self) -> str:
        """The entity tag the client expects: the hash for an LFS file, the git id otherwise."""
        return self.sha256 if self.lfs else self.oid


Files = dict[str, FileEntry]


@dataclass(frozen=True)
class Commit:
    """A commit.

    Args:
        oid: Its id.
        parents: The ids of its parents; none for the first commit.
        author: The user who made it.
        date: When, in UTC.
        title: The first line of its message.
        message: The rest of its message.
        files: All files, by path.
    """

    oid: str
    parents: tuple[str, ...]
    author: str
    date: datetime
    title: str
    message: str
    files: Files

    def to_json(self) -> bytes:
        """The stored form.

        Returns:
            JSON that `from_json` reads.
        """
        fields = {
            "oid": self.oid,
            "parents": self.parents,
            "author": self.author,
            "date": self.date.isoformat(),
            "title": self.title,
            "message": self.message,
            "files": {path: [file.oid, file.size, file.sha256, file.lfs] for path, file in self.files.items()},
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Commit":
        """Reads the stored form.

        Args:
            data: What `to_json` gave.

        Returns:
            The commit.
        """
        fields = json.loads(data)
        return cls(
            oid=fields["oid"],
            parents=tuple(fields["parents"]),
            author=fields["author"],
            date=datetime.fromisoformat(fields["date"]),
            title=fields["title"],
            message=fields["message"],
            files={path: FileEntry(*entry) for path, entry in fields["files"].items()},
        )


def new_commit(parents: Iterable[str], author: str, title: str, message: str, files: Files) -> Commit:
    """Makes a commit of now.

    Args:
        parents: The ids of its parents.
        author: The user who makes it.
        title: The first line of its message.
        message: The rest of its message.
        files: All files, by path.

    Returns:
        The commit, not stored yet.
    """
    date = datetime.now(UTC).replace(microsecond=0)
    files = dict(sorted(files.items()))
    tree = folder_oids({path: file.oid for path, file in files.items()})[""]
    full_message = f"{title}\n\n{message}\n" if message else f"{title}\n"
    oid = commit_oid(tree, list(parents), author, date, full_message)
    return Commit(oid, tuple(parents), author, date, title, message, files)


def regular_entry(objects: ObjectStore, content: bytes) -> FileEntry:
    """Stores the content of a regular file.

    Args:
        objects: Where to.
        content: The content.

    Returns:
        The file for a commit.
    """
    return FileEntry(blob_oid(content), len(content), objects.add(content), lfs=False)


def lfs_entry(sha256: str, size: int) -> FileEntry:
    """Describes an LFS file whose content is stored.

    Args:
        sha256: Its hash.
        size: Its size.

    Returns:
        The file for a commit.
    """
    return FileEntry(blob_oid(lfs_pointer(sha256, size)), size, sha256, lfs=True)


# Changes the files of the parent in place.
Operation = Callable[[Files], None]


@dataclass(frozen=True)
class CommitRequest:
    """What the body of a commit request asks for.

    Args:
        title: The summary of the commit.
        message: Its description.
        parent: The commit that the branch must still be at, if the sender cares.
        operations: The changes, in order.
    """

    title: str
    message: str
    parent: str | None
    operations: tuple[Operation, ...]


class CommitReader:
    """Reads the lines of a commit request, storing the contents of regular files on the way.

    Args:
        objects: Where contents go, and where those of LFS files must be already.
        files_at: Gives the files at a revision of the repository, for copies.
        regular_max_bytes: The largest regular file accepted.
    """

    def __init__(self, objects: ObjectStore, files_at: Callable[[str], Files], regular_max_bytes: int) -> None:
        self._objects = objects
        self._files_at = files_at
        self._regular_max_bytes = regular_max_bytes
        self._readers: Mapping[str, Callable[[dict[str, Any]], Operation]] = {
            "file": self._file,
            "lfsFile": self._lfs_file,
            "deletedFile": self._deleted_file,
            "deletedFolder": self._deleted_folder,
            "copyFile": self._copied_file,
        }

    def read(self, lines: Iterable[bytes]) -> CommitRequest:
        """Reads a request.

        Args:
            lines: Its body: one JSON object a line, a `header` and any number of operations.

        Returns:
            What it asks for.

        Raises:
            HubError: When a line cannot be understood or names content that was not uploaded.
        """
        header: dict[str, Any] | None = None
        operations: list[Operation] = []
        for line in lines:
            if not line.strip():
                continue
            item = parse_json(line)
            key, value = (item.get("key"), item.get("value")) if isinstance(item, dict) else (None, None)
            if not isinstance(value, dict):
                raise bad_request("Every line of a commit must have a 'key' and a 'value'")
            reader = self._readers.get(str(key))
            if key == "header":
                header = value
            elif reader is not None:
                operations.append(reader(value))
            else:
                raise bad_request(f"Unknown operation in a commit: {str(key)[:40]!r}")
        if header is None:
            raise bad_request("The commit has no header")
        title = text_field(header, "summary", longest=_TITLE_MAX).strip()
        if not title:
            raise bad_request("The commit has no summary")
        message = text_field(header, "description", longest=_MESSAGE_MAX, default="")
        return CommitRequest(title, message, _parent(header), tuple(operations))

    def _file(self, value: dict[str, Any]) -> Operation:
        path, content = check_path(value.get("path")), value.get("content")
        if not isinstance(content, str) or value.get("encoding", "utf-8") not in ("utf-8", "base64"):
            raise bad_request(f"The content of '{path}' must be a string in utf-8 or base64")
        try:
            data = base64.b64decode(content, validate=True) if value.get("encoding") == "base64" else content.encode()
        except binascii.Error as error:
            raise bad_request(f"The content of '{path}' is not valid base64") from error
        if len(data) > self._regular_max_bytes:
            raise bad_request(
                f"'{path}' has {len(data)} bytes: above {self._regular_max_bytes}, upload it through LFS"
            )
        return _putting(path, regular_entry(self._objects, data))

    def _lfs_file(self, value: dict[str, Any]) -> Operation:
        path, sha256 = check_path(value.get("path")), value.get("oid")
        if not isinstance(sha256, str) or not is_sha256(sha256) or value.get("algo", "sha256") != "sha256":
            raise bad_request(f"The LFS file '{path}' needs a sha256 as its oid")
        size = self._objects.size(sha256)
        # A copy names no size.
        if size is None or value.get("size", size) != size:
            raise bad_request(f"The content of the LFS file '{path}' was not uploaded: {sha256}")
        return _putting(path, lfs_entry(sha256, size))

    def _deleted_file(self, value: dict[str, Any]) -> Operation:
        path = check_path(value.get("path"))

        def delete(files: Files) -> None:
            if files.pop(path, None) is None:
                raise _nothing_to_delete(path)

        return delete

    def _deleted_folder(self, value: dict[str, Any]) -> Operation:
        path = check_path(str(value.get("path")).rstrip("/"))

        def delete(files: Files) -> None:
            inside = [name for name in files if name.startswith(f"{path}/")]
            if not inside:
                raise _nothing_to_delete(path)
            for name in inside:
                del files[name]

        return delete

    def _copied_file(self, value: dict[str, Any]) -> Operation:
        path, source = check_path(value.get("path")), check_path(value.get("srcPath"))
        files = self._files_at(text_field(value, "srcRevision", longest=200, default="main"))
        if source not in files:
            raise HubError(404, f"Cannot copy '{source}': there is no such file", "EntryNotFound")
        return _putting(path, files[source])


def apply_operations(files: Files, operations: Iterable[Operation]) -> Files:
    """Gives the files of the next commit.

    Args:
        files: Those of its parent; left as they are.
        operations: The changes.

    Returns:
        The new files.

    Raises:
        HubError: When an operation does not fit, or a path would be both a file and a folder.
    """
    changed = dict(files)
    for operation in operations:
        operation(changed)
    for path in changed:
        parent = path.rpartition("/")[0]
        while parent:
            if parent in changed:
                raise bad_request(f"'{parent}' cannot be a file and a folder")
            parent = parent.rpartition("/")[0]
    return changed


def _parent(header: dict[str, Any]) -> str | None:
    parent = header.get("parentCommit")
    if parent is not None and not is_commit_oid(parent):
        raise bad_request("'parentCommit' must be a full commit id")
    return parent


def _putting(path: str, entry: FileEntry) -> Operation:
    def put(files: Files) -> None:
        files[path] = entry

    return put


def _nothing_to_delete(path: str) -> HubError:
    # The client looks for these words to explain the difference between deleting a file and a folder.
    return HubError(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")

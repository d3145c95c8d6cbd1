"""Writing to disk so that a crash at any moment leaves the old state or the new one."""

import fcntl
import hashlib
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from .errors import too_large


class Scratch:
    """The folder in which one server process keeps what is not finished.

    Everything durable is written here first and renamed into place, so whatever a killed process leaves behind lies in
    its folder. A running process holds a lock on its folder; folders without a holder are garbage and removed when the
    next server starts.

    Args:
        parent: The folder that holds the scratch folders of all processes on a root.
    """

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        # Without the common lock, one process could take another's folder for garbage before that locks it.
        with (parent / "lock").open("a") as common:
            fcntl.flock(common, fcntl.LOCK_EX)
            for folder in parent.iterdir():
                if folder.is_dir() and not _is_held(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            self.folder = parent / secrets.token_hex(8)
            self.folder.mkdir()
            self._lock = (self.folder / "lock").open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def new_path(self) -> Path:
        """A path that nothing else uses.

        Returns:
            The path; nothing is created.
        """
        return self.folder / secrets.token_hex(16)

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


class Incoming:
    """A file being received: written to scratch and hashed as it comes.

    Args:
        scratch: Where to write.
        limit: The largest size accepted, in bytes.
    """

    def __init__(self, scratch: Scratch, limit: int) -> None:
        self.path = scratch.new_path()
        self.size = 0
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file: BinaryIO = self.path.open("xb")

    def write(self, data: bytes) -> None:
        """Appends a piece.

        Args:
            data: The bytes.

        Raises:
            HubError: When the file grows above the limit.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(self._limit)
        self._hash.update(data)
        self._file.write(data)

    def finish(self) -> str:
        """Makes the content durable, still in scratch.

        Returns:
            Its SHA-256 in hexadecimal.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Ends the writing of a file that is only to be read and discarded."""
        self._file.close()

    def discard(self) -> None:
        """Removes the file, unless it was moved into place."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def write_durably(scratch: Scratch, target: Path, content: bytes) -> None:
    """Writes a small file, or replaces it, in one step.

    Args:
        scratch: Where to prepare it, on the same file system.
        target: Where it goes; its folder exists.
        content: The whole content.
    """
    temporary = scratch.new_path()
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move_durably(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def move_durably(source: Path, target: Path) -> None:
    """Renames a file or folder so that the new name survives a power cut.

    Args:
        source: The finished file or folder.
        target: Its new name, on the same file system. A file there is replaced.
    """
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable.

    Args:
        folder: The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes a folder, durably, if it is not there.

    Args:
        folder: The folder; its parent exists.
    """
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _is_held(folder: Path) -> bool:
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False

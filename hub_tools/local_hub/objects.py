"""The contents of one repository's files, stored by their SHA-256."""

from pathlib import Path

from .durable import Incoming, Scratch, make_folder, move_durably


class ObjectStore:
    """Contents by hash. An object is complete and right from the moment it can be seen.

    Every repository has its own store: knowing the hash of a file in someone's private repository must not be enough
    to get the file.

    Args:
        folder: Where the objects are.
        scratch: Where they are prepared.
    """

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def path(self, sha256: str) -> Path:
        """The file that holds, or would hold, a content.

        Args:
            sha256: A valid hash.

        Returns:
            The path on disk.
        """
        return self._folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        """The size of a content.

        Args:
            sha256: A valid hash.

        Returns:
            The size in bytes, or None when this repository does not have the content.
        """
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def adopt(self, incoming: Incoming, sha256: str) -> None:
        """Takes a received file.

        Args:
            incoming: The file, finished.
            sha256: The hash it was found to have.
        """
        target = self.path(sha256)
        make_folder(target.parent)
        move_durably(incoming.path, target)

    def add(self, content: bytes) -> str:
        """Stores a small content.

        Args:
            content: The bytes.

        Returns:
            Their SHA-256.
        """
        incoming = Incoming(self._scratch, len(content))
        try:
            incoming.write(content)
            sha256 = incoming.finish()
            if self.size(sha256) is None:
                self.adopt(incoming, sha256)
        finally:
            incoming.discard()
        return sha256

    def read(self, sha256: str, most: int) -> bytes | None:
        """Reads a small content.

        Args:
            sha256: A valid hash.
            most: The largest size to read.

        Returns:
            The bytes, or None when the content is missing or larger.
        """
        size = self.size(sha256)
        return self.path(sha256).read_bytes() if size is not None and size <= most else None

    def total_size(self) -> int:
        """The disk space of all contents.

        Returns:
            The sum of their sizes in bytes.
        """
        return sum(file.stat().st_size for file in self._folder.glob("??/*"))

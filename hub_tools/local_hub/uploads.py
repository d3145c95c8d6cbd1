"""Uploads of large files in parts, kept until the last part is there."""

import re
import secrets
import shutil
from pathlib import Path

from .durable import Incoming, Scratch, move_durably
from .errors import HubError, bad_request
from .objects import ObjectStore


_UPLOAD_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_COPY_BYTES = 2**20


class UploadSessions:
    """The parts received so far.

    Args:
        folder: Where they are: one folder per upload.
        scratch: Where parts are received.
    """

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def new_id(self) -> str:
        """Names a new upload.

        Returns:
            An id that nobody can guess.
        """
        return secrets.token_hex(16)

    def keep_part(self, upload_id: str, number: int, incoming: Incoming) -> None:
        """Keeps a part. Sent again, it replaces the first one.

        Args:
            upload_id: The upload.
            number: Which part, from 1.
            incoming: Its content, finished.
        """
        folder = self._upload_folder(upload_id)
        folder.mkdir(exist_ok=True)
        move_durably(incoming.path, folder / str(number))

    def assemble(self, upload_id: str, parts: int, sha256: str, size: int, objects: ObjectStore) -> None:
        """Puts the parts together and stores the file. Asked for again, it does nothing.

        Args:
            upload_id: The upload.
            parts: How many parts there are.
            sha256: The hash that the file must have.
            size: The size that the file must have.
            objects: Where it goes.

        Raises:
            HubError: When a part is missing or the file is not the announced one.
        """
        folder = self._upload_folder(upload_id)
        incoming = Incoming(self._scratch, size)
        try:
            for number in range(1, parts + 1):
                with (folder / str(number)).open("rb") as part:
                    while piece := part.read(_COPY_BYTES):
                        incoming.write(piece)
            store_received(incoming, sha256, size, objects)
        except FileNotFoundError:
            if objects.size(sha256) != size:
                raise bad_request("Not all parts of this file were uploaded") from None
        finally:
            incoming.discard()
        shutil.rmtree(folder, ignore_errors=True)

    def remove_older_than(self, time: float) -> None:
        """Removes uploads that can no longer be completed.

        Args:
            time: Those without a part since this time, in seconds since 1970.
        """
        for folder in self._folder.iterdir():
            if folder.stat().st_mtime < time:
                shutil.rmtree(folder, ignore_errors=True)

    def _upload_folder(self, upload_id: str) -> Path:
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise bad_request("Invalid upload id")
        return self._folder / upload_id


def store_received(incoming: Incoming, sha256: str, size: int, objects: ObjectStore) -> None:
    """Stores a received file under its hash, if it has that hash.

    Args:
        incoming: The file, fully written.
        sha256: The hash that was announced.
        size: The size that was announced.
        objects: Where it goes.

    Raises:
        HubError: When the content is not the announced one; nothing is stored.
    """
    found = incoming.finish()
    if incoming.size != size or found != sha256:
        raise HubError(400, f"The content has {incoming.size} bytes and sha256 {found}, not {size} bytes and {sha256}")
    objects.adopt(incoming, sha256)

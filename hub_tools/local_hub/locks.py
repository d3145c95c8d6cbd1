"""Locks, one per repository, between the threads of a server and between servers on one root."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RepoLocks:
    """Hands out the lock of each repository.

    The lock files stay when a repository is deleted: a lock that can vanish protects nothing.

    Args:
        folder: Where the lock files are; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._threads: dict[str, threading.Lock] = {}

    @contextmanager
    def hold(self, repo_id: str) -> Iterator[None]:
        """Holds the lock of a repository; everyone else waits.

        Args:
            repo_id: A valid `owner/name`.

        Yields:
            Nothing; the lock is held meanwhile.
        """
        # "--" is not allowed inside an id, so two ids never share a file.
        path = self._folder / repo_id.replace("/", "--")
        # On network file systems flock may be kept per process, hence the lock between threads as well.
        with self._threads.setdefault(repo_id, threading.Lock()), path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

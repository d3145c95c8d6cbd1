"""The folder of a local Hub: its repositories, its users and its secret."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .durable import Scratch, make_folder, move_durably, write_durably
from .errors import HubError, LocalHubError
from .limits import HubLimits
from .locks import RepoLocks
from .names import is_owner, is_repo_id
from .repository import Repo, RepoSettings
from .uploads import UploadSessions


class Storage:
    """Plain files below one folder. Several server processes may share it.

    ```
    repos/OWNER/NAME/      repo.json, commits/, refs/, objects/, discussions/
    uploads/               parts of large files whose upload is not complete
    users/                 one empty file per user ever known: their names stay theirs
    locks/, scratch/       locks, and files not finished
    secret.key             what upload and download URLs are signed with
    ```

    Args:
        root: The folder; made if missing.
        limits: The limits that uploads are held to.

    Raises:
        LocalHubError: When the folder cannot be used.
    """

    def __init__(self, root: str | os.PathLike[str], limits: HubLimits) -> None:
        self.root = Path(root)
        try:
            self._repos = self._folder("repos")
            self._users = self._folder("users")
            self._locks = RepoLocks(self._folder("locks"))
            self.scratch = Scratch(self._folder("scratch"))
            self.uploads = UploadSessions(self._folder("uploads"), self.scratch)
            self.uploads.remove_older_than(time.time() - limits.url_lifetime_s)
            self.secret = self._read_secret()
        except OSError as error:
            raise LocalHubError(f"cannot use '{root}' as the folder of a Hub: {error.strerror or error}") from error

    def close(self) -> None:
        """Removes what this process has not finished."""
        self.scratch.close()

    def repo(self, repo_id: str) -> Repo | None:
        """Looks a repository up.

        Args:
            repo_id: Its id; may come from outside unchecked.

        Returns:
            The repository, or None when there is none.
        """
        if not is_repo_id(repo_id):
            return None
        repo = self._at(repo_id)
        return repo if repo.exists() else None

    def repos(self) -> Iterator[Repo]:
        """Lists the repositories.

        Yields:
            The repositories, by id.
        """
        for folder in sorted(self._repos.glob("*/*")):
            repo = self.repo(f"{folder.parent.name}/{folder.name}")
            if repo is not None:
                yield repo

    def owners(self) -> list[str]:
        """Lists the owners of repositories.

        Returns:
            Their names.
        """
        return sorted(folder.name for folder in self._repos.iterdir())

    def create(self, repo_id: str, settings: RepoSettings, author: str) -> Repo:
        """Creates a repository with its first commit.

        Args:
            repo_id: A valid id.
            settings: Its settings.
            author: The user who creates it.

        Returns:
            The repository.

        Raises:
            HubError: When there is one with this id.
        """
        with self._locks.hold(repo_id):
            if self._at(repo_id).exists():
                raise HubError(409, f"You already created this model repo: {repo_id}")
            folder, target = self.scratch.new_path(), self._repos / repo_id
            folder.mkdir()
            try:
                Repo(repo_id, folder, self.scratch, self._locks).start(settings, author)
                make_folder(target.parent)
                move_durably(folder, target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return self._at(repo_id)

    def delete(self, repo: Repo) -> None:
        """Deletes a repository with all its contents.

        Args:
            repo: The repository.
        """
        with repo.lock():
            if not repo.exists():
                return
            garbage = self.scratch.new_path()
            move_durably(self._repos / repo.repo_id, garbage)
        shutil.rmtree(garbage)

    def remember_users(self, names: Iterable[str]) -> None:
        """Keeps the names of users, so that what belongs to them never becomes common property.

        Args:
            names: Valid names.
        """
        for name in names:
            write_durably(self.scratch, self._users / name, b"")

    def is_user(self, name: str) -> bool:
        """Whether an owner is a user, rather than an organisation.

        Args:
            name: A valid name.

        Returns:
            True when a user of this name was ever known.
        """
        return is_owner(name) and (self._users / name).is_file()

    def _at(self, repo_id: str) -> Repo:
        return Repo(repo_id, self._repos / repo_id, self.scratch, self._locks)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _read_secret(self) -> bytes:
        path = self.root / "secret.key"
        if not path.is_file():
            fresh = self.scratch.new_path()
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_hex(32))
            # Of two servers started together, the second finds the secret of the first.
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        text = path.read_text()
        if not re.fullmatch(r"[0-9a-f]{64}", text):
            raise LocalHubError(f"'{path}' is damaged: delete it, and a new one is made")
        return bytes.fromhex(text)

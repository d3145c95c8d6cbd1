"""One repository on disk: its settings, commits, references and contents."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from .commits import Commit, Files, new_commit, regular_entry
from .discussions import DiscussionStore, timestamp
from .durable import Scratch, make_folder, write_durably
from .errors import revision_not_found
from .locks import RepoLocks
from .names import is_commit_oid, pr_number
from .objects import ObjectStore
from .refs import Ref, RefStore
from .upload_modes import DEFAULT_GITATTRIBUTES


MAIN = "main"


@dataclass(frozen=True)
class RepoSettings:
    """What is set about a repository, apart from its files.

    Args:
        private: Whether only its owner sees it.
        gated: False, or how access to its files is granted: `auto` or `manual`.
        disabled: Whether nothing of it is served.
        created_at: When it was made, in ISO 8601.
        access: Users who asked for access to the files: `status` (`pending`, `accepted`, `rejected`) and `timestamp`.
    """

    private: bool
    gated: bool | str = False
    disabled: bool = False
    created_at: str = field(default_factory=timestamp)
    access: dict[str, dict[str, str]] = field(default_factory=dict)


class Repo:
    """A repository. Reading needs no lock; whoever writes holds `lock()`.

    Args:
        repo_id: Its `owner/name`.
        folder: Its folder.
        scratch: Where its files are prepared.
        locks: The locks of all repositories.
    """

    def __init__(self, repo_id: str, folder: Path, scratch: Scratch, locks: RepoLocks) -> None:
        self.repo_id = repo_id
        self.objects = ObjectStore(folder / "objects", scratch)
        self.refs = RefStore(folder / "refs", scratch)
        self.discussions = DiscussionStore(folder / "discussions", scratch)
        self._folder = folder
        self._scratch = scratch
        self._locks = locks

    def lock(self) -> AbstractContextManager[None]:
        """The lock of this repository.

        Returns:
            A context manager that holds it.
        """
        return self._locks.hold(self.repo_id)

    def exists(self) -> bool:
        """Whether there is such a repository.

        Returns:
            True from its creation to its deletion.
        """
        return self._settings_path.is_file()

    def settings(self) -> RepoSettings:
        """Reads the settings.

        Returns:
            The settings as they are now.
        """
        return RepoSettings(**json.loads(self._settings_path.read_bytes()))

    def change_settings(self, change: Callable[[RepoSettings], RepoSettings]) -> None:
        """Changes settings.

        Args:
            change: Gives the new settings for those of now.
        """
        with self.lock():
            self._save_settings(change(self.settings()))

    def start(self, settings: RepoSettings, author: str) -> None:
        """Writes a new repository into its folder: settings and the first commit.

        Args:
            settings: The settings.
            author: The user who creates it.
        """
        for name in ("objects", "commits", "refs"):
            make_folder(self._folder / name)
        files = {".gitattributes": regular_entry(self.objects, DEFAULT_GITATTRIBUTES.encode())}
        first = new_commit((), author, "initial commit", "", files)
        self.store_commit(first)
        self.refs.put("heads", MAIN, Ref(first.oid))
        self._save_settings(settings)

    def resolve(self, revision: str) -> str:
        """Finds the commit of a revision.

        Args:
            revision: A branch, a tag, a full commit id or `refs/...`; may come from outside unchecked.

        Returns:
            The id of the commit.

        Raises:
            HubError: When the repository has no such revision.
        """
        if is_commit_oid(revision) and self._commit_path(revision).is_file():
            return revision
        for ref in self._refs_named(revision):
            return ref.commit
        raise revision_not_found(revision)

    def commit(self, oid: str) -> Commit:
        """Reads a commit.

        Args:
            oid: The id of a commit of this repository.

        Returns:
            The commit.
        """
        return _read_commit(self._commit_path(oid))

    def files_at(self, revision: str) -> Files:
        """The files of a revision.

        Args:
            revision: A branch, a tag, a full commit id or `refs/...`.

        Returns:
            The files by path; not to be changed.

        Raises:
            HubError: When the repository has no such revision.
        """
        return self.commit(self.resolve(revision)).files

    def history(self, oid: str) -> Iterator[Commit]:
        """Walks back in time, along the first parents.

        Args:
            oid: The id of the newest commit.

        Yields:
            The commits, the newest first.
        """
        next_oid: str | None = oid
        while next_oid is not None:
            commit = self.commit(next_oid)
            yield commit
            next_oid = commit.parents[0] if commit.parents else None

    def store_commit(self, commit: Commit) -> None:
        """Writes a commit; no reference points to it yet.

        Args:
            commit: The commit.
        """
        write_durably(self._scratch, self._commit_path(commit.oid), commit.to_json())

    def _refs_named(self, revision: str) -> Iterator[Ref]:
        number = pr_number(revision)
        candidates = (
            self.refs.get("pr", str(number)) if number else None,
            self.refs.get("heads", revision.removeprefix("refs/heads/")),
            self.refs.get("tags", revision.removeprefix("refs/tags/")),
        )
        return (ref for ref in candidates if ref is not None)

    def _save_settings(self, settings: RepoSettings) -> None:
        write_durably(self._scratch, self._settings_path, json.dumps(asdict(settings)).encode())

    @property
    def _settings_path(self) -> Path:
        return self._folder / "repo.json"

    def _commit_path(self, oid: str) -> Path:
        return self._folder / "commits" / f"{oid}.json"


@lru_cache(maxsize=32)
def _read_commit(path: Path) -> Commit:
    # Commits never change, so one that was read once is never read again.
    return Commit.from_json(path.read_bytes())

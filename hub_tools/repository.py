"""One branch of a repository on the Hub: what it has, and a commit to it that is made once, whatever the network does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest, sha1, sha256
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import tqdm

from ..modeling.hub_scen_llama import HubError, hub_errors, persistently


Files = dict[str, RepoFile]

# Answers to a commit after which it may have been made: it was made before, or the answer is not that of the one who makes it.
_PERHAPS_DONE = (408, 412, 500, 502, 504)
_CONFLICT = 409


class NoBar(tqdm):
    """What is downloaded to compare with comes without a progress bar."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})


@dataclass
class Change:
    """What makes the files of a repository those of a pack.

    Args:
        added: Files to write by name: paths or contents.
        deleted: Names of files to delete.
        unchanged: How many files of the pack the repository has already.
    """

    added: dict[str, Path | bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    unchanged: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.deleted)

    @property
    def sizes(self) -> dict[str, int]:
        """Size in bytes of each file to write."""
        return {name: _size(content) for name, content in self.added.items()}

    def is_made(self, files: Files) -> bool:
        """Whether these files are as the change leaves them."""
        written = all(is_stored(content, files.get(name)) for name, content in self.added.items())
        return written and not any(name in files for name in self.deleted)


def is_stored(content: Path | bytes, entry: RepoFile | None) -> bool:
    """Whether a file of a repository has just this content, by the hash under which it is stored."""
    is_missing = isinstance(content, Path) and not content.is_file()
    if entry is None or is_missing or entry.size != _size(content):
        return False
    if entry.lfs is None:
        content = content.read_bytes() if isinstance(content, Path) else content
        return sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id
    if isinstance(content, bytes):
        return sha256(content).hexdigest() == entry.lfs.sha256
    with content.open("rb") as file:
        return file_digest(file, "sha256").hexdigest() == entry.lfs.sha256


def _size(content: Path | bytes) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


@dataclass(frozen=True)
class BranchState:
    """What a branch is at one moment.

    Args:
        head: Id of its last commit.
        files: The files of that commit by path.
        tags: The commits of all tags of the repository by name.
    """

    head: str
    files: Files
    tags: dict[str, str]


class Repository:
    """One branch of a model repository. Requests that fail for a passing reason are made again.

    Args:
        api: The Hub.
        repo_id: `owner/name`.
        branch: Name of the branch.
    """

    def __init__(self, api: HfApi, repo_id: str, branch: str):
        self.api = api
        self.repo_id = repo_id
        self.branch = branch

    def create(self, private: bool | None) -> None:
        """Make the repository if there is none; `private` counts only then."""
        persistently(lambda: self.api.create_repo(self.repo_id, private=private, exist_ok=True), self.repo_id)

    def head(self) -> str:
        """Id of the branch's last commit."""
        head = persistently(lambda: self.api.model_info(self.repo_id, revision=self.branch), self.repo_id).sha
        assert head is not None  # as the Hub always says
        return head

    def branch_state(self) -> BranchState:
        """The branch and the tags as they are now."""
        head = self.head()
        return BranchState(head, self.files(head), self.tags())

    def files(self, commit: str) -> Files:
        """The files of a commit by path."""
        entries = self.api.list_repo_tree(self.repo_id, recursive=True, revision=commit)
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

    def tags(self) -> dict[str, str]:
        """The commits of all tags by name."""
        refs = persistently(lambda: self.api.list_repo_refs(self.repo_id), self.repo_id)
        return {tag.name: tag.target_commit for tag in refs.tags}

    def download(self, commit: str, names: Sequence[str]) -> Path:
        """Folder of the client's cache that has these files of a commit; names are free of wild cards."""
        download = partial(self.api.snapshot_download, self.repo_id, revision=commit, allow_patterns=list(names))
        return Path(persistently(lambda: download(tqdm_class=NoBar), self.repo_id))

    def commit(
        self, change: Change, parent: str, message: str, description: str | None, create_pr: bool
    ) -> tuple[str, str]:
        """Commit a change on top of `parent`, or propose it.

        Returns:
            Id of the commit, and its URL or that of the pull request.
        """

        def attempt() -> tuple[str, str]:
            try:
                done = self.api.create_commit(
                    self.repo_id,
                    [
                        *(CommitOperationAdd(name, content) for name, content in sorted(change.added.items())),
                        *(CommitOperationDelete(name) for name in change.deleted),
                    ],
                    commit_message=message,
                    commit_description=description,
                    revision=self.branch,
                    create_pr=create_pr,
                    parent_commit=parent,
                )
            except HTTPError as error:
                if not _may_be_done(error):
                    raise
                if create_pr:
                    raise HubError(
                        f"{self.repo_id}: the Hub's answer to the proposal was lost. Look for it among the pull requests "
                        "before you propose again."
                    ) from error
                head = self.head()
                if head == parent or not change.is_made(self.files(head)):
                    raise
                return head, f"{self.api.endpoint}/{self.repo_id}/commit/{head}"
            return done.oid, done.pr_url or done.commit_url

        return persistently(attempt, self.repo_id)

    def tag(self, name: str, commit: str) -> None:
        """Tag a commit.

        Raises:
            HubError: If another commit has that tag.
        """
        try:
            persistently(lambda: self.api.create_tag(self.repo_id, tag=name, revision=commit), self.repo_id)
        except HfHubHTTPError as error:
            # It may be ours: of an attempt whose answer was lost.
            if error.response.status_code != _CONFLICT or self.tags().get(name) != commit:
                raise

    def tag_version(self, name: str, commit: str, done: str) -> None:
        """Tag a commit that was just made.

        Raises:
            HubError: If it cannot be tagged; the message begins with what is `done` all the same.
        """
        try:
            with hub_errors(self.repo_id, name):
                self.tag(name, commit)
        except HubError as error:
            raise HubError(f"{done} (commit {commit}), but not tagged: {error} Do it again with a tag.") from error


def _may_be_done(error: HTTPError) -> bool:
    """Whether a commit may have been made although it failed like this."""
    answered = isinstance(error, HfHubHTTPError)
    request = error.response.request if answered else error.request
    if "/commit/" not in request.url.path:  # nothing but preparations
        return False
    return error.response.status_code in _PERHAPS_DONE if answered else not type(error).__name__.startswith("Connect")

"""The versions of a pack on the Hub: listing, comparing, going back, and withdrawing one.

    >>> from scen_hf.hub_tools import diff_packs, pack_log, revert_pack, yank_version

    >>> for version in pack_log("owner/facts"):
    ...     print(version.tags, version.num_edits, version.title)
    >>> print(diff_packs("owner/facts@v1.0.0", "owner/facts@v2.0.0").to_markdown())
    >>> yank_version("owner/facts", "v2.0.0", reason="names the wrong mayor")
    >>> revert_pack("owner/facts", to="v1.0.0")

Nothing is ever taken out of the history: going back is a new commit, and a withdrawn version can still be loaded, with a warning.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError

from ..card import update_card
from ..differences import PackDifference, compare_packs, next_version, parse_version
from ..errors import EditError, EditPackError
from ..modeling.edit_pack_scen_llama import (
    MANIFEST_NAME,
    YANKED_NAME,
    YankedVersionWarning,
    parse_yanked,
    yank_notice,
)
from ..modeling.hub_scen_llama import HubError, hub_errors, persistently
from ..pack import CARD_NAME, EditPack
from .checkouts import COMPARED
from .pack_files import belongs_to_pack
from .repository import BranchState, Change, Files, NoBar, Repository


__all__ = [
    "RevertReport",
    "Version",
    "Yank",
    "YankReport",
    "YankedVersionWarning",
    "diff_packs",
    "pack_log",
    "revert_pack",
    "split_revision",
    "unyank_version",
    "yank_notice",
    "yank_version",
]

_MAIN = constants.DEFAULT_REVISION
_AUTO = "auto"
# Beside the pack in its repository: going back to a version leaves them, but for the card, which is joined with the old one.
_KEPT = frozenset({CARD_NAME, YANKED_NAME, ".gitattributes"})
_MOST_ATTEMPTS = 5
_MOST_REASON_CHARACTERS = 500
_DOWNLOADS_AT_ONCE = 8

_Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete


@dataclass(frozen=True)
class Yank:
    """The record that a version was withdrawn.

    Args:
        name: Its tag, or its commit if it has none.
        commit: Id of its commit.
        reason: Why.
        date: The day on which it was withdrawn, `YYYY-MM-DD`.
    """

    name: str
    commit: str
    reason: str
    date: str


@dataclass(frozen=True)
class Version:
    """One commit of a repository.

    Args:
        commit: Its id.
        title: First line of its message.
        author: Who made it.
        date: When.
        tags: Tags that point to it.
        num_edits: How many facts the pack had; `None` if there was no pack.
        yanked: The record that it was withdrawn; `None` if it was not.
    """

    commit: str
    title: str
    author: str
    date: datetime
    tags: list[str]
    num_edits: int | None
    yanked: Yank | None


@dataclass(frozen=True)
class RevertReport:
    """What going back did.

    Args:
        repo_id: The repository.
        commit: Id of the new commit, or of the present one if the pack already was as wanted.
        url: Of that commit.
        difference: From what was there to what is there now; `None` if what was there is no readable pack.
        proposed_tag: The semantic version that follows from the difference.
        tag: The tag that the new version was given; `None` for none.
    """

    repo_id: str
    commit: str
    url: str
    difference: PackDifference | None
    proposed_tag: str
    tag: str | None


@dataclass(frozen=True)
class YankReport:
    """What withdrawing a version did.

    Args:
        repo_id: The repository.
        yank: The record.
        url: Of the commit that made it.
        is_current: Whether the pack on the main branch is the withdrawn one.
    """

    repo_id: str
    yank: Yank
    url: str
    is_current: bool


def split_revision(place: str) -> tuple[str, str | None]:
    """Repository and revision of `owner/name@revision`; the revision is `None` where there is none."""
    repo_id, _, revision = place.partition("@")
    return repo_id, revision or None


# ----------------------------------------------------------------------- looking


def pack_log(
    repo_id: str,
    *,
    revision: str | None = None,
    limit: int | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> list[Version]:
    """List the versions of a pack, newest first.

    Args:
        repo_id: `owner/name`.
        revision: Branch, tag or commit to look back from; the main branch by default.
        limit: How many to list; all by default. The facts of each are counted from a small file, which is downloaded once.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        HubError: If the repository cannot be read.
        EditPackError: If its record of withdrawn versions is malformed.
    """
    repository = Repository(HfApi(endpoint=endpoint, token=token), repo_id, _MAIN)
    with hub_errors(repo_id, revision), ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        commits = repository.api.list_repo_commits(repo_id, revision=revision)[:limit]
        tags = defaultdict(list)
        for name, commit in repository.tags().items():
            tags[commit].append(name)
        yanked = {yank.commit: yank for yank in _yanked(repository, repository.head())}
        counts = pool.map(partial(_num_edits, repository), [commit.commit_id for commit in commits])
        return [
            Version(
                commit.commit_id,
                commit.title,
                ", ".join(commit.authors),
                commit.created_at,
                sorted(tags[commit.commit_id]),
                count,
                yanked.get(commit.commit_id),
            )
            for commit, count in zip(commits, counts, strict=True)
        ]


def diff_packs(
    old: str | Path,
    new: str | Path,
    *,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> PackDifference:
    """Compare two packs by their facts, neurons and thresholds. Experts are compared by checksum and not downloaded.

    Args:
        old, new: A folder each, or `owner/name` or `owner/name@revision`.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        HubError: If a repository cannot be read.
        EditPackError, EditError: If one is not a pack, or is damaged.
    """
    before, after = (_open(place, HfApi(endpoint=endpoint, token=token)) for place in (old, new))
    return compare_packs(before, after)


def _open(place: str | Path, api: HfApi) -> EditPack:
    if Path(place).is_dir():
        return EditPack.from_pretrained(place)
    repo_id, revision = split_revision(str(place))
    repository = Repository(api, repo_id, revision or _MAIN)
    with hub_errors(repo_id, revision):
        return _open_commit(repository, repository.head(), str(place))


def _open_commit(repository: Repository, commit: str, where: str) -> EditPack:
    """A version to compare, without its experts; `where` is what messages call it."""
    files = repository.files(commit)
    if MANIFEST_NAME not in files:
        raise EditPackError(f"{where} is not an edit pack: it has no {MANIFEST_NAME}.")
    folder = repository.download(commit, [name for name in files if name in COMPARED or name.startswith("neurons-")])
    try:
        return EditPack.from_pretrained(folder)
    except (EditPackError, EditError) as error:
        raise type(error)(str(error).replace(str(folder), where)) from error


def _small_file(repository: Repository, commit: str, name: str) -> bytes | None:
    """Content of a file of a commit; `None` if there is none of that name."""
    download = partial(repository.api.hf_hub_download, repository.repo_id, name, revision=commit, tqdm_class=NoBar)
    try:
        return Path(persistently(download, repository.repo_id)).read_bytes()
    except RemoteEntryNotFoundError:
        return None


def _num_edits(repository: Repository, commit: str) -> int | None:
    content = _small_file(repository, commit, MANIFEST_NAME)
    if content is None:
        return None
    try:
        return sum(shard["edits"] for shard in json.loads(content)["shards"])
    except (ValueError, TypeError, KeyError):  # all there is to say of a broken version
        return None


# -------------------------------------------------------------------- going back


def revert_pack(
    repo_id: str,
    to: str,
    *,
    tag: str | None = None,
    commit_message: str | None = None,
    parent_commit: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> RevertReport:
    """Make an earlier version the newest one again, by a commit to the main branch. What came since stays in the history.

    The files of the pack become those of the earlier version, and no shard travels for it. Other files of the repository, and
    what users wrote in the card, stay.

    Args:
        repo_id: `owner/name`.
        to: Tag, branch or commit to go back to.
        tag: Tag to give the new version, such as `v1.2.0`; `"auto"` for the proposed one.
        commit_message: By default that and to which version the pack went back.
        parent_commit: The commit that the main branch must still be at; by default its present one.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        HubError: If the Hub refuses, or the version was withdrawn. The repository is as before.
        EditPackError, EditError: If the version is not a pack, or is damaged.
    """
    if tag not in (None, _AUTO) and not (tag.startswith("v") and parse_version(tag)):
        raise HubError(f"{tag!r} is no semantic version, such as v1.2.0. Give one, or {_AUTO!r} for the proposed one.")
    repository = Repository(HfApi(endpoint=endpoint, token=token), repo_id, _MAIN)
    with hub_errors(repo_id, to):
        target = Repository(repository.api, repo_id, to).head()
        branch = repository.branch_state()
        if parent_commit not in (None, branch.head):
            raise _moved_error(repo_id)
        if tag in branch.tags:
            raise HubError(f"{repo_id} already has the tag {tag}. Choose the next version; a tag is never moved.")
        _check_not_yanked(repository, branch, to, target)
        restored = _open_commit(repository, target, f"{repo_id}@{to}")
        difference = _difference(repository, branch.head, restored)
        proposed = _proposed_tag(repository, branch, restored, difference)
        commit, url = branch.head, f"{repository.api.endpoint}/{repo_id}/commit/{branch.head}"
        operations = _going_back(repository, branch, target)
        if operations:
            message = commit_message or f"Revert to {to}"
            commit, url = _commit(repository, branch, operations, message, difference)
        given = proposed if tag == _AUTO else tag
    if given is not None:
        repository.tag_version(given, commit, done="The pack is reverted")
    return RevertReport(repo_id, commit, url, difference, proposed, given)


def _check_not_yanked(repository: Repository, branch: BranchState, to: str, target: str) -> None:
    repo_id = repository.repo_id
    for yank in _yanked(repository, branch.head):
        if yank.commit == target:
            raise HubError(
                f"{repo_id}@{to} was withdrawn on {yank.date} ({yank.reason}). Go back to another version, or put it in force "
                f"again: scen yank {repo_id}@{yank.name} --undo"
            )


def _difference(repository: Repository, commit: str, new: EditPack) -> PackDifference | None:
    """What changes from the version of a commit; `None` where that is no readable pack, which is a reason to go back."""
    try:
        return compare_packs(_open_commit(repository, commit, f"{repository.repo_id}@{commit}"), new)
    except HubError:
        raise
    except (EditPackError, EditError):
        return None


def _proposed_tag(
    repository: Repository, branch: BranchState, restored: EditPack, difference: PackDifference | None
) -> str:
    """The version that follows from what changed since the last tagged one; `difference` is from the head of the branch."""
    versions = {version: commit for tag, commit in branch.tags.items() if (version := parse_version(tag))}
    if versions and versions[max(versions)] != branch.head:
        difference = _difference(repository, versions[max(versions)], restored)
    return next_version(branch.tags, difference)


def _going_back(repository: Repository, branch: BranchState, target: str) -> list[_Operation]:
    """What makes the pack on the branch that of the commit `target`."""
    present, wanted = _contents(branch.files), _contents(repository.files(target))
    changed = [name for name, content in wanted.items() if present.get(name) != content]
    operations: list[_Operation] = [
        *(CommitOperationCopy(name, name, src_revision=target) for name in changed),
        *(CommitOperationDelete(name) for name in present if name not in wanted),
    ]
    ours, theirs = (_small_file(repository, commit, CARD_NAME) for commit in (branch.head, target))
    if theirs is not None:
        card = theirs.decode(errors="replace")
        if ours is not None:
            card = update_card(card, ours.decode(errors="replace"), f"{repository.repo_id}: {CARD_NAME}")
        if card.encode() != ours:
            operations.append(CommitOperationAdd(CARD_NAME, card.encode()))
    return operations


def _contents(files: Files) -> dict[str, str]:
    """Ids of the contents of the files that going back replaces, by name."""
    return {name: entry.blob_id for name, entry in files.items() if belongs_to_pack(name) and name not in _KEPT}


def _commit(
    repository: Repository,
    branch: BranchState,
    operations: list[_Operation],
    message: str,
    difference: PackDifference | None,
) -> tuple[str, str]:
    """Commit on top of the branch as it was seen; id and URL of the commit."""
    commit = partial(
        repository.api.create_commit,
        repository.repo_id,
        commit_message=message,
        commit_description=None if difference is None else str(difference),
        revision=repository.branch,
        parent_commit=branch.head,
    )
    try:
        done = persistently(lambda: commit(operations), repository.repo_id)
    except HfHubHTTPError as error:
        if _has_moved(error):
            raise _moved_error(repository.repo_id) from error
        raise
    return done.oid, done.commit_url


def _has_moved(error: HfHubHTTPError) -> bool:
    return error.response.status_code == 412


def _moved_error(repo_id: str) -> HubError:
    return HubError(
        f"{repo_id} has moved since you looked: somebody else pushed. Look at it (scen log {repo_id}), and try again."
    )


# ------------------------------------------------------------------- withdrawing


def yank_version(
    repo_id: str,
    revision: str,
    *,
    reason: str,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> YankReport:
    """Withdraw a version: it stays, and whoever loads it by its tag or commit is warned and told why.

    The record is `yanked.json` on the main branch.

    Args:
        repo_id: `owner/name`.
        revision: Tag or commit of the version.
        reason: Why, in a line. If the version was withdrawn before, this reason takes the place of the old one.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        HubError: If there is no such version, the reason is not a line of text, or the Hub refuses.
    """
    reason = " ".join(reason.split())
    if not reason or not reason.isprintable() or len(reason) > _MOST_REASON_CHARACTERS:
        raise HubError(f"The reason must be a line of 1 to {_MOST_REASON_CHARACTERS} characters that can be printed.")
    repository = Repository(HfApi(endpoint=endpoint, token=token), repo_id, _MAIN)
    with hub_errors(repo_id, revision):
        name, commit = _name_of(repository, revision)
        yank = Yank(name, commit, reason, datetime.now(UTC).date().isoformat())
        head, url = _rewrite_record(
            repository,
            lambda yanks: [*(other for other in yanks if other.commit != commit), yank],
            f"Withdraw {name}",
        )
        is_current = _contents(repository.files(head)) == _contents(repository.files(commit))
    return YankReport(repo_id, yank, url, is_current)


def unyank_version(
    repo_id: str,
    revision: str,
    *,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> Yank:
    """Put a withdrawn version in force again.

    Args:
        repo_id: `owner/name`.
        revision: Tag or commit of the version.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Returns:
        The record that was taken out.

    Raises:
        HubError: If there is no such version, it was not withdrawn, or the Hub refuses.
    """
    repository = Repository(HfApi(endpoint=endpoint, token=token), repo_id, _MAIN)
    with hub_errors(repo_id, revision):
        name, commit = _name_of(repository, revision)
        undone = next((yank for yank in _yanked(repository, repository.head()) if yank.commit == commit), None)
        if undone is None:
            raise HubError(f"{repo_id}@{revision} was not withdrawn. See what was: scen log {repo_id}")
        _rewrite_record(
            repository,
            lambda yanks: [yank for yank in yanks if yank.commit != commit],
            f"Put {name} in force again",
        )
    return undone


def _name_of(repository: Repository, revision: str) -> tuple[str, str]:
    """Name under which a version is recorded, its tag if it has one, and its commit."""
    tags = repository.tags()
    if revision in tags:
        return revision, tags[revision]
    commit = Repository(repository.api, repository.repo_id, revision).head()
    if revision != commit:
        raise HubError(
            f"{revision} of {repository.repo_id} moves on with the next push. Name the version by its tag or commit."
        )
    return min((name for name, target in tags.items() if target == commit), default=commit), commit


def _yanked(repository: Repository, head: str) -> list[Yank]:
    """The withdrawn versions, as recorded in a commit of the main branch."""
    content = _small_file(repository, head, YANKED_NAME)
    record = {} if content is None else parse_yanked(content, f"{repository.repo_id}: {YANKED_NAME}")
    return [Yank(name, entry["commit"], entry["reason"], entry["date"]) for name, entry in record.items()]


def _rewrite_record(
    repository: Repository, change: Callable[[list[Yank]], list[Yank]], message: str
) -> tuple[str, str]:
    """Commit a new record to the main branch, again if somebody else commits meanwhile; id and URL of the commit."""
    attempts = 0
    while True:
        head = repository.head()
        yanks = change(_yanked(repository, head))
        record = {yank.name: {"commit": yank.commit, "reason": yank.reason, "date": yank.date} for yank in yanks}
        content = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
        changed = Change(added={YANKED_NAME: content.encode()}) if yanks else Change(deleted=[YANKED_NAME])
        try:
            return repository.commit(changed, head, message, None, create_pr=False)
        except HfHubHTTPError as error:
            attempts += 1
            if not _has_moved(error):
                raise
            if attempts == _MOST_ATTEMPTS:
                raise _moved_error(repository.repo_id) from error

"""Push edit packs to the Hub and pull them from there.

    >>> from scen_hf.hub_tools import pull_pack, push_pack

    >>> report = push_pack("facts", "owner/facts", tag="auto")
    >>> report.tag
    'v1.0.0'
    >>> pull_pack("owner/facts", "facts-copy", revision="v1.0.0")

A push is one commit: the repository has the whole new version, or still the old one. Only files that differ travel, and since
adding edits never rewrites a shard, adding ten facts to a pack of thousands uploads the ten and a few small files. It is based on
the version that the folder comes from, and where the repository has moved on since, it is refused or rebased.
"""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import RevisionNotFoundError

from ..card import model_card, update_card
from ..differences import PackDifference, compare_packs, next_version
from ..errors import EditPackError
from ..modeling import EditPackReader
from ..modeling.edit_pack_scen_llama import COMPANIONS, MANIFEST_NAME, SHARD_NAME
from ..modeling.hub_scen_llama import HubError, hub_errors, persistently
from ..pack import CARD_NAME, EditPack, write_pack_folder
from .checkouts import Checkouts
from .origin import CACHE_NAME, Origin, read_origins, recorded_commit, with_origin, write_origins
from .rebasing import rebase_pack
from .repository import BranchState, Change, Files, Repository, is_stored


_AUTO = "auto"
_CONFIG_NAME = "config.json"
_VERSION = re.compile(r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", re.ASCII)

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushReport:
    """What a push did.

    Args:
        repo_id: The repository.
        commit: Id of the new commit, or of the present one if nothing had changed.
        url: Of the commit or, with `create_pr`, of the pull request.
        uploaded: Size in bytes of each file that travelled.
        deleted: Files that are no longer part of the pack.
        unchanged: How many files the repository already had.
        difference: From the version that the branch had; `None` if it had no readable pack.
        tag: The tag that the version was given; `None` for none.
        proposed_tag: The semantic version that follows from what changed since the last tagged one; `None` if nothing did.
    """

    repo_id: str
    commit: str
    url: str
    uploaded: dict[str, int]
    deleted: list[str]
    unchanged: int
    difference: PackDifference | None = None
    tag: str | None = None
    proposed_tag: str | None = None


# ----------------------------------------------------------------------- pushing


def push_pack(
    path: str | Path,
    repo_id: str,
    *,
    revision: str = constants.DEFAULT_REVISION,
    tag: str | None = None,
    private: bool | None = None,
    create_pr: bool = False,
    rebase: bool = False,
    commit_message: str | None = None,
    parent_commit: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> PushReport:
    """Push a pack as one commit.

    A folder remembers the commit that it was pulled from or last pushed as. Where the pack in the repository has changed since,
    the push is refused or, with `rebase`, the folder's changes are brought onto what is there now. The folder then holds the
    joined version too. Neurons of the two sides are not checked against each other, so measure it afterwards.

    Args:
        path: Folder of the pack; it is checked before anything travels.
        repo_id: `owner/name`; made if it does not exist.
        revision: Branch to push to.
        tag: Tag to give the new version, such as `v1.2.0`; `"auto"` for the proposed one.
        private: Whether a new repository is private.
        create_pr: Propose the version as a pull request instead, described by what it changes.
        rebase: Join the changes of both sides if the branch has moved. Refused where they are about the same facts.
        commit_message: By default the number of facts and what changed.
        parent_commit: The commit that the branch must still be at. By default the one that the folder remembers, or without
            a record the branch's present one.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        EditPackError: If the pack is damaged, or cannot be rebased.
        HubError: If the Hub refuses, or the branch has moved. The repository is as before.
    """
    _check_tag(tag, create_pr)
    folder = Path(path)
    if not folder.is_dir():
        raise EditPackError(f"There is no folder {folder}; a pack to push is a folder.")
    reader = EditPackReader(folder)
    reader.check()
    recorded = recorded_commit(folder, endpoint, repo_id)
    repository = Repository(HfApi(endpoint=endpoint, token=token), repo_id, revision)
    # What is rebased ends up in the folder, so it is made on the same disk.
    place = folder.resolve().parent if rebase else None
    with hub_errors(repo_id, revision), tempfile.TemporaryDirectory(prefix=".scen-push-", dir=place) as scratch:
        if not create_pr:
            repository.create(private)
        branch = repository.branch_state()
        if tag in branch.tags:
            raise HubError(f"{repo_id} already has the tag {tag}. Choose the next version; a tag is never moved.")
        if _CONFIG_NAME in branch.files and MANIFEST_NAME not in branch.files:
            raise HubError(f"{repo_id} holds a model that is no edit pack. Choose another repository.")
        checkouts = Checkouts(repository, folder, Path(scratch))
        version, change = folder, _change_to(reader, folder, branch.files)
        base = parent_commit or recorded or branch.head
        if change and _has_moved(branch, base, change, repository, strictly=parent_commit is not None):
            if not rebase:
                raise HubError(
                    f"{repo_id} has moved since you looked: somebody else changed the pack. Nothing was pushed. Push with "
                    "--rebase to keep their edits and yours, or pull it into another folder."
                )
            version = _rebased(folder, base, branch, checkouts, Path(scratch, "rebased"))
            change = _change_to(EditPackReader(version), version, branch.files)

        pack = EditPack.from_pretrained(version)
        present = checkouts.compared(branch.head, branch.files)
        difference = None if present is None else compare_packs(present, pack)
        proposed = _proposed_tag(pack, difference, branch, checkouts, has_changed=bool(change))
        card = _card(version, branch, repository)
        if card is not None:
            change.added[CARD_NAME] = card
        commit, url, uploaded = branch.head, f"{repository.api.endpoint}/{repo_id}", change.sizes
        if change:
            message = commit_message or _message(pack, difference)
            description = difference.to_markdown() if create_pr and difference is not None else None
            commit, url = repository.commit(change, branch.head, message, description, create_pr)
        if version != folder or not create_pr:
            _keep(version, folder, Origin.at(endpoint, repo_id, branch.head if create_pr else commit))
        given = proposed if tag == _AUTO else tag
        if given is not None:
            repository.tag_version(given, commit, done="The pack was pushed")
    return PushReport(repo_id, commit, url, uploaded, change.deleted, change.unchanged, difference, given, proposed)


def _change_to(reader: EditPackReader, folder: Path, files: Files) -> Change:
    """What makes a repository's files those of a pack's folder, but for the card."""
    names = [_CONFIG_NAME, *reader.file_names]
    names += [name for name in COMPANIONS if name != CARD_NAME and (folder / name).is_file()]
    added: dict[str, Path | bytes] = {
        name: folder / name for name in names if not is_stored(folder / name, files.get(name))
    }
    deleted = [name for name in files if SHARD_NAME.fullmatch(name) and name not in names]
    return Change(added, deleted, len(names) - len(added))


def _has_moved(branch: BranchState, base: str, change: Change, repository: Repository, *, strictly: bool) -> bool:
    """Whether the branch no longer is at `base`; unless `strictly`, only what the change would overwrite counts."""
    if base == branch.head or strictly:
        return base != branch.head
    if MANIFEST_NAME not in branch.files:
        return False
    try:
        before = repository.files(base)
    except RevisionNotFoundError:  # the repository was made anew
        return True
    names = {*change.added, *change.deleted, *filter(SHARD_NAME.fullmatch, (*before, *branch.files))}
    return any(_content_id(before, name) != _content_id(branch.files, name) for name in names)


def _content_id(files: Files, name: str) -> str | None:
    return files[name].blob_id if name in files else None


def _rebased(folder: Path, base: str, branch: BranchState, checkouts: Checkouts, target: Path) -> Path:
    """Folder with the changes that `folder` made to the version `base`, on top of the branch."""
    try:
        started = checkouts.compared(base)
    except RevisionNotFoundError:  # the repository was made anew
        started = None
    if started is None:
        raise HubError(
            f"The version that {folder} was made from ({base}) is no longer there to tell what has changed since. Join the packs "
            "with: scen merge"
        )
    theirs = checkouts.whole(branch.head, branch.files)
    rebase_pack(started, theirs, EditPack.from_pretrained(folder)).save_pretrained(target)
    return target


def _card(folder: Path, branch: BranchState, repository: Repository) -> bytes | None:
    """The card to push: the pack's under its name there, with what users added to the stored one. `None`: no change."""
    if not (folder / CARD_NAME).is_file():
        return None
    card = str(model_card(EditPack.from_pretrained(folder), repo_id=repository.repo_id))
    old = ""
    if CARD_NAME in branch.files:
        stored = repository.download(branch.head, [CARD_NAME]) / CARD_NAME
        old = stored.read_text(encoding="utf-8", errors="replace")
        card = update_card(card, old, f"{repository.repo_id}: {CARD_NAME}")
    return None if card == old else card.encode()


def _message(pack: EditPack, difference: PackDifference | None) -> str:
    facts = f"Edit pack with {len(pack)} facts"
    return facts if difference is None or difference.is_empty else f"{facts}: {difference}"


def _keep(version: Path, folder: Path, origin: Origin) -> None:
    """Have `folder` hold what was pushed, and remember as what."""
    origins = with_origin(read_origins(folder), origin)

    def write(scratch: Path) -> None:
        for path in version.iterdir():
            shutil.move(path, scratch)
        write_origins(scratch, origins)

    if version != folder:
        write_pack_folder(folder, write)
        return
    try:
        write_origins(folder, origins)
    except OSError as error:
        _LOGGER.warning("%s: what was pushed could not be recorded: %s", folder, error.strerror or error)


# ---------------------------------------------------------------------- versions


def _check_tag(tag: str | None, create_pr: bool) -> None:
    if tag is None:
        return
    if create_pr:
        raise HubError("A proposal is tagged when it has been merged. Leave out either the tag or create_pr.")
    if tag != _AUTO and not (tag.startswith("v") and _VERSION.fullmatch(tag)):
        raise HubError(f"{tag!r} is no semantic version, such as v1.2.0. Give one, or {_AUTO!r} for the proposed one.")


def _proposed_tag(
    pack: EditPack,
    difference: PackDifference | None,
    branch: BranchState,
    checkouts: Checkouts,
    *,
    has_changed: bool,
) -> str | None:
    """The version that follows from what changed since the last one; `difference` is from the head of the branch."""
    versions = {tuple(map(int, match.groups())): tag for tag in branch.tags if (match := _VERSION.fullmatch(tag))}
    if not versions:
        return next_version((), None)
    last = branch.tags[versions[max(versions)]]
    if last != branch.head:
        released = checkouts.compared(last)
        difference = None if released is None else compare_packs(released, pack)
    if difference is not None and difference.is_empty and not has_changed:
        return None
    return next_version(branch.tags, difference)


# ----------------------------------------------------------------------- pulling


def pull_pack(
    repo_id: str,
    out: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Download a whole pack, check it, and put it into a folder, which remembers where it is from.

    Args:
        repo_id: `owner/name`.
        out: A new or empty folder, or one that holds a pack, which is replaced.
        revision: Tag, branch or commit.
        token, endpoint, cache_dir, local_files_only: As in [`~huggingface_hub.snapshot_download`].

    Returns:
        The folder.

    Raises:
        HubError: If the repository cannot be had.
        EditPackError: If it is not a pack or is damaged, or `out` cannot be written. What was in `out` stays.
    """
    commit = revision
    with hub_errors(repo_id, revision):
        if not local_files_only and not constants.is_offline_mode():
            # The client would take what it has of another version where the Hub does not answer.
            api = HfApi(endpoint=endpoint, token=token)
            commit = persistently(lambda: api.model_info(repo_id, revision=revision), repo_id).sha
        hub = {
            "token": token,
            "endpoint": endpoint,
            "cache_dir": cache_dir,
            "local_files_only": local_files_only,
        }
        reader = EditPackReader(repo_id, revision=commit, **hub)
        ignored = [f"{CACHE_NAME}/*"]
        snapshot = Path(
            persistently(
                lambda: snapshot_download(repo_id, revision=reader.commit, ignore_patterns=ignored, **hub), repo_id
            )
        )
        reader.check()

    def write(folder: Path) -> None:
        for path in snapshot.rglob("*"):
            name = path.relative_to(snapshot)
            if path.is_file() and name.parts[0] != CACHE_NAME:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / name)
        write_origins(folder, [Origin.at(endpoint, repo_id, snapshot.name)])

    write_pack_folder(out, write)
    return Path(out)


__all__ = ["HubError", "PushReport", "hub_errors", "pull_pack", "push_pack"]

"""Push edit packs to the Hub and pull them from there.

    >>> from scen_hf.hub_tools import pull_pack, push_pack

    >>> push_pack("facts", "owner/facts", tag="v1.0.0")
    >>> pull_pack("owner/facts", "facts-copy", revision="v1.0.0")

A push is one commit: the repository has the whole new version, or still the old one. Only files that differ travel, and since
adding edits never rewrites a shard, adding ten facts to a pack of thousands uploads the ten and a few small files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from ..card import own_text
from ..errors import EditPackError
from ..modeling import EditPackReader
from ..modeling.edit_pack_scen_llama import COMPANIONS, FACTS_NAME, MANIFEST_NAME, ROUTER_NAME
from ..pack import write_pack_folder


class HubError(EditPackError):
    """A pack cannot be pushed or pulled: which repository, why, and what to do."""


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
    """

    repo_id: str
    commit: str
    url: str
    uploaded: dict[str, int]
    deleted: list[str]
    unchanged: int


def push_pack(
    path: str | Path,
    repo_id: str,
    *,
    revision: str = "main",
    tag: str | None = None,
    private: bool | None = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    parent_commit: str | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> PushReport:
    """Push a pack as one commit.

    Args:
        path: Folder of the pack; it is checked before anything travels.
        repo_id: `owner/name`; made if it does not exist.
        revision: Branch to push to.
        tag: Tag to give the new version.
        private: Whether a new repository is private.
        create_pr: Propose the version as a pull request instead.
        commit_message: By default the number of facts.
        parent_commit: The commit that the push is based on; by default the branch's present one. A branch that has moved
            is left alone.
        token, endpoint: As in [`~huggingface_hub.HfApi`].

    Raises:
        EditPackError: If the pack is damaged.
        HubError: If the Hub refuses; the repository is as before.
    """
    reader = EditPackReader(path)
    api = HfApi(endpoint=endpoint, token=token)
    with hub_errors(repo_id, revision):
        if not create_pr:
            api.create_repo(repo_id, private=private, exist_ok=True)
        if tag is not None and any(ref.name == tag for ref in api.list_repo_refs(repo_id).tags):
            raise HubError(f"{repo_id} already has the tag {tag}. Choose the next version; a tag is never moved.")
        head = parent_commit or api.model_info(repo_id, revision=revision).sha
        stored = {
            entry.path: entry
            for entry in api.list_repo_tree(repo_id, recursive=True, revision=head)
            if isinstance(entry, RepoFile)
        }
        contents = {file.name: file for file in _files_of(reader, Path(path))}
        card = _card(api, repo_id, head, Path(path), stored)
        changed: dict[str, bytes | Path] = {
            name: file for name, file in contents.items() if not _is_stored(file, stored.get(name))
        }
        unchanged = len(contents) - len(changed)
        if card is not None:
            changed["README.md"] = card
        deleted = [name for name in stored if name.startswith(("neurons-", "experts-")) and name not in contents]
        uploaded = {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in changed.items()
        }
        commit, url = head or "", f"{api.endpoint}/{repo_id}"
        if changed or deleted:
            done = api.create_commit(
                repo_id,
                [
                    *(CommitOperationAdd(name, content) for name, content in sorted(changed.items())),
                    *(CommitOperationDelete(name) for name in deleted),
                ],
                commit_message=commit_message or f"Edit pack with {len(reader)} facts",
                revision=revision,
                create_pr=create_pr,
                parent_commit=head,
            )
            commit, url = done.oid, done.pr_url or done.commit_url
        if tag is not None:
            api.create_tag(repo_id, tag=tag, revision=commit)
    return PushReport(repo_id, commit, url, uploaded, deleted, unchanged)


def _files_of(reader: EditPackReader, folder: Path) -> list[Path]:
    names = ["config.json", MANIFEST_NAME, FACTS_NAME, ROUTER_NAME, *reader.shard_names]
    companions = [name for name in COMPANIONS if name != "README.md" and (folder / name).is_file()]
    return [folder / name for name in (*names, *companions)]


def _is_stored(file: Path, entry: RepoFile | None) -> bool:
    """Whether the repository has just this content, by the hash under which it stores it."""
    if entry is None or entry.size != file.stat().st_size:
        return False
    content = file.read_bytes()
    if entry.lfs is not None:
        return sha256(content).hexdigest() == entry.lfs.sha256
    return sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.blob_id


def _card(api: HfApi, repo_id: str, head: str | None, folder: Path, stored: dict[str, RepoFile]) -> bytes | None:
    """The card to push: the pack's, with what users wrote behind the generated part of the stored one. `None`: no change."""
    if not (folder / "README.md").is_file():
        return None
    card = (folder / "README.md").read_text(encoding="utf-8")
    old = ""
    if "README.md" in stored:
        old = Path(api.hf_hub_download(repo_id, "README.md", revision=head)).read_text(encoding="utf-8")
        kept = own_text(old).strip()
        if kept and kept not in card:
            card = f"{card.rstrip()}\n\n{kept}\n"
    return None if card == old else card.encode()


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
    """Download a whole pack, check it, and put it into a folder.

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
    with hub_errors(repo_id, revision):
        snapshot = Path(
            snapshot_download(
                repo_id,
                revision=revision,
                token=token,
                endpoint=endpoint,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        )

    def write(folder: Path) -> None:
        shutil.copytree(snapshot, folder, dirs_exist_ok=True)
        reader = EditPackReader(folder)
        for number in range(len(reader)):
            reader.read_expert(number)

    write_pack_folder(out, write)
    return Path(out)


@contextmanager
def hub_errors(repo_id: str, revision: str | None) -> Iterator[None]:
    """Within the block the client's exceptions become a [`HubError`] that says what to do."""
    where = repo_id if revision is None else f"{repo_id}@{revision}"
    try:
        yield
    except HFValidationError as error:
        raise HubError(f"{repo_id!r} is not a valid repository name: {error}") from error
    except GatedRepoError as error:
        raise HubError(f"{repo_id} is gated: ask for access on its page, and log in with: hf auth login") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"{repo_id} was not found. Check the name; if it is private, log in with: hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"{where}: there is no such tag, branch or commit.") from error
    except LocalEntryNotFoundError as error:
        raise HubError(f"{where} is not in the cache, and the Hub cannot be reached.") from error
    except EntryNotFoundError as error:
        raise HubError(f"{where}: a file is missing ({error}).") from error
    except OfflineModeIsEnabled as error:
        raise HubError(f"{where}: the Hub is needed, and HF_HUB_OFFLINE is set.") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(where, error)) from error


def _refusal(where: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    if status == 401:
        return f"{where}: the token is missing or not valid. Log in with: hf auth login"
    if status == 403:
        return f"{where}: the token has no right to do this. Use one that may write, or propose with create_pr."
    if status == 412:
        return f"{where} has moved since you looked: somebody else pushed. Pull it, add your edits again, and push."
    return f"{where}: the Hub answered {status} ({error.server_message or error.response.reason_phrase})."

"""Routes that list files, commits and references, and those that make and remove references."""

import base64
import binascii
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from ..commits import Commit
from ..discussions import format_time
from ..errors import HubError, bad_request, entry_not_found, revision_not_found
from ..git_ids import folder_oids
from ..history import last_commits
from ..jsons import text_field
from ..names import check_ref_name
from ..refs import Ref, RefKind
from ..repository import MAIN, Repo
from .bodies import FormOrJsonDep, JsonDep
from .context import HubDep, PathDep, RepoDep, RevisionDep, WriterDep, next_page, reply
from .repo_info import file_info, folder_info, last_commit_info


router = APIRouter()

_EXPANDED_PAGE_SIZE = 50
_COMMITS_PAGE_SIZE = 50
_PATHS_MAX = 1000


@router.get("/api/models/{owner}/{name}/tree/{revision}")
def list_root(
    request: Request,
    hub: HubDep,
    repo: RepoDep,
    revision: RevisionDep,
    recursive: bool = False,
    expand: bool = False,
    cursor: str = "",
) -> JSONResponse:
    """Lists the files and folders of a revision."""
    return _list_tree(request, hub.limits.page_size, repo, revision, "", recursive, expand, cursor)


@router.get("/api/models/{owner}/{name}/tree/{revision}/{path:path}")
def list_folder(
    request: Request,
    hub: HubDep,
    repo: RepoDep,
    revision: RevisionDep,
    path: PathDep,
    recursive: bool = False,
    expand: bool = False,
    cursor: str = "",
) -> JSONResponse:
    """Lists the files and folders in a folder."""
    return _list_tree(request, hub.limits.page_size, repo, revision, path.strip("/"), recursive, expand, cursor)


@router.post("/api/models/{owner}/{name}/paths-info/{revision}")
def paths_info(body: FormOrJsonDep, repo: RepoDep, revision: RevisionDep) -> JSONResponse:
    """Describes files and folders by their paths; those that do not exist are left out."""
    paths = body.get("paths", [])
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise bad_request("'paths' must be a list of strings")
    if len(paths) > _PATHS_MAX:
        raise HubError(413, f"More than {_PATHS_MAX} paths at once")
    oid = repo.resolve(revision)
    entries = _entries(repo.commit(oid))
    found = [entries[path] for path in dict.fromkeys(path.strip("/") for path in paths) if path in entries]
    return reply(_expanded(repo, oid, found) if _is_true(body.get("expand")) else found)


@router.get("/api/models/{owner}/{name}/commits/{revision}")
def list_commits(
    request: Request,
    repo: RepoDep,
    revision: RevisionDep,
    p: int = 0,
    expand: Annotated[list[str] | None, Query(alias="expand[]")] = None,
) -> JSONResponse:
    """Lists the commits of a revision, the newest first."""
    start = max(0, p) * _COMMITS_PAGE_SIZE
    page = list(islice(repo.history(repo.resolve(revision)), start, start + _COMMITS_PAGE_SIZE + 1))
    more = len(page) > _COMMITS_PAGE_SIZE
    rows = [_commit_info(commit, formatted="formatted" in (expand or ())) for commit in page[:_COMMITS_PAGE_SIZE]]
    return reply(rows, next_page(request, p=str(p + 1)) if more else {})


@router.get("/api/models/{owner}/{name}/refs")
def list_refs(repo: RepoDep, include_prs: bool = False) -> JSONResponse:
    """Lists branches, tags and, on demand, pull requests."""
    refs: dict[str, Any] = {
        "branches": _refs_info(repo, "heads", "refs/heads"),
        "converts": [],
        "tags": _refs_info(repo, "tags", "refs/tags"),
    }
    if include_prs:
        # The head of a pull request exists before the pull request does.
        opened = {str(num) for num in repo.discussions.numbers()}
        refs["pullRequests"] = [info for info in _refs_info(repo, "pr", "refs/pr") if info["name"] in opened]
    return reply(refs)


@router.post("/api/models/{owner}/{name}/branch/{revision}")
def create_branch(body: JsonDep, repo: RepoDep, user: WriterDep, revision: RevisionDep) -> JSONResponse:
    """Creates a branch."""
    start = text_field(body, "startingPoint", longest=200, default=MAIN)
    _create_ref(repo, "heads", revision, start, "")
    return reply({})


@router.delete("/api/models/{owner}/{name}/branch/{revision}")
def delete_branch(repo: RepoDep, user: WriterDep, revision: RevisionDep) -> JSONResponse:
    """Deletes a branch."""
    if revision == MAIN:
        raise HubError(403, f"The branch '{MAIN}' cannot be deleted")
    _delete_ref(repo, "heads", revision)
    return reply({})


@router.post("/api/models/{owner}/{name}/tag/{revision}")
def create_tag(body: JsonDep, repo: RepoDep, user: WriterDep, revision: RevisionDep) -> JSONResponse:
    """Tags a revision."""
    message = text_field(body, "message", longest=10_000, default="")
    _create_ref(repo, "tags", body.get("tag"), revision, message)
    return reply({})


@router.delete("/api/models/{owner}/{name}/tag/{revision}")
def delete_tag(repo: RepoDep, user: WriterDep, revision: RevisionDep) -> JSONResponse:
    """Deletes a tag."""
    _delete_ref(repo, "tags", revision)
    return reply({})


def _list_tree(
    request: Request,
    page_size: int,
    repo: Repo,
    revision: str,
    folder: str,
    recursive: bool,
    expand: bool,
    cursor: str,
) -> JSONResponse:
    oid = repo.resolve(revision)
    entries = _entries(repo.commit(oid))
    if folder and entries.get(folder, {}).get("type") != "directory":
        raise entry_not_found(folder, oid)
    prefix = f"{folder}/" if folder else ""
    after = _decode_cursor(cursor)
    inside = [
        entry
        for path, entry in entries.items()
        if path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :]) and path > after
    ]
    size = min(page_size, _EXPANDED_PAGE_SIZE) if expand else page_size
    page = inside[:size]
    headers = next_page(request, cursor=_encode_cursor(page[-1]["path"])) if len(inside) > size else {}
    return reply(_expanded(repo, oid, page) if expand else page, headers)


def _entries(commit: Commit) -> dict[str, dict[str, Any]]:
    """Describes all files and folders of a commit, in alphabetical order of their paths."""
    folders = folder_oids({path: file.oid for path, file in commit.files.items()})
    infos = {path: file_info(path, file) for path, file in commit.files.items()}
    infos |= {path: folder_info(path, oid) for path, oid in folders.items() if path}
    return dict(sorted(infos.items()))


def _expanded(repo: Repo, oid: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    commits = last_commits(repo, oid, [entry["path"] for entry in entries])
    return [{**entry, "lastCommit": last_commit_info(commits[entry["path"]])} for entry in entries]


def _encode_cursor(path: str) -> str:
    return base64.urlsafe_b64encode(path.encode()).decode()


def _decode_cursor(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor).decode()
    except (binascii.Error, ValueError) as error:
        raise bad_request("Invalid cursor") from error


def _is_true(value: object) -> bool:
    return value is True or value == ["true"]


def _commit_info(commit: Commit, *, formatted: bool) -> dict[str, Any]:
    info: dict[str, Any] = {
        "id": commit.oid,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": format_time(commit.date),
    }
    if formatted:
        info["formatted"] = {"title": commit.title, "message": commit.message}
    return info


def _refs_info(repo: Repo, kind: RefKind, prefix: str) -> list[dict[str, str]]:
    refs = ((name, repo.refs.get(kind, name)) for name in repo.refs.names(kind))
    return [{"name": name, "ref": f"{prefix}/{name}", "targetCommit": ref.commit} for name, ref in refs if ref]


def _create_ref(repo: Repo, kind: RefKind, name: object, start: str, message: str) -> None:
    checked = check_ref_name(name)
    with repo.lock():
        if repo.refs.get(kind, checked) is not None:
            raise HubError(409, f"Reference already exists: {checked}")
        repo.refs.put(kind, checked, Ref(repo.resolve(start), message))


def _delete_ref(repo: Repo, kind: RefKind, name: str) -> None:
    with repo.lock():
        if repo.refs.get(kind, name) is None:
            raise revision_not_found(name)
        repo.refs.delete(kind, name)

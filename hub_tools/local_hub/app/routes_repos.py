"""Routes that create, describe, change and delete repositories."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from ..auth import User
from ..discussions import timestamp
from ..errors import HubError, bad_request
from ..jsons import text_field
from ..names import is_repo_id
from ..permissions import check_write_token
from ..repository import MAIN, Repo, RepoSettings
from .bodies import JsonDep
from .context import Hub, HubDep, RepoDep, RevisionDep, UserDep, WriterDep, endpoint_of, next_page, reply
from .repo_info import model_info


router = APIRouter()

_SORT_KEYS = ("createdAt", "downloads", "lastModified", "likes")
_LIST_FIELDS = ("siblings", "cardData", "config", "model-index", "spaces", "usedStorage")


@router.post("/api/repos/create")
def create_repo(request: Request, body: JsonDep, hub: HubDep, user: UserDep) -> JSONResponse:
    """Creates a repository."""
    user = check_write_token(user)
    repo_id = _repo_id(body, user)
    if not is_repo_id(repo_id):
        raise bad_request(f"Invalid repository name: {repo_id!r}")
    hub.permissions.check_owner(user, repo_id.partition("/")[0])
    url = f"{endpoint_of(request)}/{repo_id}"
    try:
        hub.storage.create(repo_id, RepoSettings(private=_private(body) or False), user.name)
    except HubError as error:
        # The client takes the URL of the existing repository from the error when it may exist.
        return JSONResponse({"error": error.message, "url": url}, error.status)
    return reply({"url": url, "name": repo_id})


@router.delete("/api/repos/delete")
def delete_repo(body: JsonDep, hub: HubDep, user: UserDep) -> JSONResponse:
    """Deletes a repository."""
    repo = hub.permissions.check_see(user, _repo_id(body, check_write_token(user)))
    hub.permissions.check_write(user, repo)
    hub.storage.delete(repo)
    return reply({})


@router.put("/api/models/{owner}/{name}/settings")
def update_settings(body: JsonDep, repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Changes who can see a repository and get its files."""
    changes: dict[str, Any] = {}
    private = _private(body)
    if private is not None:
        changes["private"] = private
    if "gated" in body:
        if body["gated"] not in (False, "auto", "manual"):
            raise bad_request("'gated' must be false, 'auto' or 'manual'")
        changes["gated"] = body["gated"]
    if "disabled" in body:
        changes["disabled"] = bool(body["disabled"])
    if not changes:
        raise bad_request("There is no setting to change: 'visibility', 'private', 'gated' or 'disabled'")
    repo.change_settings(lambda settings: replace(settings, **changes))
    return reply(changes)


@router.get("/api/models/{owner}/{name}")
def get_model(repo: RepoDep, expand: Annotated[list[str] | None, Query()] = None, blobs: bool = False) -> JSONResponse:
    """Describes a model at its main branch."""
    return _describe(repo, MAIN, expand, blobs)


@router.get("/api/models/{owner}/{name}/revision/{revision}")
def get_model_revision(
    repo: RepoDep, revision: RevisionDep, expand: Annotated[list[str] | None, Query()] = None, blobs: bool = False
) -> JSONResponse:
    """Describes a model at a revision."""
    return _describe(repo, revision, expand, blobs)


@router.get("/api/models")
def list_models(
    request: Request,
    hub: HubDep,
    user: UserDep,
    filter: Annotated[list[str] | None, Query()] = None,
    expand: Annotated[list[str] | None, Query()] = None,
    author: str | None = None,
    search: str | None = None,
    pipeline_tag: str | None = None,
    gated: bool | None = None,
    sort: str | None = None,
    limit: int | None = None,
    offset: int = 0,
    full: bool = False,
    cardData: bool = False,
    config: bool = False,
) -> JSONResponse:
    """Lists models."""
    if sort is not None and sort not in _SORT_KEYS:
        raise bad_request(f"Cannot sort by {sort!r}: use one of {', '.join(_SORT_KEYS)}")
    wanted = {*(filter or ()), *([pipeline_tag] if pipeline_tag else [])}
    infos = [
        info
        for info in _visible_models(hub, user, author, search)
        if wanted <= set(info["tags"]) and (gated is None or gated == bool(info["gated"]))
    ]
    if sort is not None:
        infos.sort(key=lambda info: info[sort], reverse=True)
    page_size = max(1, min(limit or hub.limits.page_size, hub.limits.page_size))
    page = infos[max(0, offset) :][:page_size]
    more = offset + page_size < len(infos)
    if expand:
        return reply([_only(info, expand) for info in page], _next(request, offset + page_size, more))
    extra = {"siblings": full, "cardData": cardData, "config": config or full}
    rows = [{key: info[key] for key in info if key not in _LIST_FIELDS or extra.get(key)} for info in page]
    return reply(rows, _next(request, offset + page_size, more))


@router.get("/api/models/{owner}/{name}/auth-check")
def auth_check(hub: HubDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Tells whether a user may get the files of a repository."""
    hub.permissions.check_download(user, repo)
    return reply({})


@router.get("/api/models/{owner}/{name}/auth-check/write")
def auth_check_write(repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Tells whether a user may change a repository."""
    return reply({})


@router.get("/api/models/{owner}/{name}/user-access-request/{status}")
def list_access(status: str, repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Lists the users who were let in to a gated repository, or rejected."""
    return reply(
        [
            {
                "requestId": name,
                "user": {"user": name, "fullname": name},
                "status": entry["status"],
                "timestamp": entry["timestamp"],
            }
            for name, entry in repo.settings().access.items()
            if entry["status"] == status
        ]
    )


@router.post("/api/models/{owner}/{name}/user-access-request/grant")
def grant_access(body: JsonDep, repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Lets a user in to a gated repository."""
    _set_access(repo, text_field(body, "user", longest=96), "accepted")
    return reply({})


@router.post("/api/models/{owner}/{name}/user-access-request/handle")
def handle_access(body: JsonDep, repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Accepts, rejects or forgets the access of a user to a gated repository."""
    status = body.get("status")
    if status not in ("accepted", "pending", "rejected"):
        raise bad_request("'status' must be 'accepted', 'pending' or 'rejected'")
    name = text_field(body, "user" if "user" in body else "requestId", longest=96)
    if name not in repo.settings().access:
        raise HubError(404, f"{name} has not asked for access")
    _set_access(repo, name, status)
    return reply({})


def _describe(repo: Repo, revision: str, expand: list[str] | None, blobs: bool) -> JSONResponse:
    info = model_info(repo, repo.commit(repo.resolve(revision)), blobs=blobs)
    return reply(_only(info, expand) if expand else info)


def _only(info: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {key: info[key] for key in info if key in ("_id", "id", *names)}


def _visible_models(hub: Hub, user: User | None, author: str | None, search: str | None) -> list[dict[str, Any]]:
    infos = []
    for repo in hub.storage.repos():
        settings = repo.settings()
        owner = repo.repo_id.partition("/")[0]
        found = author in (None, owner) and (search or "").lower() in repo.repo_id.lower()
        if found and not settings.disabled and hub.permissions.can_see(user, repo, settings):
            infos.append(model_info(repo, repo.commit(repo.resolve(MAIN))))
    return infos


def _next(request: Request, offset: int, more: bool) -> dict[str, str]:
    return next_page(request, offset=str(offset)) if more else {}


def _repo_id(body: dict[str, Any], user: User) -> str:
    if body.get("type", "model") != "model":
        raise bad_request(f"This local Hub holds models only, not a {str(body['type'])[:20]}")
    name = text_field(body, "name", longest=200)
    return f"{text_field(body, 'organization', longest=200, default=user.name)}/{name}"


def _private(body: dict[str, Any]) -> bool | None:
    visibility = body.get("visibility")
    if visibility not in (None, "private", "public"):
        raise bad_request("'visibility' must be 'private' or 'public'")
    if visibility is not None:
        return visibility == "private"
    return bool(body["private"]) if body.get("private") is not None else None


def _set_access(repo: Repo, name: str, status: str) -> None:
    entry = {"status": status, "timestamp": timestamp()}
    repo.change_settings(lambda settings: replace(settings, access={**settings.access, name: entry}))

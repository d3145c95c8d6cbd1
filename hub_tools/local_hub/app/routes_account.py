"""Routes about users, and those that are about no repository."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..auth import User
from ..cards import check_card
from ..errors import HubError
from ..jsons import text_field
from ..repository import Repo
from .bodies import JsonDep
from .context import Hub, HubDep, UserDep, reply
from .repo_info import object_id, updated_at


router = APIRouter()


@router.get("/api/whoami-v2")
def whoami(hub: HubDep, user: UserDep) -> JSONResponse:
    """Tells who a token belongs to."""
    user = _signed_in(user)
    organisations = [
        {"type": "org", "id": object_id(owner), "name": owner, "fullname": owner, "roleInOrg": user.role}
        for owner in hub.storage.owners()
        if not hub.storage.is_user(owner)
    ]
    token = {"displayName": f"{user.name}-{user.role}", "role": user.role}
    return reply(
        {
            "type": "user",
            "id": object_id(user.name),
            "name": user.name,
            "fullname": user.name,
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": token},
        }
    )


@router.get("/api/settings/repositories")
def own_repositories(hub: HubDep, user: UserDep) -> JSONResponse:
    """Lists the repositories of the user who asks."""
    return _storage_of(hub, _signed_in(user).name)


@router.get("/api/organizations/{owner}/settings/repositories")
def repositories_of(owner: str, hub: HubDep, user: UserDep) -> JSONResponse:
    """Lists the repositories of an organisation."""
    if not hub.permissions.is_member(_signed_in(user), owner):
        raise HubError(403, f"You are not a member of {owner}")
    return _storage_of(hub, owner)


@router.post("/api/validate-yaml")
def validate_yaml(body: JsonDep) -> JSONResponse:
    """Checks the metadata of a model card."""
    errors, warnings = check_card(text_field(body, "content", longest=2**20))
    report = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return JSONResponse(report, 400 if errors else 200)


@router.head("/api/telemetry/{rest:path}")
def telemetry(request: Request) -> Response:
    """Takes note of nothing: what the client would report goes nowhere."""
    return Response()


def _storage_of(hub: Hub, owner: str) -> JSONResponse:
    repos = [repo for repo in hub.storage.repos() if repo.repo_id.startswith(f"{owner}/")]
    sizes = [repo.objects.total_size() for repo in repos]
    total = max(1, sum(sizes))
    return reply([_storage_row(repo, size, total) for repo, size in zip(repos, sizes, strict=True)])


def _storage_row(repo: Repo, size: int, total: int) -> dict[str, object]:
    return {
        "id": repo.repo_id,
        "type": "model",
        "updatedAt": updated_at(repo),
        "visibility": "private" if repo.settings().private else "public",
        "storage": size,
        "storagePercent": size / total,
    }


def _signed_in(user: User | None) -> User:
    if user is None:
        raise HubError(401, "Invalid username or password.")
    return user

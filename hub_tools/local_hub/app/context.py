"""What all routes share: the hub they serve, and the parts of a request that most of them need."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Path, Request
from fastapi.responses import JSONResponse

from ..auth import TokenList, User
from ..faults import FaultPlan
from ..limits import HubLimits
from ..permissions import Permissions
from ..repository import Repo
from ..signing import Signer
from ..storage import Storage
from .segments import inner_slashes


@dataclass(frozen=True)
class Hub:
    """Everything a server works with.

    Args:
        storage: The repositories.
        tokens: Who may sign in.
        permissions: Who may do what.
        signer: Signs upload and download URLs.
        limits: Thresholds and limits.
        faults: Faults that can be planned over HTTP, if any can.
    """

    storage: Storage
    tokens: TokenList
    permissions: Permissions
    signer: Signer
    limits: HubLimits
    faults: FaultPlan | None


def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


HubDep = Annotated[Hub, Depends(_hub)]


def _user(request: Request, hub: HubDep) -> User | None:
    return hub.tokens.user_of(request.headers.get("authorization"))


UserDep = Annotated[User | None, Depends(_user)]


def _repo_id(owner: Annotated[str, Path()], name: Annotated[str, Path()]) -> str:
    return f"{inner_slashes(owner)}/{inner_slashes(name)}"


def _repo(hub: HubDep, user: UserDep, repo_id: Annotated[str, Depends(_repo_id)]) -> Repo:
    return hub.permissions.check_see(user, repo_id)


# The repository in the path, if the user may see it.
RepoDep = Annotated[Repo, Depends(_repo)]


def _writer(hub: HubDep, user: UserDep, repo: RepoDep) -> User:
    return hub.permissions.check_write(user, repo)


# The user, if the user may change the repository in the path.
WriterDep = Annotated[User, Depends(_writer)]


def _revision(revision: Annotated[str, Path()]) -> str:
    return inner_slashes(revision)


RevisionDep = Annotated[str, Depends(_revision)]


def _path(path: Annotated[str, Path()]) -> str:
    return inner_slashes(path)


PathDep = Annotated[str, Depends(_path)]


def reply(data: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    """Answers with JSON.

    Args:
        data: The value.
        headers: More headers.

    Returns:
        The response.
    """
    return JSONResponse(data, headers=headers)


def endpoint_of(request: Request) -> str:
    """The address under which the client knows this server.

    Args:
        request: A request.

    Returns:
        The address, without a slash at the end.
    """
    return str(request.base_url).rstrip("/")


def next_page(request: Request, **query: str) -> dict[str, str]:
    """The header that tells a client where the next page is.

    Args:
        request: The request for this page.
        query: What is different in the request for the next one.

    Returns:
        The `Link` header.
    """
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in query]
    url = f"{request.url.replace(query='')}?{urlencode([*kept, *query.items()])}"
    return {"Link": f'<{url}>; rel="next"'}

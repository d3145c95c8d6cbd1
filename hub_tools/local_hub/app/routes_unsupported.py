"""Routes of the Hub that a local one does not have, answered with the reason."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, RedirectResponse

from ..errors import HubError
from ..permissions import missing_repo
from .context import UserDep
from .segments import inner_slashes


router = APIRouter()

_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "DELETE"]
_NO_XET = "/-/this-hub-speaks-git-lfs-not-xet/set-HF_HUB_DISABLE_XET=1-and-try-again"
_OTHER_KINDS = ("bucket", "dataset", "kernel", "space")


@router.get("/api/models/{owner}/{name}/xet-{kind}-token/{rest:path}")
def xet_token(owner: str, name: str, kind: str, rest: str) -> RedirectResponse:
    """Sends clients that use the Xet protocol to the reason why they cannot."""
    # All that hf_xet shows of an error is the URL it came from, so the URL says what to do.
    return RedirectResponse(_NO_XET, 302)


@router.get(_NO_XET)
def no_xet() -> JSONResponse:
    """Refuses the Xet protocol, which the client uses for uploads unless it is told not to."""
    raise HubError(400, "This local Hub speaks Git LFS, not Xet. Set HF_HUB_DISABLE_XET=1 and try again")


@router.get("/api/models/{rest:path}")
def bare_model_id(rest: str, user: UserDep) -> JSONResponse:
    """Refuses ids without an owner."""
    raise missing_repo(user, inner_slashes(rest).partition("/")[0])


@router.api_route("/{name}/resolve/{rest:path}", methods=["GET", "HEAD"])
def bare_file_id(name: str, user: UserDep) -> JSONResponse:
    """Refuses files of ids without an owner."""
    raise missing_repo(user, inner_slashes(name))


def _refuse_kind(kind: str) -> None:
    def refuse() -> JSONResponse:
        raise HubError(404, f"This local Hub holds models only, not a {kind}", "RepoNotFound")

    for path in (f"/api/{kind}s", f"/api/{kind}s/{{rest:path}}", f"/{kind}s/{{rest:path}}"):
        router.add_api_route(path, refuse, methods=_ANY_METHOD)


for _kind in _OTHER_KINDS:
    _refuse_kind(_kind)

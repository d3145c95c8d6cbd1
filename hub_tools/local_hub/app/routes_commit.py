"""Routes that write files: what to upload how, and the commit itself."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from ..auth import User
from ..changes import commit_to, propose_commit
from ..commits import CommitReader, CommitRequest, Files
from ..durable import Incoming
from ..errors import bad_request
from ..jsons import text_field
from ..names import pr_number
from ..permissions import check_write_token
from ..repository import Repo
from ..upload_modes import IgnoreRules, upload_mode
from .bodies import JsonDep, receive_file
from .context import Hub, HubDep, RepoDep, RevisionDep, UserDep, endpoint_of, reply


router = APIRouter()

_PREUPLOAD_MAX_FILES = 1000
_GITIGNORE_MAX_BYTES = 65_536


def check_committer(hub: Hub, user: User | None, repo: Repo, revision: str | None) -> User:
    """Checks that a user may commit.

    Args:
        hub: The hub.
        user: Whom the request comes from.
        repo: The repository.
        revision: The branch or pull request to commit to; None for a new pull request, which anyone may open.

    Returns:
        The user.

    Raises:
        HubError: When the user may not.
    """
    user = check_write_token(user)
    number = pr_number(revision) if revision is not None else None
    is_own_pr = number in repo.discussions.numbers() and repo.discussions.get(number or 0).author == user.name
    return user if revision is None or is_own_pr else hub.permissions.check_write(user, repo)


@router.post("/api/models/{owner}/{name}/preupload/{revision}")
def preupload(
    body: JsonDep,
    hub: HubDep,
    repo: RepoDep,
    user: UserDep,
    revision: RevisionDep,
    create_pr: Annotated[bool, Query()] = False,
) -> JSONResponse:
    """Tells how each file is to be uploaded, and which are there already."""
    check_committer(hub, user, repo, None if create_pr else revision)
    files = repo.files_at(revision)
    wanted = body.get("files")
    if not isinstance(wanted, list) or len(wanted) > _PREUPLOAD_MAX_FILES:
        raise bad_request(f"'files' must be a list of at most {_PREUPLOAD_MAX_FILES} files")
    ignore = IgnoreRules(_gitignore(body, repo, files))
    return reply({"files": [_upload_info(hub, item, files, ignore) for item in wanted]})


@router.post("/api/models/{owner}/{name}/commit/{revision}")
async def commit(
    request: Request,
    hub: HubDep,
    repo: RepoDep,
    user: UserDep,
    revision: RevisionDep,
    create_pr: Annotated[bool, Query()] = False,
) -> JSONResponse:
    """Commits, to a branch or as a new pull request."""
    committer = await run_in_threadpool(check_committer, hub, user, repo, None if create_pr else revision)
    incoming = await receive_file(request, hub, hub.limits.commit_max_bytes)
    try:
        made = await run_in_threadpool(_commit, hub, repo, revision, committer.name, incoming, create_pr)
    finally:
        incoming.discard()
    url = f"{endpoint_of(request)}/{repo.repo_id}"
    answer = {"success": True, "commitOid": made["oid"], "commitUrl": f"{url}/commit/{made['oid']}", "hookOutput": ""}
    if create_pr:
        answer["pullRequestUrl"] = f"{url}/discussions/{made['num']}"
    return reply(answer)


def _commit(
    hub: Hub, repo: Repo, revision: str, author: str, incoming: Incoming, create_pr: bool
) -> dict[str, str | int]:
    asked = _read_request(hub, repo, incoming)
    if create_pr:
        discussion, proposed = propose_commit(repo, revision, author, asked)
        return {"oid": proposed.oid, "num": discussion.num}
    return {"oid": commit_to(repo, revision, author, asked).oid}


def _read_request(hub: Hub, repo: Repo, incoming: Incoming) -> CommitRequest:
    incoming.close()
    with incoming.path.open("rb") as lines:
        return CommitReader(repo.objects, repo.files_at, hub.limits.regular_max_bytes).read(lines)


def _gitignore(body: dict[str, Any], repo: Repo, files: Files) -> str:
    if "gitIgnore" in body:
        return text_field(body, "gitIgnore", longest=_GITIGNORE_MAX_BYTES)
    entry = files.get(".gitignore")
    content = repo.objects.read(entry.sha256, _GITIGNORE_MAX_BYTES) if entry else None
    return (content or b"").decode(errors="replace")


def _upload_info(hub: Hub, item: object, files: Files, ignore: IgnoreRules) -> dict[str, Any]:
    path, size = (item.get("path"), item.get("size")) if isinstance(item, dict) else (None, None)
    if not isinstance(path, str) or not isinstance(size, int):
        raise bad_request("Every file needs a 'path' and a 'size'")
    present = files.get(path)
    return {
        "path": path,
        "uploadMode": upload_mode(path, size, hub.limits.regular_max_bytes),
        "shouldIgnore": ignore.ignores(path),
        # The client leaves out a file whose content is the one that is there.
        **({"oid": present.etag} if present else {}),
    }

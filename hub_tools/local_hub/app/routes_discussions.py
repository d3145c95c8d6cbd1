"""Routes of discussions and pull requests."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from ..auth import User
from ..changes import change_status, conflicts_of, merge, open_discussion, update_discussion
from ..discussions import Discussion, comment_event, edit_comment, title_event
from ..errors import HubError, bad_request
from ..history import text_diff
from ..jsons import text_field
from ..permissions import check_write_token
from ..repository import Repo
from .bodies import JsonDep
from .context import Hub, HubDep, RepoDep, UserDep, WriterDep, reply


router = APIRouter(prefix="/api/models/{owner}/{name}/discussions")

_PAGE_SIZE = 50
_TITLE_LONGEST = 200
_TEXT_LONGEST = 65_536
_STATUSES = {"all": None, "open": True, "closed": False}
_TYPES = {"all": None, "pull_request": True, "discussion": False}

NumDep = Annotated[int, Path(ge=1, le=10**9)]


@router.get("")
def list_discussions(
    repo: RepoDep,
    type: Annotated[str, Query()] = "all",
    status: Annotated[str, Query()] = "all",
    author: str | None = None,
    p: int = 0,
) -> JSONResponse:
    """Lists discussions and pull requests, the newest first."""
    if type not in _TYPES or status not in _STATUSES:
        raise bad_request(f"'type' is one of {', '.join(_TYPES)}, and 'status' one of {', '.join(_STATUSES)}")
    is_pull_request, is_open = _TYPES[type], _STATUSES[status]
    found = [
        discussion
        for discussion in map(repo.discussions.get, repo.discussions.numbers())
        if is_pull_request in (None, discussion.is_pull_request)
        and is_open in (None, discussion.is_open)
        and author in (None, discussion.author)
    ]
    start = max(0, p) * _PAGE_SIZE
    page = [_summary(repo, discussion) for discussion in found[start : start + _PAGE_SIZE]]
    return reply({"discussions": page, "count": len(found), "start": start})


@router.post("")
def create_discussion(body: JsonDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Opens a discussion, or a draft of a pull request."""
    user = check_write_token(user)
    text = text_field(body, "description", longest=_TEXT_LONGEST, default="")
    is_pull_request = bool(body.get("pullRequest"))
    opened = open_discussion(repo, user.name, _title(body, "title"), text, is_pull_request=is_pull_request)
    return reply({"num": opened.num, "pullRequest": is_pull_request})


@router.get("/{num}")
def get_discussion(num: NumDep, repo: RepoDep, diff: Annotated[bool, Query()] = False) -> JSONResponse:
    """Tells everything about a discussion; about a pull request, its changes, too."""
    discussion = repo.discussions.get(num)
    details = {**_summary(repo, discussion), "events": discussion.events}
    if discussion.is_pull_request and discussion.base_commit is not None:
        details["changes"] = {"base": f"refs/heads/{discussion.base}"}
        if discussion.merge_commit is not None:
            details["changes"]["mergeCommitId"] = discussion.merge_commit
        details["filesWithConflicts"] = conflicts_of(repo, discussion) if discussion.is_open else []
        if diff:
            base = repo.commit(discussion.base_commit).files
            details["diff"] = text_diff(repo.objects, base, repo.files_at(f"refs/pr/{num}"))
    return reply(details)


@router.post("/{num}/comment")
def comment(num: NumDep, body: JsonDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Adds a comment."""
    event = comment_event(check_write_token(user).name, text_field(body, "comment", longest=_TEXT_LONGEST))
    update_discussion(repo, num, lambda discussion: discussion.events.append(event))
    return reply({"newMessage": event})


@router.post("/{num}/comment/{comment_id}/edit")
def edit(num: NumDep, comment_id: str, body: JsonDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Changes a comment; only its author may."""
    author = check_write_token(user).name
    text = text_field(body, "content", longest=_TEXT_LONGEST)

    def change(discussion: Discussion) -> None:
        edit_comment(_own_comment(discussion, comment_id, author), author, text)

    discussion = update_discussion(repo, num, change)
    return reply({"updatedComment": _own_comment(discussion, comment_id, author)})


@router.post("/{num}/title")
def rename(num: NumDep, body: JsonDep, hub: HubDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Changes the title."""
    author, title = _manager(hub, repo, user, num), _title(body, "title")

    def change(discussion: Discussion) -> None:
        discussion.events.append(title_event(author, discussion.title, title))
        discussion.title = title

    return reply({"newTitle": update_discussion(repo, num, change).events[-1]})


@router.post("/{num}/status")
def set_status(num: NumDep, body: JsonDep, hub: HubDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Opens, closes or opens again."""
    author = _manager(hub, repo, user, num)
    text = text_field(body, "comment", longest=_TEXT_LONGEST, default="")
    status = text_field(body, "status", longest=20)
    return reply({"newStatus": change_status(repo, num, author, status, text).events[-1]})


@router.post("/{num}/merge")
def merge_pull_request(num: NumDep, body: JsonDep, repo: RepoDep, user: WriterDep) -> JSONResponse:
    """Merges a pull request."""
    text = text_field(body, "comment", longest=_TEXT_LONGEST, default="")
    merged = merge(repo, num, user.name, text)
    return reply({"mergeCommitId": merged.merge_commit})


def _summary(repo: Repo, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "status": discussion.status,
        "author": {"name": discussion.author},
        "isPullRequest": discussion.is_pull_request,
        "createdAt": discussion.created_at,
        "numComments": sum(event["type"] == "comment" for event in discussion.events),
        "repo": {"name": repo.repo_id, "type": "model"},
    }


def _title(body: dict[str, Any], field: str) -> str:
    title = text_field(body, field, longest=_TITLE_LONGEST).strip()
    if len(title) < 3:
        raise bad_request("A title must have at least 3 characters")
    return title


def _own_comment(discussion: Discussion, comment_id: str, author: str) -> dict[str, Any]:
    for event in discussion.events:
        if event["type"] == "comment" and event["id"] == comment_id:
            if event["author"]["name"] != author:
                raise HubError(403, "Only its author may edit a comment")
            return event
    raise HubError(404, f"There is no comment {comment_id} in #{discussion.num}")


def _manager(hub: Hub, repo: Repo, user: User | None, num: int) -> str:
    """The name of the user, who must have opened the discussion or be able to change the repository."""
    user = check_write_token(user)
    if repo.discussions.get(num).author != user.name:
        hub.permissions.check_write(user, repo)
    return user.name

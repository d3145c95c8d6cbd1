"""Discussions and pull requests of one repository, with everything that happened in them."""

import html
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .durable import Scratch, write_durably
from .errors import HubError


@dataclass
class Discussion:
    """A discussion, or a pull request.

    Args:
        num: Its number.
        title: Its title.
        author: The user who opened it.
        status: `draft`, `open`, `closed` or `merged`.
        is_pull_request: Whether it proposes changes.
        created_at: When it was opened, in ISO 8601.
        base: The branch that a pull request goes to.
        base_commit: The commit of that branch that a pull request started from.
        merge_commit: The commit that merged it.
        events: What happened, in the form the client reads.
    """

    num: int
    title: str
    author: str
    status: str
    is_pull_request: bool
    created_at: str
    base: str | None = None
    base_commit: str | None = None
    merge_commit: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether it is not closed or merged."""
        return self.status in ("draft", "open")


class DiscussionStore:
    """The discussions of one repository. Writers hold the lock of the repository.

    Args:
        folder: Where they are.
        scratch: Where new values are prepared.
    """

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def numbers(self) -> list[int]:
        """Lists the discussions.

        Returns:
            Their numbers, the newest first.
        """
        if not self._folder.is_dir():
            return []
        return sorted((int(file.stem) for file in self._folder.iterdir()), reverse=True)

    def get(self, num: int) -> Discussion:
        """Reads a discussion.

        Args:
            num: Its number.

        Returns:
            The discussion.

        Raises:
            HubError: When there is none with this number.
        """
        try:
            return Discussion(**json.loads((self._folder / f"{num}.json").read_bytes()))
        except FileNotFoundError:
            raise HubError(404, f"There is no discussion or pull request #{num}") from None

    def save(self, discussion: Discussion) -> None:
        """Stores a discussion.

        Args:
            discussion: The discussion, new or changed.
        """
        self._folder.mkdir(exist_ok=True)
        content = json.dumps(asdict(discussion)).encode()
        write_durably(self._scratch, self._folder / f"{discussion.num}.json", content)


def timestamp() -> str:
    """Now, as the client reads it.

    Returns:
        The time in UTC, such as `2026-01-31T12:00:00.000Z`.
    """
    return format_time(datetime.now(UTC))


def format_time(time: datetime) -> str:
    """A time, as the client reads it.

    Args:
        time: A time in UTC.

    Returns:
        The time, such as `2026-01-31T12:00:00.000Z`.
    """
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def comment_event(author: str, text: str) -> dict[str, Any]:
    """A comment.

    Args:
        author: Who wrote it.
        text: Its text, in Markdown.

    Returns:
        The event.
    """
    return _event(
        "comment", author, {"edited": False, "hidden": False, "latest": _version(author, text), "history": []}
    )


def edit_comment(event: dict[str, Any], author: str, text: str) -> None:
    """Replaces the text of a comment, keeping the old one in its history.

    Args:
        event: The comment, changed in place.
        author: Who edits it.
        text: The new text.
    """
    data = event["data"]
    data["history"].append(data["latest"])
    data["latest"] = _version(author, text)
    data["edited"] = True


def status_event(author: str, status: str) -> dict[str, Any]:
    """A change of status.

    Args:
        author: Who changed it.
        status: The new status.

    Returns:
        The event.
    """
    return _event("status-change", author, {"status": status})


def commit_event(author: str, oid: str, title: str) -> dict[str, Any]:
    """A commit to a pull request.

    Args:
        author: Who made it.
        oid: Its id.
        title: The first line of its message.

    Returns:
        The event.
    """
    return _event("commit", author, {"oid": oid, "subject": title})


def title_event(author: str, old: str, new: str) -> dict[str, Any]:
    """A change of title.

    Args:
        author: Who changed it.
        old: The title before.
        new: The title now.

    Returns:
        The event.
    """
    return _event("title-change", author, {"from": old, "to": new})


def _event(kind: str, author: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": timestamp(),
        "author": {"name": author},
        "data": data,
    }


def _version(author: str, text: str) -> dict[str, Any]:
    return {
        "raw": text,
        "html": f"<p>{html.escape(text)}</p>",
        "updatedAt": timestamp(),
        "author": {"name": author},
    }

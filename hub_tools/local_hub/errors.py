"""Errors of the local Hub: those a request is answered with, and those of starting a server."""

from collections.abc import Mapping


class LocalHubError(ValueError):
    """A local Hub cannot be started as asked. The message names what to change."""


class HubError(Exception):
    """A request is refused.

    The official client turns the `X-Error-Code` header into its exceptions, so `code` is part of the protocol.

    Args:
        status: The HTTP status.
        message: What is wrong and what to do, for a person. Never a token or a path of the server.
        code: The `X-Error-Code` (`RepoNotFound`, `GatedRepo`, `RevisionNotFound`, `EntryNotFound`) where one applies.
        headers: More headers for the answer.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = dict(headers or {})


def bad_request(message: str) -> HubError:
    """The error for a request that makes no sense as sent.

    Args:
        message: What is wrong with it.

    Returns:
        The error to raise.
    """
    return HubError(400, message)


def revision_not_found(revision: str) -> HubError:
    """The error for a branch, tag or commit that the repository does not have.

    Args:
        revision: The revision that was asked for.

    Returns:
        The error to raise.
    """
    return HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(path: str, commit: str) -> HubError:
    """The error for a file or folder that a commit does not have.

    Args:
        path: The path that was asked for.
        commit: The commit it was looked for in; the client caches that it has no such file.

    Returns:
        The error to raise.
    """
    return HubError(404, f"Entry not found: {path}", "EntryNotFound", {"X-Repo-Commit": commit})


def too_large(limit: int) -> HubError:
    """The error for a body above a size limit.

    Args:
        limit: The limit in bytes.

    Returns:
        The error to raise.
    """
    return HubError(413, f"Larger than this Hub takes: the limit is {limit} bytes")

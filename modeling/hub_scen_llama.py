"""Dealing with the Hub: failures in words that say what to do, and patience with those that pass.

What the Hub's client raises names functions and addresses; whoever loads or shares a pack wants to know whether to log in, to
correct a name, or to try again later.
"""

import errno
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


# Answers by which the Hub says that the same request may succeed a little later; and how long to wait before each new try.
_PASSING = (408, 429, 500, 502, 503, 504)
_WAITS_S = (1, 2, 4, 8, 8)
_LONGEST_WAIT_S = 300

_LOGGER = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class EditPackError(ValueError):
    """An edit pack that cannot be used: what is wrong, in which file, and what to do."""


class HubError(EditPackError):
    """A repository of the Hub cannot be read or written: which one, why, and what to do."""


@contextmanager
def hub_errors(repo_id: str, revision: str | None = None, filename: str | None = None) -> Iterator[None]:
    """Within the block, what the Hub refuses or its client stumbles over becomes a [`HubError`] of one line.

    Args:
        repo_id (`str`): The repository that the block is about.
        revision, filename (`str`, *optional*): What of it, to be named in messages.
    """
    try:
        yield
    except EditPackError:
        raise
    except Exception as error:
        frames = traceback.walk_tb(error.__traceback__)
        if not any(str(frame.f_globals.get("__name__")).startswith("huggingface_hub") for frame, _ in frames):
            raise
        where = repo_id if revision is None else f"{repo_id}@{revision}"
        raise HubError(_explain(repo_id, where if filename is None else f"{where}, {filename}", error)) from error


def persistently(call: Callable[[], _Answer], repo_id: str) -> _Answer:
    """Make a call to the Hub, and again where it fails for a reason that may pass: overload, or a broken connection.

    The client waits and tries again by itself where it uploads and lists files, and some of the time where it downloads.

    Args:
        call: May be made several times.
        repo_id (`str`): The repository that it is about.
    """
    for wait in _WAITS_S:
        try:
            return call()
        except Exception as error:
            pause = _pause(error, wait)
            if pause is None:
                raise
            _LOGGER.warning("%s Trying again in %g s.", _explain(repo_id, repo_id, error), pause)
        time.sleep(pause)
    return call()


def _pause(error: Exception, wait: float) -> float | None:
    """Seconds to wait before a call that failed is made again; `None` if it would fail again."""
    if isinstance(error, HfHubHTTPError):
        after = error.response.headers.get("Retry-After", "")
        pause = float(after) if after.isdecimal() else wait
        return pause if error.response.status_code in _PASSING and pause <= _LONGEST_WAIT_S else None
    # Of the client's HTTP library, which may change, only this class is known. Where nobody listens, the address is wrong.
    return wait if isinstance(error, HTTPError) and not type(error).__name__.startswith("Connect") else None


def _explain(repo_id: str, where: str, error: BaseException) -> str:
    """What went wrong with a repository, in a line, and what to do."""
    while isinstance(error, (RuntimeError, LocalEntryNotFoundError)) and error.__cause__ is not None:
        error = error.__cause__  # the client says only what it was doing
    detail = " ".join(str(error).split())[:200]
    if isinstance(error, HFValidationError):
        return f"{repo_id!r} is not a valid repository name (owner/name), and there is no folder of that name."
    if isinstance(error, HfHubHTTPError):
        return _explain_answer(repo_id, where, error)
    if isinstance(error, OfflineModeIsEnabled):
        return f"{where}: HF_HUB_OFFLINE is set, and the Hub is needed for this. A pack loaded with prefetch=True no longer needs it."
    if isinstance(error, LocalTokenNotFoundError):
        return f"{where}: there is no token. Log in with: hf auth login"
    if isinstance(error, FileMetadataError):
        return f"{where}: what answers is no Hub. Check HF_ENDPOINT and your proxy."
    if isinstance(error, LocalEntryNotFoundError):
        return f"{where} is not in the cache, and only files from there may be used."
    if isinstance(error, HTTPError) and type(error).__name__.startswith("Connect"):
        return f"{where}: the Hub cannot be reached ({detail}). Check the network and HF_ENDPOINT."
    if isinstance(error, HTTPError):
        return f"{where}: the connection to the Hub broke ({detail or type(error).__name__})."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}: the disk is full ({error.strerror}). Make room, or use another one with HF_HOME."
    if isinstance(error, OSError) and error.errno is not None:
        return f"{where}: {error.filename or 'a file'} cannot be used: {error.strerror}."
    if detail.startswith("Invalid metadata in README.md"):
        return f"{where}: the Hub refuses the card. {detail}"
    return f"{where}: the Hub's answer cannot be used ({type(error).__name__}: {detail})."


def _explain_answer(repo_id: str, where: str, error: HfHubHTTPError) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return f"{repo_id} is gated: ask for access on its page, and log in with: hf auth login"
    if isinstance(error, DisabledRepoError):
        return f"{repo_id} has been disabled by the Hub."
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo_id} was not found on the Hub. Check the name; if it is private, log in with: hf auth login"
    if isinstance(error, RevisionNotFoundError):
        return f"{where}: there is no such tag, branch or commit."
    if isinstance(error, EntryNotFoundError):
        return f"{where}: a file is missing."
    if status == 401:
        return f"{where}: the token is missing or not valid. Log in with: hf auth login"
    if status == 403:
        return f"{where}: the token has no right to do this. Use one that may write, or propose with create_pr."
    if status == 412:
        return (
            f"{where} has moved since you looked: somebody else pushed. Push with --rebase to keep theirs and yours."
        )
    message = " ".join((error.server_message or error.response.reason_phrase).split())[:200]
    return f"{where}: the Hub answered {status} ({message})."

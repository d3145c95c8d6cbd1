"""Paths split before they are decoded: the client sends `refs/pr/1` as one segment, `refs%2Fpr%2F1`."""

from urllib.parse import unquote

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


# Stands for a slash inside a segment while routes are matched. No valid name contains it.
_INNER_SLASH = "\0"


class SegmentMiddleware:
    """Lets routes see the segments of a path as they were sent.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request.

        Args:
            scope: The request.
            receive: Gives its body.
            send: Takes the answer.
        """
        segments = [unquote(segment) for segment in scope["raw_path"].decode("ascii", "replace").split("/")]
        if any(_INNER_SLASH in segment for segment in segments):
            await JSONResponse({"error": "Invalid path"}, 400)(scope, receive, send)
            return
        path = "/".join(segment.replace("/", _INNER_SLASH) for segment in segments)
        await self._app({**scope, "path": path}, receive, send)


def inner_slashes(segment: str) -> str:
    """Gives a path parameter its slashes back.

    Args:
        segment: The parameter, as a route receives it.

    Returns:
        What the client meant.
    """
    return segment.replace(_INNER_SLASH, "/")

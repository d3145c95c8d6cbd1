"""The application: all routes, how errors are answered, and what every request passes through."""

import errno
import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import HubError
from ..faults import FaultMiddleware
from . import (
    routes_account,
    routes_commit,
    routes_discussions,
    routes_faults,
    routes_files,
    routes_lfs,
    routes_repos,
    routes_tree,
    routes_unsupported,
)
from .context import Hub
from .segments import SegmentMiddleware


_LOGGER = logging.getLogger("scen_hf.local_hub")


def create_app(hub: Hub) -> ASGIApp:
    """Builds the application of a server.

    Args:
        hub: Everything it works with.

    Returns:
        An ASGI application for uvicorn.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.hub = hub
    app.add_exception_handler(HubError, _answer_hub_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(OSError, _answer_disk_error)
    for module in (
        routes_account,
        routes_repos,
        routes_tree,
        routes_commit,
        routes_discussions,
        routes_lfs,
        routes_faults,
        routes_files,
        # Its routes are the most general.
        routes_unsupported,
    ):
        app.include_router(module.router)
    logged: ASGIApp = _LogMiddleware(app)
    return SegmentMiddleware(FaultMiddleware(logged, hub.faults) if hub.faults is not None else logged)


class _LogMiddleware:
    """Writes a line per request. Queries and headers stay out of it: they carry signatures and tokens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                _LOGGER.info("%s %s %s", scope["method"], ascii(scope["path"].replace("\0", "/")), message["status"])
            await send(message)

        await self._app(scope, receive, send_logged)


def _answer(status: int, message: str, code: str | None, headers: Mapping[str, str]) -> JSONResponse:
    # The body of an answer to HEAD is lost, so the message goes into a header as well.
    plain = " ".join(message.split()).encode("ascii", "backslashreplace").decode()
    more = {"X-Error-Message": plain, **({"X-Error-Code": code} if code else {})}
    return JSONResponse({"error": message}, status, {**headers, **more})


async def _answer_hub_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HubError):
        raise error
    return _answer(error.status, error.message, error.code, error.headers)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return _answer(400, f"Invalid request: {problems}", None, {})


async def _answer_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = "This local Hub does not have this page or function" if error.status_code == 404 else error.detail
    return _answer(error.status_code, message, None, error.headers or {})


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


async def _answer_disk_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise error
    return _answer(507, "The disk of this Hub is full", None, {})

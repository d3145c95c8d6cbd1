"""Faults on demand, for testing how clients cope: errors, delays and connections that break."""

import asyncio
import fnmatch
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


FAULTS_PATH = "/-/faults"


@dataclass
class Fault:
    """Something that goes wrong with matching requests.

    Args:
        method: The HTTP method, or `*`.
        path: A pattern for the decoded path, such as `/api/models/*/commit/*`; `*` matches slashes too.
        times: How many requests it happens to.
        status: The status to answer with, in place of the real answer.
        retry_after: The `Retry-After` header of that answer, in seconds.
        drop_after: Break the connection after this many bytes: of the answer to a GET, of the body of any other
            request.
        delay_s: Seconds to wait first.
        fired: How many requests it happened to so far.
    """

    method: str = "*"
    path: str = "*"
    times: int = 1
    status: int | None = None
    retry_after: int | None = None
    drop_after: int | None = None
    delay_s: float = 0.0
    fired: int = field(default=0, init=False)


class FaultPlan:
    """The faults of one server. Safe to change while it runs."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> Fault:
        """Plans a fault.

        Args:
            fault: The fault.

        Returns:
            The same fault, whose `fired` counts up.
        """
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forgets all faults."""
        with self._lock:
            self._faults.clear()

    def faults(self) -> list[Fault]:
        """Lists the faults, used up or not.

        Returns:
            The faults in the order in which they were planned.
        """
        with self._lock:
            return list(self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        """Finds the fault that happens to a request, and counts it.

        Args:
            method: The method of the request.
            path: Its decoded path.

        Returns:
            The first planned fault that matches and is not used up, or None.
        """
        with self._lock:
            for fault in self._faults:
                matches = fault.method in ("*", method) and fnmatch.fnmatchcase(path, fault.path)
                if matches and fault.fired < fault.times:
                    fault.fired += 1
                    return fault
        return None


class _ConnectionBroken(Exception):
    """Ends the handling of a request whose connection was broken on purpose."""


class FaultMiddleware:
    """Lets planned faults happen to requests.

    Args:
        app: The application that answers them otherwise.
        plan: The faults.
    """

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self._app = app
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request.

        Args:
            scope: The request.
            receive: Gives its body.
            send: Takes the answer.
        """
        path = scope["path"].replace("\0", "/")
        fault = self._plan.take(scope["method"], path) if not path.startswith(FAULTS_PATH) else None
        if fault is not None and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.status is not None:
            await _error_response(fault.status, fault.retry_after)(scope, receive, send)
        elif fault is not None and fault.drop_after is not None:
            await self._break_connection(fault.drop_after, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _break_connection(self, after: int, scope: Scope, receive: Receive, send: Send) -> None:
        passed = 0

        async def receive_some() -> Message:
            nonlocal passed
            message = await receive()
            passed += len(message.get("body", b""))
            if passed <= after:
                return message
            _transport(receive).abort()
            return {"type": "http.disconnect"}

        async def send_some(message: Message) -> None:
            nonlocal passed
            body = message.get("body", b"")
            if passed + len(body) <= after:
                passed += len(body)
                await send(message)
                return
            await send({**message, "body": body[: after - passed], "more_body": True})
            # Unlike abort(), this lets the bytes so far reach the client.
            _transport(receive).close()
            while (await receive())["type"] != "http.disconnect":
                pass
            raise _ConnectionBroken

        try:
            if scope["method"] == "GET":
                await self._app(scope, receive, send_some)
            else:
                await self._app(scope, receive_some, send)
        except _ConnectionBroken:
            return


def _error_response(status: int, retry_after: int | None) -> JSONResponse:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": f"Injected fault: {HTTPStatus(status).phrase}"}, status, headers)


def _transport(receive: Receive) -> Any:
    # ASGI has no way to break a connection. Uvicorn's `receive` is a method of an object that knows its transport.
    return receive.__self__.transport  # type: ignore[attr-defined]

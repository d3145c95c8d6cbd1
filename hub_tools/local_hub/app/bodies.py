"""Bodies of requests: read within limits, into memory or into files."""

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from ..durable import Incoming
from ..errors import bad_request, too_large
from ..jsons import parse_json
from .context import Hub, HubDep


_PIECE_BYTES = 2**20


async def _body(request: Request, hub: HubDep) -> bytes:
    limit = hub.limits.json_max_bytes
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


def _json_body(body: Annotated[bytes, Depends(_body)]) -> dict[str, Any]:
    value = parse_json(body) if body.strip() else {}
    # The client sends "null" for a body without fields.
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object")
    return value


# The body as a JSON object; an empty body is an empty object.
JsonDep = Annotated[dict[str, Any], Depends(_json_body)]


def _form_or_json(request: Request, body: Annotated[bytes, Depends(_body)]) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qs(body.decode(errors="replace")))
    return _json_body(body)


# The body as a form, whose fields are lists, or as a JSON object.
FormOrJsonDep = Annotated[dict[str, Any], Depends(_form_or_json)]


async def receive_file(request: Request, hub: Hub, limit: int) -> Incoming:
    """Receives a body into a scratch file.

    Args:
        request: The request.
        hub: The hub.
        limit: The largest size accepted.

    Returns:
        The file, not finished. The caller discards it.

    Raises:
        HubError: When the body is larger.
    """
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_large(limit)
    incoming = await run_in_threadpool(Incoming, hub.storage.scratch, limit)
    try:
        pending = bytearray()
        async for piece in request.stream():
            pending += piece
            if len(pending) >= _PIECE_BYTES:
                await run_in_threadpool(incoming.write, bytes(pending))
                pending.clear()
        await run_in_threadpool(incoming.write, bytes(pending))
    except BaseException:
        incoming.discard()
        raise
    return incoming

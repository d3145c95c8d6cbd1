"""Routes of Git LFS: asking for upload URLs, uploading whole files or parts, checking, and downloading."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse

from ..errors import HubError, bad_request
from ..names import is_sha256
from ..permissions import check_write_token
from ..repository import Repo
from ..uploads import store_received
from .bodies import JsonDep, receive_file
from .content import content_headers
from .context import Hub, HubDep, RepoDep, UserDep, endpoint_of
from .routes_commit import check_committer


router = APIRouter()

_BATCH_MAX_OBJECTS = 1000
_MEDIA_TYPE = "application/vnd.git-lfs+json"


@router.post("/{owner}/{name}.git/info/lfs/objects/batch")
def batch(request: Request, body: JsonDep, hub: HubDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Tells where to upload each object; nowhere if it is here already."""
    if body.get("operation") != "upload":
        raise bad_request("Only the LFS operation 'upload' is served: download through /resolve/")
    ref = body.get("ref")
    revision = ref.get("name") if isinstance(ref, dict) else None
    check_committer(hub, user, repo, revision if isinstance(revision, str) else None)
    objects = body.get("objects")
    if not isinstance(objects, list) or len(objects) > _BATCH_MAX_OBJECTS:
        raise bad_request(f"'objects' must be a list of at most {_BATCH_MAX_OBJECTS} objects")
    answers = [_batch_answer(hub, repo, endpoint_of(request), item) for item in objects]
    return JSONResponse({"transfer": "basic", "objects": answers}, media_type=_MEDIA_TYPE)


@router.post("/{owner}/{name}.git/info/lfs/objects/verify")
def verify(body: JsonDep, repo: RepoDep, user: UserDep) -> JSONResponse:
    """Tells whether an object arrived."""
    check_write_token(user)
    sha256, size = _object(body)
    if repo.objects.size(sha256) != size:
        raise HubError(404, f"The object {sha256} was not uploaded")
    return JSONResponse({}, media_type=_MEDIA_TYPE)


@router.put("/-/lfs/upload/{sha256}")
async def upload(request: Request, hub: HubDep, sha256: str) -> Response:
    """Takes a whole object."""
    fields, repo = await run_in_threadpool(_signed, request, hub, "upload", sha256)
    size = int(fields["size"])
    incoming = await receive_file(request, hub, size)
    try:
        await run_in_threadpool(store_received, incoming, sha256, size, repo.objects)
    finally:
        incoming.discard()
    return Response()


@router.put("/-/lfs/part/{sha256}")
async def upload_part(request: Request, hub: HubDep, sha256: str) -> Response:
    """Takes a part of an object."""
    fields, _ = await run_in_threadpool(_signed, request, hub, "part", sha256)
    size, number = int(fields["size"]), int(fields["number"])
    incoming = await receive_file(request, hub, size)
    try:
        if incoming.size != size:
            raise bad_request(f"Part {number} has {incoming.size} bytes, not {size}")
        etag = await run_in_threadpool(incoming.finish)
        await run_in_threadpool(hub.storage.uploads.keep_part, fields["upload"], number, incoming)
    finally:
        incoming.discard()
    return Response(headers={"ETag": f'"{etag}"'})


@router.post("/-/lfs/complete/{sha256}")
def complete(request: Request, body: JsonDep, hub: HubDep, sha256: str) -> JSONResponse:
    """Puts the parts of an object together."""
    fields, repo = _signed(request, hub, "complete", sha256)
    parts, size = int(fields["parts"]), int(fields["size"])
    sent = body.get("parts")
    numbers = [part.get("partNumber") for part in sent if isinstance(part, dict)] if isinstance(sent, list) else []
    if numbers != list(range(1, parts + 1)):
        raise bad_request(f"The upload has {parts} parts, and the request must name them all in order")
    hub.storage.uploads.assemble(fields["upload"], parts, sha256, size, repo.objects)
    return JSONResponse({}, media_type=_MEDIA_TYPE)


@router.api_route("/-/lfs/object/{sha256}", methods=["GET", "HEAD"])
def download(request: Request, hub: HubDep, sha256: str) -> FileResponse:
    """Gives the content of an object."""
    fields, repo = _signed(request, hub, "download", sha256)
    size = repo.objects.size(sha256)
    if size is None:
        raise HubError(404, "This content is gone")
    headers = content_headers(fields["name"], fields["commit"], sha256, size)
    return FileResponse(repo.objects.path(sha256), headers=headers)


def download_url(hub: Hub, repo: Repo, commit: str, path: str, sha256: str) -> str:
    """Makes a URL that gives the content of a file to whoever has it, for a short while.

    Args:
        hub: The hub.
        repo: The repository.
        commit: The id of the commit that the file is taken from.
        path: The path of the file.
        sha256: The hash of its content.

    Returns:
        The URL, relative to the server.
    """
    fields = {"repo": repo.repo_id, "commit": commit, "name": path.rpartition("/")[2], "sha256": sha256}
    return f"/-/lfs/object/{sha256}?{hub.signer.query('download', fields)}"


def _batch_answer(hub: Hub, repo: Repo, endpoint: str, item: object) -> dict[str, Any]:
    sha256, size = _object(item)
    answer: dict[str, Any] = {"oid": sha256, "size": size}
    if size > hub.limits.file_max_bytes:
        limit = f"Files are limited to {hub.limits.file_max_bytes} bytes"
        return {**answer, "error": {"code": 413, "message": limit}}
    if repo.objects.size(sha256) == size:
        return answer
    verify_url = f"{endpoint}/{repo.repo_id}.git/info/lfs/objects/verify"
    actions = {"upload": _upload_action(hub, repo, endpoint, sha256, size), "verify": {"href": verify_url}}
    return {**answer, "authenticated": True, "actions": actions}


def _upload_action(hub: Hub, repo: Repo, endpoint: str, sha256: str, size: int) -> dict[str, Any]:
    fields = {"repo": repo.repo_id, "sha256": sha256, "size": str(size)}
    part_bytes = hub.limits.part_bytes
    if size <= part_bytes:
        return {"href": f"{endpoint}/-/lfs/upload/{sha256}?{hub.signer.query('upload', fields)}"}
    parts = -(-size // part_bytes)
    fields["upload"] = hub.storage.uploads.new_id()
    header = {"chunk_size": str(part_bytes)}
    for number in range(1, parts + 1):
        part_size = min(part_bytes, size - (number - 1) * part_bytes)
        query = hub.signer.query("part", {**fields, "number": str(number), "size": str(part_size)})
        header[str(number)] = f"{endpoint}/-/lfs/part/{sha256}?{query}"
    query = hub.signer.query("complete", {**fields, "parts": str(parts)})
    return {"href": f"{endpoint}/-/lfs/complete/{sha256}?{query}", "header": header}


def _object(item: object) -> tuple[str, int]:
    sha256, size = (item.get("oid"), item.get("size")) if isinstance(item, dict) else (None, None)
    if not isinstance(sha256, str) or not is_sha256(sha256) or type(size) is not int or size < 0:
        raise bad_request("An LFS object needs a sha256 as its 'oid' and a 'size'")
    return sha256, size


def _signed(request: Request, hub: Hub, action: str, sha256: str) -> tuple[dict[str, str], Repo]:
    fields = dict(hub.signer.check(action, dict(request.query_params)))
    repo = hub.storage.repo(fields["repo"]) if fields["sha256"] == sha256 else None
    if repo is None:
        raise HubError(404, "This URL leads nowhere: the repository is gone")
    return fields, repo

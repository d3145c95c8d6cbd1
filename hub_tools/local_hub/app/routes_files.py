"""Routes that give files."""

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, RedirectResponse

from ..errors import entry_not_found
from .content import content_headers
from .context import HubDep, PathDep, RepoDep, RevisionDep, UserDep
from .routes_lfs import download_url


router = APIRouter()


@router.api_route("/{owner}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
def resolve(hub: HubDep, repo: RepoDep, user: UserDep, revision: RevisionDep, path: PathDep) -> Response:
    """Gives a file of a revision; an LFS file by way of a signed URL."""
    hub.permissions.check_download(user, repo)
    oid = repo.resolve(revision)
    file = repo.commit(oid).files.get(path)
    if file is None:
        raise entry_not_found(path, oid)
    headers = content_headers(path.rpartition("/")[2], oid, file.etag, file.size)
    if not file.lfs:
        return FileResponse(repo.objects.path(file.sha256), headers=headers)
    # Relative, because the server may be known under more than one name. The client asks for the metadata there, too:
    # that answer carries the same headers.
    return RedirectResponse(download_url(hub, repo, oid, path, file.sha256), 302, headers)

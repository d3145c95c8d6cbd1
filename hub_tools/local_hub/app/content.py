"""Headers of file contents."""

from urllib.parse import quote


def content_headers(name: str, commit: str, etag: str, size: int) -> dict[str, str]:
    """The headers that go with the content of a file, or with a redirect to it.

    Args:
        name: The name of the file.
        commit: The id of the commit it is taken from.
        etag: Its entity tag.
        size: Its size in bytes.

    Returns:
        The headers.
    """
    return {
        "X-Repo-Commit": commit,
        "ETag": f'"{etag}"',
        "X-Linked-ETag": f'"{etag}"',
        "X-Linked-Size": str(size),
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        # A page in a repository must not run as a page of this server.
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }

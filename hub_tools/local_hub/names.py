"""Names that requests carry: repositories, revisions, paths and hashes, and which of them are allowed."""

import re

from .errors import bad_request


_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
# First segments of the URLs of the Hub that are not the name of an owner.
_RESERVED_OWNERS = {"api", "buckets", "datasets", "kernels", "models", "spaces"}
_REF_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,99}", re.ASCII)
_PR_REF = re.compile(r"refs/pr/([1-9][0-9]{0,8})", re.ASCII)
_COMMIT_OID = re.compile(r"[0-9a-f]{40}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PATH_MAX_BYTES = 1024


def is_repo_id(repo_id: str) -> bool:
    """Whether a text is a valid `owner/name`, by the rules of the Hub.

    Args:
        repo_id: The text.

    Returns:
        True when a repository may have this id.
    """
    owner, slash, name = repo_id.partition("/")
    return (
        slash == "/"
        and all(_REPO_PART.fullmatch(part) is not None for part in (owner, name))
        and "--" not in repo_id
        and ".." not in repo_id
        and not repo_id.endswith(".git")
        and owner.lower() not in _RESERVED_OWNERS
    )


def is_owner(name: str) -> bool:
    """Whether a text can be the name of a user or an organisation.

    Args:
        name: The text.

    Returns:
        True when repositories may belong to this name.
    """
    return is_repo_id(f"{name}/x")


def is_ref_name(name: str) -> bool:
    """Whether a text can be the name of a branch or a tag.

    Args:
        name: The text.

    Returns:
        True for letters, digits and `_ . + - /`, without the sequences that git forbids.
    """
    return (
        _REF_NAME.fullmatch(name) is not None
        and ".." not in name
        and all(part and not part.startswith(".") and not part.endswith((".", ".lock")) for part in name.split("/"))
    )


def check_ref_name(name: object) -> str:
    """Checks the name for a new branch or tag.

    Args:
        name: What a request gives as the name.

    Returns:
        The name.

    Raises:
        HubError: When no branch or tag may have this name.
    """
    if not isinstance(name, str) or not is_ref_name(name) or name.startswith("refs/") or is_commit_oid(name):
        raise bad_request(f"Invalid reference name: {name!r}")
    return name


def pr_number(revision: str) -> int | None:
    """The number in the revision of a pull request.

    Args:
        revision: A revision.

    Returns:
        N for `refs/pr/N`, None for anything else.
    """
    match = _PR_REF.fullmatch(revision)
    return int(match[1]) if match else None


def is_commit_oid(text: object) -> bool:
    """Whether a value is a full commit id.

    Args:
        text: The value.

    Returns:
        True for 40 lower-case hexadecimal digits.
    """
    return isinstance(text, str) and _COMMIT_OID.fullmatch(text) is not None


def is_sha256(text: object) -> bool:
    """Whether a value is a SHA-256 in hexadecimal.

    Args:
        text: The value.

    Returns:
        True for 64 lower-case hexadecimal digits.
    """
    return isinstance(text, str) and _SHA256.fullmatch(text) is not None


def check_path(path: object) -> str:
    """Checks the path of a file to be written.

    The server never uses such a path on its own disk; clients do, so one that would leave their folder is refused.

    Args:
        path: What a request gives as the path.

    Returns:
        The path.

    Raises:
        HubError: When it is not a plain relative path.
    """
    if not isinstance(path, str) or not path or len(path.encode("utf-8", "surrogatepass")) > _PATH_MAX_BYTES:
        raise bad_request(f"Invalid path: {str(path)[:80]!r}")
    if "\\" in path or not path.isprintable() or any(part in ("", ".", "..", ".git") for part in path.split("/")):
        raise bad_request(f"Invalid path: {path!r}. Use a plain relative path inside the repository")
    return path

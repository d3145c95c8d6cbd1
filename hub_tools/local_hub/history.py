"""What happened between commits: last changes, differences and three-way merges of files."""

import difflib
import io
from collections.abc import Iterable

from .commits import Commit, FileEntry, Files
from .git_ids import folder_oids, lfs_pointer
from .objects import ObjectStore
from .repository import Repo


_DIFF_MAX_BYTES = 2**20


def changed_paths(old: Files, new: Files) -> list[str]:
    """Lists the differences between two commits.

    Args:
        old: The files of one.
        new: The files of the other.

    Returns:
        The paths of files added, removed or changed, in alphabetical order.
    """
    return sorted(path for path in {*old, *new} if old.get(path) != new.get(path))


def merge_files(base: Files, ours: Files, theirs: Files) -> tuple[Files, list[str]]:
    """Applies what one side changed to the other.

    Args:
        base: The files that both sides started from.
        ours: The side that receives the changes.
        theirs: The side that brings them.

    Returns:
        The merged files, and the paths that both sides changed differently.
    """
    merged, conflicts = dict(ours), []
    for path in changed_paths(base, theirs):
        if ours.get(path) not in (base.get(path), theirs.get(path)):
            conflicts.append(path)
        elif path in theirs:
            merged[path] = theirs[path]
        else:
            merged.pop(path, None)
    conflicts += [path for path in merged if any(parent in merged for parent in _parents(path))]
    return merged, sorted(conflicts)


def last_commits(repo: Repo, oid: str, paths: Iterable[str]) -> dict[str, Commit]:
    """Finds the commit that last changed each file or folder.

    Args:
        repo: The repository.
        oid: The id of the commit to look back from.
        paths: Files and folders of that commit.

    Returns:
        The commits by path.
    """
    found: dict[str, Commit] = {}
    wanted = set(paths)
    newer: Commit | None = None
    for commit in repo.history(oid):
        ids = _ids(commit)
        if newer is not None:
            newer_ids = _ids(newer)
            changed = {path for path in wanted if ids.get(path) != newer_ids.get(path)}
            found.update(dict.fromkeys(changed, newer))
            wanted -= changed
        newer = commit
        if not wanted:
            break
    if newer is not None:
        found.update(dict.fromkeys(wanted, newer))
    return found


def text_diff(objects: ObjectStore, old: Files, new: Files) -> str:
    """Describes the differences between two commits as git does.

    Args:
        objects: The contents of the repository.
        old: The files of one commit.
        new: The files of the other.

    Returns:
        A diff. LFS files are compared by their pointers; other large or binary files are only named.
    """
    return "".join(_file_diff(objects, path, old.get(path), new.get(path)) for path in changed_paths(old, new))


def _file_diff(objects: ObjectStore, path: str, old: FileEntry | None, new: FileEntry | None) -> str:
    lines = [f"diff --git a/{path} b/{path}\n"]
    if old is None:
        lines.append("new file mode 100644\n")
    if new is None:
        lines.append("deleted file mode 100644\n")
    old_lines, new_lines = _text_lines(objects, old), _text_lines(objects, new)
    names = (f"a/{path}" if old else "/dev/null", f"b/{path}" if new else "/dev/null")
    if old_lines is None or new_lines is None:
        lines.append(f"Binary files {names[0]} and {names[1]} differ\n")
    else:
        for line in difflib.unified_diff(old_lines, new_lines, *names):
            lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)


def _text_lines(objects: ObjectStore, entry: FileEntry | None) -> list[str] | None:
    if entry is None:
        return []
    content = lfs_pointer(entry.sha256, entry.size) if entry.lfs else objects.read(entry.sha256, _DIFF_MAX_BYTES)
    try:
        # Unlike splitlines, this splits at line feeds only, as diffs do.
        return io.StringIO(content.decode()).readlines() if content is not None else None
    except UnicodeDecodeError:
        return None


def _ids(commit: Commit) -> dict[str, str]:
    files = {path: file.oid for path, file in commit.files.items()}
    return {**folder_oids(files), **files}


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))

"""How a file travels: inside the commit, through LFS, or not at all because `.gitignore` names it."""

import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache


_LFS_SUFFIX_TEXT = (
    ".7z .arrow .bin .bz2 .ckpt .ftz .gguf .gz .h5 .joblib .mlmodel .model .msgpack .npy .npz .onnx .ot .parquet .pb "
    ".pickle .pkl .pt .pth .rar .safetensors .tar .tflite .tgz .wasm .xz .zip .zst"
)
_LFS_SUFFIXES = tuple(_LFS_SUFFIX_TEXT.split())

DEFAULT_GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in _LFS_SUFFIXES)

_GITIGNORE_MAX = 65_536


def upload_mode(path: str, size: int, regular_max_bytes: int) -> str:
    """Decides how the content of a file is uploaded.

    Args:
        path: Its path in the repository.
        size: Its size in bytes.
        regular_max_bytes: The largest regular file.

    Returns:
        `lfs` or `regular`, as the client expects it.
    """
    is_lfs = size > regular_max_bytes or path.lower().endswith(_LFS_SUFFIXES)
    return "lfs" if is_lfs else "regular"


class IgnoreRules:
    """The patterns of a `.gitignore` file.

    Args:
        text: Its content; what lies beyond the first 64 KiB is not read.
    """

    def __init__(self, text: str) -> None:
        self._rules = _parse_rules(text[:_GITIGNORE_MAX])

    def ignores(self, path: str) -> bool:
        """Whether a file is left out.

        Args:
            path: Its path.

        Returns:
            True when the last pattern that fits the file, or a folder above it, excludes it.
        """
        parts = path.split("/")
        # A file below an excluded folder cannot be included again, as in git.
        return any(
            self._excludes("/".join(parts[:depth]), is_folder=depth < len(parts)) for depth in range(1, len(parts) + 1)
        )

    def _excludes(self, path: str, *, is_folder: bool) -> bool:
        excluded = False
        for pattern, negated, folders_only in self._rules:
            if (is_folder or not folders_only) and pattern.fullmatch(path):
                excluded = not negated
        return excluded


@lru_cache(maxsize=64)
def _parse_rules(text: str) -> tuple[tuple[re.Pattern[str], bool, bool], ...]:
    return tuple(_rules(text.splitlines()))


def _rules(lines: Iterable[str]) -> Iterable[tuple[re.Pattern[str], bool, bool]]:
    for line in lines:
        line = line.rstrip()
        if not line or line.startswith("#"):
            continue
        negated = line.startswith("!")
        body = line.removeprefix("!").removeprefix("\\")
        folders_only = body.endswith("/")
        body = body.rstrip("/")
        # A slash at the start or inside ties the pattern to the root; otherwise it fits at every level.
        anchored = "/" in body
        regex = _glob_to_regex(body.lstrip("/").split("/"))
        # Git, too, passes over a pattern that it cannot read, such as [z-a].
        with suppress(re.error):
            yield re.compile(regex if anchored else f"(?:.*/)?{regex}"), negated, folders_only


def _glob_to_regex(parts: list[str]) -> str:
    regex = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            regex += ".*" if last else "(?:.*/)?"
        else:
            regex += _part_to_regex(part) + ("" if last else "/")
    return regex


def _part_to_regex(part: str) -> str:
    pieces = re.findall(r"\*+|\?|\[!?\]?[^\]/]*\]|\\?.", part)
    return "".join(_piece_to_regex(piece) for piece in pieces)


def _piece_to_regex(piece: str) -> str:
    if piece.startswith("*"):
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("[") and len(piece) > 1:
        inside = piece[1:-1].removeprefix("!")
        # Only "-" keeps its meaning inside the brackets.
        escaped = "".join(char if char == "-" else re.escape(char) for char in inside)
        return f"[{'^/' if piece.startswith('[!') else ''}{escaped}]"
    return re.escape(piece.removeprefix("\\") or piece)

"""Work files: what an evaluation has measured so far, so that one that was stopped goes on where it was.

A work file has one JSON object a line, `{"key": ..., "result": ...}`, appended as results come in. The key is a hash of all
that the result depends on, so that a file serves any number of evaluations, and never gives a result of another pack, prompt
or setting.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import EditError


class WorkFile:
    """Results by key, kept in a file or, without a path, in memory.

    Args:
        path: The file; made if it is not there. A last line that was being written when its process was killed is dropped.

    Raises:
        EditError: If it cannot be read or written, or is no work file.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = None if path is None else Path(path)
        self._results: dict[str, Any] = {}
        if self.path is not None:
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            with path.open("a+b") as file:
                file.seek(0)
                content = file.read()
                whole = content[: content.rfind(b"\n") + 1]
                for number, line in enumerate(whole.splitlines(), start=1):
                    self._read_line(line, f"{path}, line {number}")
                file.truncate(len(whole))
        except OSError as error:
            raise EditError(f"{path}: the work file cannot be opened: {error.strerror or error}") from error

    def _read_line(self, line: bytes, where: str) -> None:
        try:
            entry = json.loads(line)
            self._results[entry["key"]] = entry["result"]
        except (ValueError, KeyError, TypeError):
            raise EditError(
                f"{where}: not a line of an evaluation's work file. Give another file, or a new name."
            ) from None

    def get(self, key: str) -> Any | None:
        """The result of that key, if there is one."""
        return self._results.get(key)

    def add(self, results: Mapping[str, Any]) -> None:
        """Keep results, safe from a crash once this returns."""
        self._results.update(results)
        if self.path is None:
            return
        lines = [json.dumps({"key": key, "result": result}, ensure_ascii=False) for key, result in results.items()]
        with self.path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())


def key_of(*parts: Any) -> str:
    """A hash of all that a result depends on; the parts are whatever JSON can hold."""
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

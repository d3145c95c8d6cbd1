"""What all benchmarks do with their figures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def report(figures: dict[str, Any], path: Path | None) -> None:
    """Print figures as JSON, and write them to `path` if there is one."""
    text = json.dumps(figures, indent=2)
    print(text)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


class Parts:
    """Figures in a JSON file, part by part, so that a run that was stopped goes on where it was.

    Args:
        path: The file; what is in it of a run with the same conditions is kept.
        conditions: All that the figures depend on.
        fresh: Begin anew, whatever is there.

    Raises:
        SystemExit: If the file holds figures that were taken under other conditions.
    """

    def __init__(self, path: Path, conditions: dict[str, Any], *, fresh: bool = False):
        self.path = path
        self.figures: dict[str, Any] = {"conditions": conditions}
        if path.is_file() and not fresh:
            stored = json.loads(path.read_text())
            # As JSON would give them back.
            wanted = json.loads(json.dumps(conditions))
            other = [name for name in wanted if stored["conditions"].get(name) != wanted[name]]
            if other:
                raise SystemExit(
                    f"{path} holds figures of a run with another {', '.join(other)}. Give another --json, or redo it with --fresh."
                )
            self.figures = stored

    def get(self, *names: str) -> Any | None:
        """The part of that name, of all names one after the other; `None` where it is still to be measured."""
        found: Any = self.figures
        for name in names:
            found = found.get(name) if found else None
        return found

    def put(self, part: Any, *names: str) -> None:
        """Keep a part; it is in the file, whole, once this returns."""
        *parents, last = names
        place = self.figures
        for name in parents:
            place = place.setdefault(name, {})
        place[last] = part
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_name(f".{self.path.name}.tmp")
        scratch.write_text(_readable(self.figures) + "\n")
        os.replace(scratch, self.path)


def _readable(value: Any, indent: str = "") -> str:
    """JSON with a line for each list or object that holds no other, such as a rate with its interval."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    if not any(isinstance(part, dict | list | tuple) for part in parts):
        return json.dumps(value)
    inner = f"{indent} "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(str(name))}: {_readable(part, inner)}" for name, part in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{_readable(part, inner)}" for part in parts) + f"\n{indent}]"

"""Everything about cost: training, inference, loading, and where the time goes, one after the other.

    python benchmarks/speed.py EDITS.jsonl ...

Each part is a script of its own and runs in a process of its own. Leave the machine to it: other work shows in the figures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


ROOT = Path(__file__).parent.parent
PARTS = ("training_speed", "inference_speed", "loading", "profiles")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "edits", nargs="+", type=Path, help="files of edits to train, in any form that load_edits reads"
    )
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs; its figures say nothing")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where to write the figures")
    args = parser.parse_args()
    for part in PARTS:
        # Run from the project's folder, so that the command in the figures is the one to type there.
        edits = [str(path.resolve()) for path in args.edits] if part == "training_speed" else []
        quick = ["--quick"] if args.quick else []
        command = [f"benchmarks/{part}.py", *edits, *quick, "--json", f"{args.results}/{part}.json"]
        print(" ".join(["$ python", *command]), file=sys.stderr)
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

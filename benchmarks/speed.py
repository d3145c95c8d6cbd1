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
LARGE = "--shape llama-2-7b"
# What is written: by which script, with which options, and with which where all is to be quick.
PARTS = {
    "training_speed": ("training_speed", "", ""),
    "inference_speed": ("inference_speed", "", ""),
    # Takes 16 GB of memory.
    "inference_speed_7b": (
        "inference_speed",
        f"{LARGE} --edits 1 100000 --batches 1 16 --rounds 3 --steps 10",
        f"{LARGE} --layers 2",
    ),
    "loading": ("loading", "", ""),
    "profiles": ("profiles", "", ""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "edits", nargs="+", type=Path, help="files of edits to train, in any form that load_edits reads"
    )
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs; its figures say nothing")
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="where to write the figures")
    args = parser.parse_args()
    for part, (script, options, quick) in PARTS.items():
        # Run from the project's folder, so that the command in the figures is the one to type there.
        edits = [str(path.resolve()) for path in args.edits] if part == "training_speed" else []
        chosen = f"{quick} --quick" if args.quick else options
        command = [f"benchmarks/{script}.py", *edits, *chosen.split(), "--json", f"{args.results}/{part}.json"]
        print(" ".join(["$ python", *command]), file=sys.stderr)
        subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()

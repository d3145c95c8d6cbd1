"""Time and memory of loading: the base model alone, with edit packs of 10 to 100,000 edits, and with 1000 LoRA adapters of PEFT.

    python benchmarks/loading.py --json benchmarks/results/loading.json

Every load happens in a process of its own that has imported everything before the clock starts. The loads take turns, and medians
over the turns are reported. Files are in the page cache, as the made-up packs have just been written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import load_once
import torch
from figures import report
from inference_speed import EXAMPLES, seed_pack, with_adapters
from load_once import ADAPTERS, BASE, PACK
from made_up_pack import write_made_up_pack
from timing import environment, goal

from scen_hf import SCENLlamaForCausalLM, load_base, load_edits, resolve_base
from scen_hf.bases import EMBEDDED_BASE


def in_child(kind: str, source: Path | None, dtype: str, base: str) -> dict[str, float]:
    """What [`load_once`] measures, in a fresh process."""
    command = [sys.executable, load_once.__file__, kind, str(source), dtype, base]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def write_adapters(folder: Path, count: int, model: SCENLlamaForCausalLM, layer: int, rank: int) -> Path:
    """As many adapters as PEFT saves them, of the rank and place of the experts."""
    with_adapters(model, layer, rank, 1).save_pretrained(folder / "one")
    for number in range(count):
        shutil.copytree(folder / "one" / "0", folder / "adapters" / f"{number:06d}")
    return folder / "adapters"


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row of medians per load."""
    model, tokenizer = load_base(args.base, device="cpu", dtype=getattr(torch, args.dtype))
    seed = seed_pack(model, tokenizer, load_edits(EXAMPLES)[: min(args.edits)], trained=True)
    loads: dict[tuple[str, int], Path | None] = {(BASE, 0): None}
    for count in args.edits:
        loads[PACK, count] = write_made_up_pack(seed, folder / f"pack-{count}", count)
    config = seed.config
    loads[ADAPTERS, args.adapters] = write_adapters(
        folder, args.adapters, model, config.edit_layer, config.expert_rank
    )
    del model
    measured: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in loads}
    for turn in range(args.rounds):
        for key, source in loads.items():
            # Adapters take minutes and are seconds apart; one load says enough.
            if key[0] != ADAPTERS or turn == 0:
                measured[key].append(in_child(key[0], source, args.dtype, resolve_base(args.base)))
    rows = []
    for (kind, edits), runs in measured.items():
        row: dict[str, Any] = {"contestant": kind, "edits": edits, "rounds": len(runs)}
        row |= {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        rows.append(row)
    base = dict(rows[0])
    for row in rows:
        row |= {f"more_{name}": row[name] - base[name] for name in measured[BASE, 0][0]}
    return rows


def goals(rows: list[dict[str, Any]], edits: int) -> list[dict[str, Any]]:
    """The stated goals for a pack of 10,000 edits, or the next smaller one that was loaded."""
    row = next(row for row in reversed(rows) if row["contestant"] == PACK and row["edits"] <= edits)
    return [
        goal(f"seconds beyond the base model, {row['edits']} edits", row["more_seconds"], 1.0),
        goal(f"MB resident beyond the base model, {row['edits']} edits", row["more_rss_mb"], 100.0),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--edits", type=int, nargs="+", default=[10, 1000, 10_000, 100_000], help="in rising order")
    parser.add_argument("--adapters", type=int, default=1000, help="LoRA adapters that PEFT loads")
    parser.add_argument("--rounds", type=int, default=5, help="processes per kind of load")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    if args.quick:
        args.edits, args.adapters, args.rounds = [10], 2, 1
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args, Path(folder))
    figures = {
        **environment(torch.device("cpu")),
        "base": args.base,
        "dtype": args.dtype,
        "rows": rows,
        "goals": goals(rows, 10_000),
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

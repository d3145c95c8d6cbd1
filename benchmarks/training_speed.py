"""Seconds and bytes per edit: `method="scen"` against the authors' procedure and the baselines, for 10 to 10,000 edits.

    python benchmarks/training_speed.py EDITS.jsonl ... --json benchmarks/results/training_speed.json

Ours is trained for real as far as the files of edits go. Beyond that its time per edit is that of the largest run, and the
search for edits that are hard to tell apart, which grows faster than their number, is timed on a made-up pack of the size in
question. The authors' procedure is timed on a few edits: stage 1 takes as long for each edit, and stage 2 as long for each step
and each earlier edit's prompt. Baselines are trained with the settings that `quality.py` found, for up to 100 edits, and their
time per edit is taken to stay as it is beyond. Figures that were not measured in full are marked as extrapolated. What a base model
needs once, the router space, is not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from authors_procedure import train_expert, train_neuron
from baselines import METHODS
from figures import report
from made_up_pack import write_made_up_pack
from timing import environment, seconds_of

from scen_hf import Edit, EditPack, SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.edits import resolve_edits
from scen_hf.neurons import find_confusions
from scen_hf.prompts import encode_prompt, encode_target


# lr 1e-4, the paper's, learns nothing on a model as small as SmolLM2-135M in 10 steps.
AUTHORS_STEPS, AUTHORS_LR, AUTHORS_NEURON_STEPS = 10, 3e-3, 20
CPU = torch.device("cpu")
# Where the settings of the baselines are, and so many edits they are timed on.
TUNED, MOST_OF_BASELINES = Path(__file__).parent / "results" / "quality.json", 100


def time_authors(
    base: str, device: torch.device, edits: Sequence[Edit], counts: Sequence[int]
) -> list[dict[str, Any]]:
    """A row per number of edits; the edits given are timed, one after the other, with one step of stage 2 each."""
    model, tokenizer = load_base(base, dtype=torch.float32, device=device)
    model.requires_grad_(False)
    layer = model.config.num_hidden_layers * 20 // 32
    prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
    targets = [encode_target(tokenizer, edit.target) for edit in edits]
    stage1, stage2 = [], []
    for number, target in enumerate(targets):
        seen = prompts[: number + 1]
        expert = partial(train_expert, model, layer, seen[-1], target, AUTHORS_STEPS, AUTHORS_LR)
        neuron = partial(train_neuron, model, layer, seen, 1, AUTHORS_LR)
        stage1.append(seconds_of(expert, device))
        stage2.append(seconds_of(neuron, device) / len(seen))
    per_edit, per_sequence_and_step = statistics.median(stage1), statistics.median(stage2)
    weight = model.model.layers[layer].mlp.down_proj.weight
    rows = []
    for count in counts:
        # Of 1, 2, ... `count` prompts in each step.
        neurons = per_sequence_and_step * AUTHORS_NEURON_STEPS * (count + 1) / 2
        sizes = (weight.numel() + model.config.intermediate_size) * weight.element_size()
        rows.append(_row("authors' procedure", count, per_edit, neurons, sizes, extrapolated=True))
    return rows


def time_ours(
    model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit], counts: Sequence[int]
) -> tuple[list[dict[str, Any]], EditPack]:
    """A row per number of edits, and the largest pack that was trained."""
    trainer = SCENTrainer(model, tokenizer, progress=False)
    trainer.train(edits[:1])
    rows = []
    for count in (count for count in counts if count <= len(edits)):
        pack = trainer.train(edits[:count])
        seconds = [pack.report[f"stage{stage}_seconds"] / count for stage in (1, 2)]
        rows.append(_row("scen", count, *seconds, _bytes_per_edit(pack), extrapolated=False))
    largest = rows[-1]
    confused = seconds_of(partial(find_confusions, pack), CPU)
    linear = largest["stage2_seconds_per_edit"] - confused / largest["edits"]
    for count in (count for count in counts if count > len(edits)):
        with tempfile.TemporaryDirectory() as folder:
            made_up = EditPack.from_pretrained(write_made_up_pack(pack, Path(folder) / "pack", count))
        confused = seconds_of(partial(find_confusions, made_up), CPU)
        stage2 = linear + confused / count
        rows.append(
            _row(
                "scen", count, largest["stage1_seconds_per_edit"], stage2, largest["bytes_per_edit"], extrapolated=True
            )
        )
    return rows, pack


def time_baselines(
    model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit], counts: Sequence[int], tuned: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row per baseline and number of edits; `tuned` are settings by the names of methods."""
    rows = []
    for method in (method for method in METHODS if method.name not in ("scen", "paper")):
        most = min(len(edits), MOST_OF_BASELINES, method.most_edits or MOST_OF_BASELINES)
        settings = tuned[method.name]["settings"]
        with method.edited(model, tokenizer, edits[:1], settings):
            pass  # what is slow only once
        sizes: dict[int, int] = {}
        for count in counts:
            trained = min(count, most)
            if trained not in sizes:
                start = time.perf_counter()
                with method.edited(model, tokenizer, edits[:trained], settings) as edited:
                    seconds, sizes[trained] = time.perf_counter() - start, edited.bytes
            # The same size whatever the number of edits, or so much for each.
            one_for_all = len(sizes) > 1 and len(set(sizes.values())) == 1
            rows.append(
                {
                    "procedure": method.title,
                    "edits": count,
                    "seconds_per_edit": seconds / trained,
                    "bytes_per_edit": sizes[trained] / (count if one_for_all else trained),
                    "extrapolated": trained < count,
                }
            )
    return rows


def _row(
    procedure: str, edits: int, stage1: float, stage2: float, size: float, *, extrapolated: bool
) -> dict[str, Any]:
    return {
        "procedure": procedure,
        "edits": edits,
        "seconds_per_edit": stage1 + stage2,
        "stage1_seconds_per_edit": stage1,
        "stage2_seconds_per_edit": stage2,
        "bytes_per_edit": size,
        "extrapolated": extrapolated,
    }


def _bytes_per_edit(pack: EditPack) -> float:
    """Of neurons and experts as stored."""
    (shard,) = pack.shards
    tensors = [shard.neurons, shard.subjects, *(shard.experts or {}).values()]
    return sum(t.numel() * t.element_size() for t in tensors if t is not None) / len(pack)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edits", nargs="+", help="files of edits, in any form that load_edits reads")
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000, 10_000], help="numbers of edits")
    parser.add_argument("--authors-edits", type=int, default=8, help="edits that the authors' procedure is timed on")
    parser.add_argument("--tuned", type=Path, default=TUNED, help="figures of quality.py, for the baselines' settings")
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    edits = resolve_edits([edit for path in args.edits for edit in load_edits(path)])
    if args.quick:
        args.counts, args.authors_edits, edits = [2, 100], 1, edits[:2]
    counts = sorted(args.counts)
    if counts[0] > len(edits):
        parser.error(f"There are {len(edits)} edits, fewer than the smallest of --counts, {counts[0]}.")
    if not args.tuned.is_file():
        parser.error(
            f"{args.tuned} is not there. Run benchmarks/quality.py first: it searches the baselines' settings."
        )
    tuned = json.loads(args.tuned.read_text())["tuning"]
    device = choose_device()
    dtype = choose_dtype(device)
    authors = time_authors(args.base, device, edits[: args.authors_edits], counts)
    model, tokenizer = load_base(args.base, dtype=dtype, device=device)
    ours, pack = time_ours(model, tokenizer, edits, counts)
    baselines = time_baselines(model, tokenizer, edits, counts, tuned)
    ratios = [
        {
            "edits": own["edits"],
            "seconds": theirs["seconds_per_edit"] / own["seconds_per_edit"],
            "bytes": theirs["bytes_per_edit"] / own["bytes_per_edit"],
        }
        for own, theirs in zip(ours, authors, strict=True)
    ]
    figures = {
        **environment(device),
        "base": args.base,
        "dtype": str(dtype).removeprefix("torch."),
        "authors_dtype": "float32",
        "trained_edits": len(pack),
        "mean_steps": pack.report["mean_steps"],
        "converged_share": pack.report["converged"],
        "rows": [*ours, *authors, *baselines],
        "authors_over_ours": ratios,
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Time and bytes per edit: `method="scen"` against the authors' procedure, in one run on one machine.

    python benchmarks/training_speed.py EDITS.jsonl --json benchmarks/results/training_speed.json

The authors' procedure is timed on a few edits. Its stage 2 grows with the square of the number of edits; the figure for 1000
edits is extrapolated from the time of one sequence and one step, and marked so. Ours is timed on all edits given; what a base
model needs once (the router space) is timed apart.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from authors_procedure import train_expert, train_neuron
from figures import report

from scen_hf import Edit, SCENTrainer, SCENTrainingConfig, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import evaluate
from scen_hf.prompts import encode_prompt, encode_target


# lr 1e-4, the paper's, learns nothing on a model as small as SmolLM2-135M in 10 steps.
AUTHORS_STEPS, AUTHORS_LR, AUTHORS_NEURON_STEPS = 10, 3e-3, 20
EXTRAPOLATED_TO = 1000


def time_authors(base: str, edits: list[Edit], layer: int) -> dict[str, float]:
    """Seconds per edit of stage 1, and per sequence and step of stage 2, medians over the edits."""
    model, tokenizer = load_base(base, dtype=torch.float32, device="cpu")
    model.requires_grad_(False)
    prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
    stage1, stage2 = [], []
    for number, edit in enumerate(edits):
        start = time.perf_counter()
        weight = train_expert(
            model, layer, prompts[number], encode_target(tokenizer, edit.target), AUTHORS_STEPS, AUTHORS_LR
        )
        middle = time.perf_counter()
        train_neuron(model, layer, prompts[: number + 1], 1, AUTHORS_LR)
        stage1.append(middle - start)
        stage2.append((time.perf_counter() - middle) / (number + 1))
    per_sequence = statistics.median(stage2)
    sequences = EXTRAPOLATED_TO * (EXTRAPOLATED_TO + 1) / 2
    return {
        "stage1_seconds_per_edit": statistics.median(stage1),
        "stage2_seconds_per_sequence_and_step": per_sequence,
        "stage2_hours_for_1000_edits_extrapolated": per_sequence * sequences * AUTHORS_NEURON_STEPS / 3600,
        "bytes_per_edit": float(weight.numel() * weight.element_size()),
    }


def time_ours(base: str, edits: list[Edit]) -> dict[str, Any]:
    """Seconds per edit of both stages, bytes per edit, and how well the edits hold."""
    device = choose_device()
    model, tokenizer = load_base(base, dtype=choose_dtype(device), device=device)
    trainer = SCENTrainer(model, tokenizer, SCENTrainingConfig())
    start = time.perf_counter()
    trainer.train(edits[:1])
    once = time.perf_counter() - start
    pack = trainer.train(edits)
    with tempfile.TemporaryDirectory() as folder:
        pack.save_pretrained(Path(folder) / "pack")
        model.load_edit_pack(Path(folder) / "pack")
        bare = [replace(edit, rephrases=(), neighbours=()) for edit in edits]
        reliability = evaluate(model, tokenizer, bare).reliability
    shard = pack.shards[0]
    tensors = [shard.neurons, shard.subjects, *(shard.experts or {}).values()]
    return {
        "first_edit_of_a_base_seconds": once,
        "stage1_seconds_per_edit": pack.report["stage1_seconds"] / len(edits),
        "stage2_seconds_per_edit": pack.report["stage2_seconds"] / len(edits),
        "converged": pack.report["converged"],
        "not_converged": pack.report["not_converged"],
        "reliability": reliability.value,
        "mean_steps": pack.report["mean_steps"],
        "bytes_per_edit": sum(t.numel() * t.element_size() for t in tensors if t is not None) / len(edits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edits", help="file of edits, in any form that load_edits reads")
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--limit", type=int, help="take the first edits only")
    parser.add_argument("--authors-edits", type=int, default=8, help="edits that the authors' procedure is timed on")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    edits = load_edits(args.edits, limit=args.limit)
    layer = load_base(args.base, device="cpu")[0].config.num_hidden_layers * 20 // 32
    authors = time_authors(args.base, edits[: args.authors_edits], layer)
    ours = time_ours(args.base, edits)
    figures = {
        "device": torch.cpu.get_capabilities()["cpu_name"]
        if choose_device().type == "cpu"
        else torch.cuda.get_device_name(),
        "threads": torch.get_num_threads(),
        "edits": len(edits),
        "authors": authors,
        "ours": ours,
        "ratios": {
            "stage1": authors["stage1_seconds_per_edit"] / ours["stage1_seconds_per_edit"],
            "bytes": authors["bytes_per_edit"] / ours["bytes_per_edit"],
        },
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Where the time of a training step and of a decode step goes, and how far training is from what bounds it.

    python benchmarks/profiles.py --json benchmarks/results/profiles.json

A training step has to take the answer's tokens through the layers above the edited one, and back. The bound is the time of the
matrix products in that, and of the output head's, for just those tokens, measured in the same process: no attention, no norms,
no padding, no optimiser.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from figures import report
from inference_speed import EXAMPLES, Contestant, seed_pack, with_pack
from made_up_pack import write_made_up_pack
from timing import environment, seconds_of, timed_calls
from torch.profiler import ProfilerActivity, profile

from scen_hf import Edit, SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.experts import AnswerStates, ExpertTrainer
from scen_hf.prompts import encode_prompt, encode_target, pad_id_of, pad_left


TOP = 10


class RecordingTrainer(ExpertTrainer):
    """Notes how many target tokens each step has."""

    def losses(self, states: AnswerStates, *parameters: torch.Tensor):
        """As its parent's."""
        self.tokens_of_steps.append(int((states.labels != -100).sum()))
        return super().losses(states, *parameters)


def expert_batch(model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit]) -> tuple[RecordingTrainer, Callable]:
    """A trainer with default settings, and a function that trains these edits as one batch."""
    defaults = SCENTrainer(model, tokenizer, progress=False)
    trainer = defaults.expert_trainer(RecordingTrainer)
    prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
    targets = [encode_target(tokenizer, edit.target) for edit in edits]

    def train() -> None:
        trainer.tokens_of_steps = []
        trainer.train(prompts, targets, range(len(edits)), lambda row, expert: None)

    return trainer, train


def training_bound(trainer: RecordingTrainer, device: torch.device) -> float:
    """Seconds of the bare matrix products of all recorded steps."""
    layers = trainer.model.model.layers[trainer.layer + 1 :]
    modules = [module for layer in layers for module in layer.modules() if isinstance(module, torch.nn.Linear)]
    weights = [module.weight.detach() for module in [*modules, trainer.model.lm_head]]
    seconds: dict[int, float] = {}

    @torch.no_grad()
    def products(tokens: int) -> None:
        for weight in weights:
            rows = weight.new_ones(tokens, weight.shape[1])
            (rows @ weight.T) @ weight

    # A kernel's time is no smooth function of the rows: each number of tokens that occurred is measured.
    for tokens in set(trainer.tokens_of_steps):
        products(tokens)
        seconds[tokens] = statistics.median(seconds_of(partial(products, tokens), device) for _ in range(5))
    return sum(seconds[tokens] for tokens in trainer.tokens_of_steps)


def training_phases(model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit]) -> dict[str, Any]:
    """Seconds per phase of the training of one batch, and the share of the steps' time that is bound."""
    device = model.device
    trainer, train = expert_batch(model, tokenizer, edits)
    train()
    methods = {
        "prompt and target, once": (ExpertTrainer, "answer_states"),
        "forward": (RecordingTrainer, "losses"),
        "backward": (torch.Tensor, "backward"),
        "optimizer": (torch.optim.Adam, "step"),
    }
    with timed_calls(methods, device) as spent:
        start = time.perf_counter()
        train()
        total = time.perf_counter() - start
    phases = {**spent, "rest": total - sum(spent.values())}
    steps = total - phases["prompt and target, once"]
    bound = training_bound(trainer, device)
    # The last look at the losses takes no step back, but it is counted as if it did.
    return {
        "edits": len(edits),
        "steps": len(trainer.tokens_of_steps) - 1,
        "target_tokens": trainer.tokens_of_steps[0],
        "seconds": total,
        "phases": [{"phase": name, "seconds": took, "share": took / total} for name, took in phases.items()],
        "bound_seconds": bound,
        "steps_seconds": steps,
        "bound_share": bound / steps,
    }


def profiled(work: Callable[[], Any], device: torch.device) -> list[dict[str, Any]]:
    """The operations that take most of the time, as shares of the time of all."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as profiler:
        work()
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    entries = sorted(profiler.key_averages(), key=lambda entry: -getattr(entry, key))
    total = sum(getattr(entry, key) for entry in entries)
    return [
        {"operation": entry.key, "share": getattr(entry, key) / total, "calls": entry.count} for entry in entries[:TOP]
    ]


def decode_profile(model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit], steps: int) -> list[dict[str, Any]]:
    """The operations of decode steps of a batch in which every row has its own edit."""
    with tempfile.TemporaryDirectory() as folder:
        seed = seed_pack(model, tokenizer, edits, trained=True)
        edited = with_pack(model, write_made_up_pack(seed, Path(folder) / "pack", len(edits)))
        prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
        input_ids, mask = pad_left(prompts, pad_id_of(tokenizer))
        contestant = Contestant(
            edited, {"input_ids": input_ids.to(model.device), "attention_mask": mask.to(model.device)}
        )
        contestant.start()
        contestant.step()
        return profiled(lambda: [contestant.step() for _ in range(steps)], model.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--edits", type=int, default=60, help="edits of the training batch")
    parser.add_argument("--batch", type=int, default=8, help="sequences of the decode batch")
    parser.add_argument("--steps", type=int, default=20, help="decode steps to profile")
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    if args.quick:
        args.edits, args.batch, args.steps = 2, 2, 2
    device = choose_device()
    dtype = choose_dtype(device)
    model, tokenizer = load_base(args.base, device=device, dtype=dtype)
    edits = load_edits(EXAMPLES)
    model.requires_grad_(False)
    figures = {
        **environment(device),
        "base": args.base,
        "dtype": str(dtype).removeprefix("torch."),
        "training": training_phases(model, tokenizer, edits[: args.edits]),
        "training_step": profiled(expert_batch(model, tokenizer, edits[: args.edits])[1], device),
        "decode_batch": args.batch,
        "decode_step": decode_profile(model, tokenizer, edits[: args.batch], args.steps),
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""Which prompts make edits fire: rephrases, conversations, hard negatives and unrelated questions, through the real model and pack.

    python benchmarks/routing.py ZSRE.jsonl COUNTERFACT.jsonl --unrelated UNRELATED.jsonl --json benchmarks/results/routing.json

Of each file every second subject (by a hash of its name) gets an edit; the others are the subjects without one. Edits are trained
with the default settings, and prompts are routed as `generate` routes them. The settings were chosen on the tuning half; the
report half is what to go by. Questions of other edits that ask the same thing are rephrases and not counted, see `relations.py`.

The trade-off is that of the first gate's threshold: the same prompts with all thresholds moved by a few steps.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from figures import report
from relations import ask_the_same

from scen_hf import Edit, Route, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.batches import in_batches
from scen_hf.evaluation import LocalityPrompt, Probe, Rate, SCENAnswerer, load_locality_prompts, prompt_sets
from scen_hf.modeling import EditPackReader


BATCH = 32
# Steps by which the thresholds are moved for the trade-off.
STEPS = (-0.15, -0.12, -0.09, -0.06, -0.03, 0.0, 0.03, 0.06, 0.09, 0.12)
HALVES = ("tuning half", "report half")


class Reading:
    """What a pack's router read of some probes, by which it can be asked again with other thresholds."""

    def __init__(self, answerer: SCENAnswerer, reader: EditPackReader, probes: Sequence[Probe]):
        self._router, self._probes, self._edit_id = reader.router, probes, reader.edit_id
        self._batches: list[tuple[list[int], tuple[torch.Tensor, torch.Tensor]]] = []
        decide, self._read = self._router.decide, []
        self._router.decide = lambda *read: self._read.append(read) or decide(*read)
        self.routes: dict[int, Route] = {}

        def work(numbers: list[int]) -> None:
            routes = answerer.route([probes[number].messages for number in numbers])
            self.routes.update(zip(numbers, routes, strict=True))
            self._batches.append((numbers, self._read.pop()))

        try:
            in_batches(work, sorted(range(len(probes)), key=lambda number: len(probes[number].prompt)), BATCH)
        finally:
            self._router.decide = decide

    def rate(self) -> Rate:
        """How often the right edit fired, or any where none should."""
        return Rate.of(
            self._as_it_should(self._probes[number], route.edit_id if route.fired else None)
            for number, route in self.routes.items()
        )

    def rate_now(self) -> Rate:
        """The same with the router's present thresholds."""
        outcomes = []
        for numbers, read in self._batches:
            choice = self._router.decide(*read)
            for number, fired, index in zip(numbers, choice.fired.tolist(), choice.index.tolist(), strict=True):
                outcomes.append(self._as_it_should(self._probes[number], self._edit_id(index) if fired else None))
        return Rate.of(outcomes)

    @staticmethod
    def _as_it_should(probe: Probe, fired: str | None) -> bool:
        return fired is not None if probe.target is None else fired == probe.edit_id


def measure(
    answerer: SCENAnswerer, edits: list[Edit], others: list[Edit], unrelated: list[LocalityPrompt]
) -> dict[str, Any]:
    """Train a pack of the edits and measure it; `others` are edits that are not in it."""
    model = answerer.model
    sets = prompt_sets(edits, unrelated=unrelated, others=others, hard=True, ask_the_same=ask_the_same)
    pack = SCENTrainer(model, answerer.tokenizer).train(edits)
    with tempfile.TemporaryDirectory() as folder:
        pack.save_pretrained(Path(folder) / "pack")
        model.load_edit_pack(Path(folder) / "pack")
        (reader,) = model._packs.values()
        readings = {name: Reading(answerer, reader, probes) for name, probes in sets.items() if probes}
        model.unload_edit_pack()
    thresholds, trade_off = reader.router.thresholds.clone(), []
    for step in STEPS:
        reader.router.thresholds.copy_(thresholds + step)
        trade_off.append({"step": step, **{name: reading.rate_now().value for name, reading in readings.items()}})
    return {
        "edits": len(edits),
        "expected": pack.report["expected"],
        "rates": {name: reading.rate().to_dict() for name, reading in readings.items()},
        "trade_off": trade_off,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edits", nargs="+", help="files of edits with subjects, in any form that load_edits reads")
    parser.add_argument(
        "--unrelated", required=True, help="questions that no edit is about, as for scen eval --locality"
    )
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    unrelated = load_locality_prompts(args.unrelated)
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    answerer = SCENAnswerer(model, tokenizer)
    figures: dict[str, Any] = {"base": args.base, "sets": {}}
    for file in args.edits:
        halves: tuple[list[Edit], list[Edit]] = ([], [])
        for edit in load_edits(file):
            if edit.subject and edit.subject in edit.prompt:
                halves[sha256(edit.subject.encode()).digest()[-1] % 2].append(edit)
        figures["sets"][Path(file).stem] = {
            half: measure(answerer, edits, others, unrelated)
            for half, edits, others in zip(HALVES, halves, halves[::-1], strict=True)
            if half in args.halves
        }
    report(figures, args.json)


if __name__ == "__main__":
    main()

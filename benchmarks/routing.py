"""Which prompts make edits fire: rephrases, conversations, hard negatives and unrelated questions, through the real model and pack.

    python benchmarks/routing.py ZSRE.jsonl COUNTERFACT.jsonl --unrelated UNRELATED.jsonl --json benchmarks/results/routing.json

Of each file every second subject (by a hash of its name) gets an edit; the others are the subjects without one. Edits are trained
with the default settings, and prompts are routed as `generate` routes them. The settings were chosen on the tuning half; the
report half is what to go by. Questions of other edits that ask the same thing are rephrases and not counted, see `relations.py`.

The trade-off is that of the first gate's threshold: the same prompts with all thresholds moved by a few steps.

The second gate is compared with plain matching: it opens where the question contains the subject's name, whatever the case. For
that the edits are also asked with their subjects written in other ways.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from baselines import spread
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
# All in one pack, so that the subjects without an edit are names of the same kind; with so many prompts of each set at most.
WHOLE, MOST = "all edits", 1000


def misspelled(name: str) -> str:
    """The name without the third letter of its longest word."""
    word = max(name.split(), key=len)
    return name.replace(word, word[:2] + word[3:])


# Other ways to write a subject.
WRITTEN = {
    "subject in lower case": str.lower,
    "subject in upper case": str.upper,
    "subject without one letter": misspelled,
    "first word of the subject": lambda name: name.split()[0],
    "last word of the subject": lambda name: name.split()[-1],
}
# Only an earlier turn names the subject.
PRONOUN = "pronoun for the subject, named in an earlier turn"


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
        return self._decided(None)

    def rate_by_names(self, subjects: Sequence[str]) -> Rate:
        """The same if the second gate opens where the question contains the subject's name.

        Args:
            subjects: The name of each edit's, in the order of the edits.
        """
        return self._decided([name.casefold() for name in subjects])

    def _decided(self, names: Sequence[str] | None) -> Rate:
        outcomes = []
        for numbers, read in self._batches:
            with nullcontext() if names is None else self._matching(names, numbers):
                choices = self._router.decide(*read)
            for number, choice in zip(numbers, choices, strict=True):
                fired = self._edit_id(choice.index) if choice.fired else None
                outcomes.append(self._as_it_should(self._probes[number], fired))
        return Rate.of(outcomes)

    def _matching(self, names: Sequence[str], numbers: Sequence[int]):
        questions = [self._probes[number].prompt.casefold() for number in numbers]

        def contained(tokens: torch.Tensor, rows: torch.Tensor, edits: torch.Tensor) -> torch.Tensor:
            pairs = zip(rows.tolist(), edits.tolist(), strict=True)
            return torch.tensor([names[edit] in questions[row] for row, edit in pairs]).float()

        return mock.patch.object(self._router, "subject_scores", contained)

    @staticmethod
    def _as_it_should(probe: Probe, fired: str | None) -> bool:
        return fired is not None if probe.target is None else fired == probe.edit_id


def otherwise_written(edits: Sequence[Edit]) -> dict[str, list[Probe]]:
    """The edits' prompts with their subjects written in other ways."""
    sets = {}
    for name, write in WRITTEN.items():
        changed = [(edit, edit.prompt.replace(edit.subject, write(edit.subject))) for edit in edits]
        sets[name] = [_asked(edit, text) for edit, text in changed if text != edit.prompt]
    sets[PRONOUN] = [
        _asked(
            edit,
            edit.prompt.replace(edit.subject, "it"),
            {"role": "user", "content": f"I would like to know more about {edit.subject}."},
            {"role": "assistant", "content": "Gladly! What would you like to know?"},
        )
        for edit in edits
    ]
    return sets


def _asked(edit: Edit, text: str, *before: dict[str, str]) -> Probe:
    return Probe((*before, {"role": "user", "content": text}), target=edit.target, edit_id=edit.id)


def measure(
    answerer: SCENAnswerer, edits: list[Edit], others: list[Edit], unrelated: list[LocalityPrompt]
) -> dict[str, Any]:
    """Train a pack of the edits and measure it; `others` are edits that are not in it."""
    model = answerer.model
    sets = prompt_sets(edits, unrelated=unrelated, others=others, hard=True, ask_the_same=ask_the_same)
    if others:
        sets |= otherwise_written(edits)
    else:
        sets = {name: spread(probes, MOST) for name, probes in sets.items()}
    pack = SCENTrainer(model, answerer.tokenizer).train(edits)
    with tempfile.TemporaryDirectory() as folder:
        pack.save_pretrained(Path(folder) / "pack")
        model.load_edit_pack(Path(folder) / "pack")
        (reader,) = model._packs.values()
        readings = {name: Reading(answerer, reader, probes) for name, probes in sets.items() if probes}
        model.unload_edit_pack()
    by_names = {
        name: reading.rate_by_names([str(edit.subject) for edit in edits]) for name, reading in readings.items()
    }
    thresholds, trade_off = reader.router.thresholds.clone(), []
    for step in STEPS:
        reader.router.thresholds.copy_(thresholds + step)
        trade_off.append({"step": step, **{name: reading.rate_now().value for name, reading in readings.items()}})
    return {
        "edits": len(edits),
        "expected": pack.report["expected"],
        "rates": {name: reading.rate().to_dict() for name, reading in readings.items()},
        "rates_by_names": {name: rate.to_dict() for name, rate in by_names.items()},
        "trade_off": trade_off,
    }


def halves_of(edits: Sequence[Edit]) -> tuple[list[Edit], list[Edit]]:
    """Edits that name their subject: the tuning half and the report half."""
    halves: tuple[list[Edit], list[Edit]] = ([], [])
    for edit in edits:
        if edit.subject and edit.subject in edit.prompt:
            halves[sha256(edit.subject.encode()).digest()[-1] % 2].append(edit)
    return halves


def numbers_about(edits: Sequence[Edit], probes: Sequence[Probe]) -> list[int]:
    """For each probe the number of its edit, or of the edit whose subject it names, the longest name if there are several."""
    numbers = {edit.id: number for number, edit in enumerate(edits)}
    by_length = sorted(range(len(edits)), key=lambda number: -len(str(edits[number].subject)))

    def about(probe: Probe) -> int:
        if probe.edit_id is not None:
            return numbers[probe.edit_id]
        return next(number for number in by_length if str(edits[number].subject) in probe.prompt)

    return [about(probe) for probe in probes]


def edits_parser(description: str) -> argparse.ArgumentParser:
    """A command line with files of edits, a base and a place for figures."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("edits", nargs="+", help="files of edits with subjects, in any form that load_edits reads")
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser


def main() -> None:
    parser = edits_parser(__doc__.splitlines()[0])
    parser.add_argument(
        "--unrelated", required=True, help="questions that no edit is about, as for scen eval --locality"
    )
    parser.add_argument("--packs", nargs="+", choices=(*HALVES, WHOLE), default=(*HALVES, WHOLE))
    args = parser.parse_args()
    unrelated = load_locality_prompts(args.unrelated)
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    answerer = SCENAnswerer(model, tokenizer)
    figures: dict[str, Any] = {"base": args.base, "sets": {}}
    for file in args.edits:
        halves = halves_of(load_edits(file))
        packs = {HALVES[0]: halves, HALVES[1]: halves[::-1], WHOLE: ([*halves[0], *halves[1]], [])}
        figures["sets"][Path(file).stem] = {name: measure(answerer, *packs[name], unrelated) for name in args.packs}
    report(figures, args.json)


if __name__ == "__main__":
    main()

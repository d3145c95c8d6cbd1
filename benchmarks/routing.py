"""Which prompts make edits fire: rephrases, hard negatives and unrelated questions, through the real model and pack.

    python benchmarks/routing.py ZSRE.jsonl UNRELATED.jsonl --json benchmarks/results/routing.json

Every second subject (by a hash of its name) gets an edit; the others are the subjects without one. Edits are trained with the
default settings, and prompts are routed as `generate` routes them. No figure is chosen here: the threshold is the default.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from figures import report

from scen_hf import Edit, Route, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import Rate, load_locality_prompts
from scen_hf.prompts import encode_chat, pad_id_of, pad_left


SYSTEM = "You answer in one short sentence."
EARLIER = [("user", "Can you help me with a quiz?"), ("assistant", "Of course! Ask me anything.")]
OTHER_QUESTIONS = ("How old is {}?", "Where can I read more about {}?", "Tell me about {}.")
# So many relations of other edits are asked about each edited subject.
RELATIONS = 7
BATCH = 32


class Asker:
    """Routes prompts in batches."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def routes(self, questions: Sequence[str], context: Sequence[tuple[str, str]] = ()) -> list[Route]:
        """The route of each question behind the same context."""
        before = [{"role": role, "content": text} for role, text in context]
        prompts = [encode_chat(self.tokenizer, [*before, {"role": "user", "content": q}]) for q in questions]
        found: list[Route] = []
        for start in range(0, len(prompts), BATCH):
            input_ids, mask = pad_left(prompts[start : start + BATCH], pad_id_of(self.tokenizer))
            device = self.model.get_input_embeddings().weight.device
            found += self.model.route(input_ids.to(device), mask.to(device))
        return found


def right(routes: Sequence[Route], edits: Sequence[Edit]) -> Rate:
    """How often the right edit fired."""
    return Rate(sum(r.fired and r.edit_id == e.id for r, e in zip(routes, edits, strict=True)), len(edits))


def fired(routes: Sequence[Route]) -> Rate:
    """How often any edit fired."""
    return Rate(sum(route.fired for route in routes), len(routes))


def measure(ask: Asker, edits: list[Edit], others: list[Edit], unrelated: list[str]) -> dict[str, Rate]:
    """All figures of one pack of `edits`; `others` are about subjects that have no edit."""
    rephrased = [edit for edit in edits if edit.rephrases]
    rephrases = [edit.rephrases[0] for edit in rephrased]
    subjects = [str(edit.subject) for edit in edits]
    templates = [edit.prompt.replace(str(edit.subject), "{}") for edit in edits]
    relations = [
        templates[(number * RELATIONS + step * 13 + 1) % len(templates)].replace("{}", subject)
        for step in range(RELATIONS)
        for number, subject in enumerate(subjects)
    ]
    asked = {edit.prompt for edit in edits}
    swapped = [
        template.replace("{}", str(others[number % len(others)].subject)) for number, template in enumerate(templates)
    ]
    return {
        "prompts, the right edit": right(ask.routes([edit.prompt for edit in edits]), edits),
        "rephrases, the right edit": right(ask.routes(rephrases), rephrased),
        "rephrases behind a system prompt": right(ask.routes(rephrases, [("system", SYSTEM)]), rephrased),
        "rephrases in a later turn": right(ask.routes(rephrases, EARLIER), rephrased),
        "other generic questions about an edited subject": fired(
            ask.routes([question.format(subject) for question in OTHER_QUESTIONS for subject in subjects])
        ),
        "other edits' questions about an edited subject": fired(
            ask.routes([question for question in relations if question not in asked])
        ),
        "the same question about a subject without an edit": fired(ask.routes(swapped)),
        "unrelated questions": fired(ask.routes(unrelated)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edits", help="file of edits with subjects and rephrases, in any form that load_edits reads")
    parser.add_argument("unrelated", help="questions that no edit is about, as for scen eval --locality")
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    usable = [edit for edit in load_edits(args.edits) if edit.subject and edit.subject in edit.prompt]
    halves: tuple[list[Edit], list[Edit]] = ([], [])
    for edit in usable:
        halves[sha256(str(edit.subject).encode()).digest()[-1] % 2].append(edit)
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    figures: dict[str, Any] = {"base": args.base, "edits": len(usable)}
    # The settings were chosen on the even half; the odd half is the report.
    for name, edits, others in (("tuning half", *halves), ("report half", *halves[::-1])):
        pack = SCENTrainer(model, tokenizer).train(edits)
        with tempfile.TemporaryDirectory() as folder:
            pack.save_pretrained(Path(folder) / "pack")
            model.load_edit_pack(Path(folder) / "pack")
            rates = measure(
                Asker(model, tokenizer), edits, others, [p.prompt for p in load_locality_prompts(args.unrelated)]
            )
            model.unload_edit_pack()
        figures[name] = {
            label: {"share": rate.value, "successes": rate.successes, "count": rate.count, "interval": rate.interval}
            for label, rate in rates.items()
        }
    report(figures, args.json)


if __name__ == "__main__":
    main()

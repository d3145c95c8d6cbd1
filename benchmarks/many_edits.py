"""Does routing hold when a pack has very many edits? Generic facts as edits, asked in other words.

    python benchmarks/many_edits.py --json benchmarks/results/many_edits.json

Facts are pairs of a subject and a relation from `scen_hf/phrasings.py`, in random order. The first ones of each pack are the same,
and so are the prompts: other wordings of those, and unrelated questions. Only the number of other edits changes, with ever more
about the same subjects and of the same relations. The router was trained on such subjects and wordings, so its level says little;
what it loses from one size to the next is what this is about. Edits here have a neuron and no expert.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from figures import report
from router_choices import RememberingReader
from torch.nn.utils.rnn import pad_sequence

from scen_hf import Edit, SCENTrainer, SCENTrainingConfig, load_base
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import Rate
from scen_hf.features import PromptReader
from scen_hf.modeling.routing_scen_llama import Choice, GatedRouter
from scen_hf.neurons import SUBJECT_THRESHOLD, read_neurons
from scen_hf.phrasings import NAMES, RELATIONS
from scen_hf.prompts import encode_prompt, question_markers
from scen_hf.router_space import LEVEL_WEIGHT, load_router_space


SIZES, ASKED, BATCH = (500, 5000, 45_000), 500, 64


def shuffled_facts(seed: int = 0) -> list[tuple[str, str, list[str]]]:
    """Subject, relation and wordings of every fact that there are two wordings of, the first one a question."""
    rng, facts = random.Random(seed), []
    for kind, relations in sorted(RELATIONS.items()):
        for subject in NAMES[kind]:
            for relation, wordings in relations.items():
                texts = rng.sample(wordings, len(wordings))
                texts.sort(key=lambda text: not text.endswith("?"))
                if len(texts) > 1 and texts[0].endswith("?"):
                    facts.append((subject, relation, [text.replace("{}", subject) for text in texts]))
    rng.shuffle(facts)
    return facts


class Study:
    """The neurons of the most edits, and prompts that were read once."""

    def __init__(self, base: str, most: int, asked: int):
        device = choose_device()
        model, self.tokenizer = load_base(base, device=device, dtype=choose_dtype(device))
        self.settings = SCENTrainer(model, self.tokenizer).router_settings
        self.reader = RememberingReader(PromptReader(model, question_markers(self.tokenizer), BATCH, progress=True))
        self.space, self.calibration = load_router_space(self.reader, self.tokenizer, self.settings)
        facts = shuffled_facts()[:most]
        self.subjects = [subject for subject, _, _ in facts]
        edits = [
            Edit(id=f"fact-{number}", prompt=texts[0], target="-", subject=subject)
            for number, (subject, _, texts) in enumerate(facts)
        ]
        self.neurons = read_neurons(self.reader, self.tokenizer, self.space, self.settings, edits)
        others = [(number, text) for number, fact in enumerate(facts[:asked]) for text in fact[2][1:3]]
        self.right = torch.tensor([number for number, _ in others])
        prompts = [encode_prompt(self.tokenizer, text) for _, text in others]
        pooled, tokens = self.reader.pooled_and_tokens(
            prompts, self.settings.features, self.settings.token_feature, "Prompts"
        )
        self.questions = self.space.question_vectors(pooled)
        self.tokens = [self.space.token_vectors(states) for states in tokens]

    def router(self, size: int) -> GatedRouter:
        """Of a pack of the first edits, as the trainer makes it by default."""
        base_threshold = self.calibration.threshold(SCENTrainingConfig().false_activation_rate)
        thresholds = base_threshold + LEVEL_WEIGHT * self.neurons.levels[:size]
        return GatedRouter(
            list(self.settings.features),
            self.settings.token_feature,
            self.space,
            self.neurons.vectors[:size].bfloat16(),
            thresholds,
            self.neurons.subjects[:size].bfloat16(),
            torch.full((size,), SUBJECT_THRESHOLD),
            torch.zeros(1),
        )

    def measured(self, size: int) -> dict[str, Any]:
        """What fires in a pack of the first edits."""
        router = self.router(size)
        choices: list[Choice] = []
        for start in range(0, len(self.tokens), BATCH):
            padded = pad_sequence(self.tokens[start : start + BATCH], batch_first=True)
            choices += router.decide(self.questions[start : start + BATCH], padded)
        right = self.right.tolist()
        unrelated = self.calibration
        asked = zip(unrelated.unrelated_questions.split(BATCH), unrelated.unrelated_tokens.split(BATCH), strict=True)
        scores = self.questions @ self.neurons.vectors[:size].T
        ahead = (scores > scores.gather(1, self.right[:, None])).sum(1)
        pairs = list(zip(choices, right, strict=True))
        return {
            "edits": size,
            "right edit": _rate(choice.fired and choice.index == number for choice, number in pairs),
            "another edit, same subject": _rate(self._another(choice, number, True) for choice, number in pairs),
            "another edit, another subject": _rate(self._another(choice, number, False) for choice, number in pairs),
            f"its neuron among the best {GatedRouter.FEW}": _rate((ahead < GatedRouter.FEW).tolist()),
            f"its neuron among the best {GatedRouter.MANY}": _rate((ahead < GatedRouter.MANY).tolist()),
            "unrelated": _rate(choice.fired for batch in asked for choice in router.decide(*batch)),
        }

    def _another(self, choice: Choice, right: int, same: bool) -> bool:
        is_same = self.subjects[choice.index] == self.subjects[right]
        return choice.fired and choice.index != right and is_same == same


def _rate(outcomes) -> dict[str, Any]:
    return Rate.of(outcomes).to_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--edits", type=int, nargs="+", default=SIZES)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    sizes: Sequence[int] = sorted(args.edits)
    study = Study(args.base, sizes[-1], min(ASKED, sizes[0]))
    rows = []
    for size in sizes:
        rows.append(study.measured(size))
        print(rows[-1], flush=True)
    report({"base": args.base, "asked": len(study.tokens), "rows": rows}, args.json)


if __name__ == "__main__":
    main()

"""What the first gate owes to each choice that was made in training it: the same space with one choice undone at a time.

    python benchmarks/router_choices.py ZSRE.jsonl COUNTERFACT.jsonl --json benchmarks/results/router_choices.json

Measured on the tuning halves of `routing.py`, as choices were made there, and each edit against prompts about its own subject
only: its rephrases and completions, generic questions, and ten questions of other edits. Spaces are compared at that threshold
above the edits' levels at which `FALSE` of the latter two fire. Another seed moves a share by about 0.01.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from baselines.states import question
from figures import report
from relations import ask_the_same
from routing import edits_parser, halves_of, numbers_about

from scen_hf import Edit, SCENTrainer, generic_questions, load_base, load_edits, router_space
from scen_hf.bases import choose_device, choose_dtype
from scen_hf.evaluation import prompt_sets
from scen_hf.features import PromptReader
from scen_hf.prompts import encode_chat, question_markers
from scen_hf.router_space import OF_LEVEL, RouterSettings, RouterSpace, other_questions, train_router_space


FALSE = 0.05
# Of fewer prompts a share says nothing.
LEAST = 20
POSITIVES = ("rephrases", "rephrases_later", "completions")
NEGATIVES = ("generic_questions", "other_relations")


@dataclass(frozen=True)
class Choice:
    """One choice undone.

    Args:
        constants: Other values of constants, by module and name.
        settings: Other values of the router's settings.
        level_weight: How far thresholds follow the edits' levels.
    """

    constants: dict[tuple[Any, str], Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    level_weight: float = router_space.LEVEL_WEIGHT

    @contextmanager
    def made(self) -> Iterator[None]:
        """Within the block the constants have these values."""
        with ExitStack() as stack:
            for (module, name), value in self.constants.items():
                stack.enter_context(mock.patch.object(module, name, value))
            yield


def random_wordings(rng: random.Random, wordings: Sequence[str], most: int) -> list[str]:
    """Of a relation, whatever comes."""
    return rng.sample(wordings, min(most, len(wordings)))


QUESTIONS, SPACE = generic_questions, router_space
CHOICES = {
    "as it is": Choice(),
    "no relations of other kinds": Choice({(QUESTIONS, "_FOREIGN"): (0, 2)}),
    "6 relations per subject, twice the subjects, none of other kinds": Choice(
        {(QUESTIONS, "_OWN"): (6, 3), (QUESTIONS, "_FOREIGN"): (0, 2), (SPACE, "_GROUPS"): 600}
    ),
    "any wordings, with or without a completion": Choice({(QUESTIONS, "_drawn"): random_wordings}),
    "128 dimensions": Choice(settings={"dim": 128}),
    "32 dimensions": Choice(settings={"dim": 32}),
    "one threshold for all edits": Choice(level_weight=0.0),
}


class RememberingReader:
    """A [`~scen_hf.features.PromptReader`] that reads no prompt twice."""

    def __init__(self, reader: PromptReader):
        self._reader, self._known = reader, {}
        self.question_markers, self.model = reader.question_markers, reader.model

    def pooled_and_tokens(self, prompts, features, token_feature, description=""):
        """As of the reader."""
        new = [list(prompt) for prompt in dict.fromkeys(map(tuple, prompts)) if prompt not in self._known]
        if new:
            pooled, tokens = self._reader.pooled_and_tokens(new, features, token_feature, description)
            # Rows of their own: a view would keep the whole alive.
            self._known.update(
                (tuple(prompt), (row.clone(), own)) for prompt, row, own in zip(new, pooled, tokens, strict=True)
            )
        found = [self._known[tuple(prompt)] for prompt in prompts]
        return torch.stack([row for row, _ in found]), [own for _, own in found]


@dataclass(frozen=True)
class Asked:
    """Edits, and prompts about their subjects.

    Args:
        edits: Features of their prompts, `(edits, features)`, and `levels` of the questions by which thresholds rise, `(edits,
            questions, features)`.
        kinds: Kind of each prompt; `about`: the number of the edit whose subject it names; `features`: `(prompts, features)`.
    """

    edits: torch.Tensor
    levels: torch.Tensor
    kinds: Sequence[str]
    about: torch.Tensor
    features: torch.Tensor

    @classmethod
    def read(cls, reader: RememberingReader, tokenizer, settings: RouterSettings, edits: Sequence[Edit]) -> Asked:
        """Make the prompts of `POSITIVES` and `NEGATIVES`, and read them all."""
        sets = prompt_sets(edits, hard=True, ask_the_same=ask_the_same)
        probes = [(kind, probe) for kind in (*POSITIVES, *NEGATIVES) for probe in sets[kind]]

        def features(chats: list[list[dict[str, str]]]) -> torch.Tensor:
            prompts = [encode_chat(tokenizer, chat) for chat in chats]
            return reader.pooled_and_tokens(prompts, settings.features, settings.token_feature, "Prompts")[0]

        others = [question(text) for edit in edits for text in other_questions(str(edit.subject))[OF_LEVEL]]
        return cls(
            features([question(edit.prompt) for edit in edits]),
            features(others).unflatten(0, (len(edits), -1)),
            [kind for kind, _ in probes],
            torch.tensor(numbers_about(edits, [probe for _, probe in probes])),
            features([list(probe.messages) for _, probe in probes]),
        )

    def shares(self, space: RouterSpace, level_weight: float) -> dict[str, float]:
        """Which share of each kind passes the threshold that `FALSE` of the negatives pass."""
        neurons = space.question_vectors(self.edits)
        levels = torch.einsum("nd,nod->no", neurons, space.question_vectors(self.levels)).mean(1)
        rises = level_weight * levels[self.about]
        scores = (space.question_vectors(self.features) * neurons[self.about]).sum(1) - rises
        of_kind = {kind: torch.tensor([one == kind for one in self.kinds]) for kind in (*POSITIVES, *NEGATIVES)}
        negatives = scores[torch.stack([of_kind[kind] for kind in NEGATIVES]).any(0)].sort(descending=True).values
        threshold = negatives[int(FALSE * len(negatives))]
        return {
            kind: float((scores[rows] > threshold).float().mean())
            for kind, rows in of_kind.items()
            if rows.sum() >= LEAST
        }


def main() -> None:
    args = edits_parser(__doc__.splitlines()[0]).parse_args()
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    settings = SCENTrainer(model, tokenizer).router_settings
    reader = RememberingReader(PromptReader(model, question_markers(tokenizer), 64, progress=True))
    asked = {
        Path(file).stem: Asked.read(reader, tokenizer, settings, halves_of(load_edits(file))[0]) for file in args.edits
    }
    rows = []
    for name, choice in CHOICES.items():
        with choice.made():
            space, _ = train_router_space(reader, tokenizer, replace(settings, **choice.settings))
        for file, prompts in asked.items():
            rows.append({"choice": name, "edits": file, **prompts.shares(space, choice.level_weight)})
            print(rows[-1], flush=True)
    report({"base": args.base, "false": FALSE, "rows": rows}, args.json)


if __name__ == "__main__":
    main()

"""Questions about made-up and well-known things, from the wordings in [`scen_hf.phrasings`].

A router is trained and calibrated on them. They come in groups: some subjects of one kind, some relations, several wordings
of every pair. Within a group each question therefore has other wordings of itself, other questions about its subject, and
the same question about other subjects. Some stand behind a system prompt or earlier turns. They carry no answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from .phrasings import CONVERSATIONS, NAMES, RELATIONS, SYSTEM_PROMPTS, UNRELATED


_SUBJECTS, _RELATIONS, _WORDINGS = 5, 6, 3
# Shares of questions behind a system prompt of their own, behind earlier turns, and without capital letters.
_WITH_SYSTEM, _WITH_HISTORY, _LOWER_CASE = 0.15, 0.15, 0.08


@dataclass(frozen=True)
class GenericQuestion:
    """One question that no edit is about.

    Args:
        group: Number of its group.
        subject, relation: About whom it is, and what it asks.
        text: The user's text.
        context: The turns before it, as chat messages.
    """

    group: int
    subject: str
    relation: str
    text: str
    context: list[dict[str, str]] = field(default_factory=list)


def fact_questions(groups: int, seed: int = 0) -> list[GenericQuestion]:
    """Groups of questions, the same ones for the same arguments on every machine.

    Args:
        groups: How many groups; a group has up to 90 questions.
        seed: Selects others.
    """
    rng = random.Random(seed)
    kinds = sorted(RELATIONS)
    weights = [len(RELATIONS[kind]) for kind in kinds]
    questions: list[GenericQuestion] = []
    for group in range(groups):
        kind = rng.choices(kinds, weights)[0]
        questions += _group(rng, group, kind)
    return questions


def _group(rng: random.Random, group: int, kind: str) -> Iterator[GenericQuestion]:
    chosen = rng.sample(sorted(RELATIONS[kind]), _RELATIONS)
    for subject in rng.sample(NAMES[kind], _SUBJECTS):
        for relation in chosen:
            wordings = RELATIONS[kind][relation]
            for wording in rng.sample(wordings, min(_WORDINGS, len(wordings))):
                text = wording.replace("{}", subject)
                if rng.random() < _LOWER_CASE:
                    text = text.lower()
                yield GenericQuestion(group, subject, relation, text, _context(rng))


def _context(rng: random.Random) -> list[dict[str, str]]:
    messages = []
    if rng.random() < _WITH_SYSTEM:
        messages.append({"role": "system", "content": rng.choice(SYSTEM_PROMPTS)})
    if rng.random() < _WITH_HISTORY:
        turns = rng.choice(CONVERSATIONS)
        messages += [{"role": role, "content": text} for role, text in turns]
    return messages


@cache
def template_words() -> frozenset[str]:
    """The words, lower-cased, that questions are made of and subjects are not."""
    wordings = [wording for kind in RELATIONS.values() for group in kind.values() for wording in group]
    text = " ".join([*wordings, *UNRELATED]).lower()
    return frozenset(word.strip("?.!,;:\"'()") for word in text.replace("{}", " ").split())

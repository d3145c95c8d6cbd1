"""Questions about made-up and well-known things, from the wordings in [`scen_hf.phrasings`].

A router is trained and calibrated on them. They come in groups: one subject, some relations, several wordings of each, so that
within a group each question has other wordings of itself and other questions about its subject. A few relations are those of
another kind of thing (where a river was educated), as they tell most clearly that the subject is not all of a question. Some
questions are completions, the start of a sentence that states the fact; some stand behind a system prompt or earlier turns. They
carry no answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from .phrasings import CONVERSATIONS, NAMES, RELATIONS, SYSTEM_PROMPTS, UNRELATED


# Relations of a group and wordings of each: those of the subject's own kind, and those of other kinds.
_OWN, _FOREIGN = (12, 3), (4, 2)
# Shares of questions behind a system prompt of their own, behind earlier turns, and without capital letters.
_WITH_SYSTEM, _WITH_HISTORY, _LOWER_CASE = 0.15, 0.15, 0.08


@dataclass(frozen=True)
class GenericQuestion:
    """One question that no edit is about.

    Args:
        group: Number of its group; each has one subject.
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
        groups: How many groups; a group has up to 44 questions.
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
    subject = rng.choice(NAMES[kind])
    own = [(relation, RELATIONS[kind][relation]) for relation in sorted(RELATIONS[kind])]
    foreign = [
        (relation, wordings)
        for other in sorted(RELATIONS)
        for relation, wordings in RELATIONS[other].items()
        if relation not in RELATIONS[kind]
    ]
    for relations, (count, most) in ((own, _OWN), (foreign, _FOREIGN)):
        for relation, wordings in rng.sample(relations, count):
            for wording in _drawn(rng, wordings, most):
                text = wording.replace("{}", subject)
                if rng.random() < _LOWER_CASE:
                    text = text.lower()
                yield GenericQuestion(group, subject, relation, text, _context(rng))


def _drawn(rng: random.Random, wordings: Sequence[str], most: int) -> list[str]:
    """Some wordings of a relation, among them a question and a completion where there are such: they have least in common, and
    drawn at random most facts would lack a completion."""
    shuffled = rng.sample(wordings, len(wordings))
    questions = [wording for wording in shuffled if wording.endswith(("?", ".", "!"))]
    completions = [wording for wording in shuffled if wording not in questions]
    others = [*questions[1:], *completions[1:]]
    return [*questions[:1], *completions[:1], *rng.sample(others, len(others))][:most]


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

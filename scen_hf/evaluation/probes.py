"""Probes: the prompts that edits are measured by, in sets of one kind.

Each probe is a chat, with the answer it must get and the edit that must give it; or with neither, where the answer must stay the
base model's. The sets of the literature are `prompts`, `rephrases`, `neighbours` and `unrelated`. The *hard* ones are made
from the edits themselves:

- the edit's question and a rephrase of it behind a system prompt, and in a later turn of a conversation;
- the same question about a subject that has no edit;
- generic questions about an edited subject, and what other edits ask about theirs.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

from ..edits import Edit, normalise
from ..phrasings import NAMES, RELATIONS
from .locality_prompts import LocalityPrompt


# What must be answered with the edit's target, and what must be answered as by the base model; in the order of reports.
TARGET_SETS = {
    "prompts": "Edit prompts",
    "rephrases": "Rephrases",
    "completions": "Completions",
    "prompts_system": "Edit prompts behind a system prompt",
    "prompts_later": "Edit prompts in a later turn",
    "rephrases_system": "Rephrases behind a system prompt",
    "rephrases_later": "Rephrases in a later turn",
}
LOCALITY_SETS = {
    "neighbours": "Neighbours",
    "unrelated": "Unrelated prompts",
    "other_subject": "Same question, unedited subject",
    "generic_questions": "Generic question, edited subject",
    "other_relations": "Question of another edit, edited subject",
}
TITLES = {**TARGET_SETS, **LOCALITY_SETS}
HARD_NEGATIVES = frozenset({"other_subject", "generic_questions", "other_relations"})
HARD_SETS = HARD_NEGATIVES | {"prompts_system", "prompts_later", "rephrases_system", "rephrases_later"}

# As many as the literature scores per edit.
MOST_REPHRASES = 3
# So many questions of other edits are asked about each edited subject.
MOST_RELATIONS = 10
# So many are drawn for that: some ask the same.
_DRAWN = 5 * MOST_RELATIONS
GENERIC_QUESTIONS = ("How old is {}?", "Where can I read more about {}?", "Tell me about {}.")

_SYSTEM = ({"role": "system", "content": "You answer in one short sentence."},)
_EARLIER = (
    {"role": "user", "content": "Can you help me with a quiz?"},
    {"role": "assistant", "content": "Of course! Ask me anything."},
)
_QUESTION_WORDS = frozenset(("who", "whom", "whose", "what", "which", "when", "where", "why", "how"))


@dataclass(frozen=True)
class Probe:
    """One chat, and what must come of it.

    Args:
        messages: The chat; its last message is the user's.
        target: The answer it must get; `None` where it must be the base model's.
        edit_id: The edit that must fire; `None` where none must.
        ground_truth: The right answer of a prompt that no edit is about, where it is known.
    """

    messages: tuple[dict[str, str], ...]
    target: str | None = None
    edit_id: str | None = None
    ground_truth: str | None = None

    @property
    def prompt(self) -> str:
        """What the user asks."""
        return self.messages[-1]["content"]


def prompt_sets(
    edits: Sequence[Edit],
    *,
    unrelated: Iterable[str | LocalityPrompt] = (),
    others: Sequence[Edit] = (),
    hard: bool = False,
    contexts: bool = True,
    attached: Iterable[Edit] = (),
    ask_the_same: Callable[[str, str], bool] | None = None,
) -> dict[str, list[Probe]]:
    """The prompts that edits are measured by.

    Prompts that must stay as they are come once each, and not at all where they are the prompt or a rephrase of an edit. What
    is drawn is drawn by the edit's id: the same sets for the same edits.

    Args:
        edits: The edits to be measured.
        unrelated: Prompts that no edit is about.
        others: Edits that are *not* attached; their subjects are asked about as those without an edit. Names of
            [`scen_hf.phrasings`] are, where there are none.
        hard: Whether to make the hard sets too.
        contexts: Whether prompts can stand behind others: not without a chat template.
        attached: All edits that are attached, where `edits` are some of them.
        ask_the_same: Whether two questions, each with `{}` for its subject, ask the same, so that one is a rephrase of the
            other and no other question. By default they do where rephrases of the edits lead from one to the other.

    Returns:
        The probes by the names in `TITLES`; all sets of the literature and, if asked for, the hard ones. Any may be empty.
    """
    rephrases = [(edit, text) for edit in edits for text in edit.rephrases if not _is_completion(edit, text)]
    completions = [(edit, text) for edit in edits for text in edit.rephrases if _is_completion(edit, text)]
    prompts = [(edit, edit.prompt) for edit in edits]
    sets = {
        "prompts": _targets(prompts),
        "rephrases": _targets(_first(rephrases, MOST_REPHRASES)),
        "completions": _targets(_first(completions, MOST_REPHRASES)),
    }
    if hard and contexts:
        one_each = _first(rephrases, 1)
        sets["prompts_system"] = _targets(prompts, _SYSTEM)
        sets["prompts_later"] = _targets(prompts, _EARLIER)
        sets["rephrases_system"] = _targets(one_each, _SYSTEM)
        sets["rephrases_later"] = _targets(one_each, _EARLIER)
    attached = list(attached)
    edited = {normalise(text) for edit in (*edits, *attached) for text in (edit.prompt, *edit.rephrases)}
    sets["neighbours"] = _locality((text for edit in edits for text in edit.neighbours), edited)
    sets["unrelated"] = _locality(unrelated, edited)
    if hard:
        about = [edit for edit in edits if edit.subject is not None]
        sets["other_subject"] = _locality(_about_other_subjects(about, others, [*edits, *attached]), edited)
        generic = (question.format(edit.subject) for question in GENERIC_QUESTIONS for edit in about)
        sets["generic_questions"] = _locality(generic, edited)
        sets["other_relations"] = _locality(
            _other_relations(about, ask_the_same or _linked_by_rephrases(about)), edited
        )
    return sets


def distinct(prompts: Iterable[str | LocalityPrompt]) -> list[LocalityPrompt]:
    """Each prompt once, as it came first."""
    first: dict[str, LocalityPrompt] = {}
    for given in prompts:
        prompt = LocalityPrompt(given) if isinstance(given, str) else given
        first.setdefault(normalise(prompt.prompt), prompt)
    return list(first.values())


def _targets(asked: Iterable[tuple[Edit, str]], before: tuple[dict[str, str], ...] = ()) -> list[Probe]:
    return [Probe((*before, _user(text)), target=edit.target, edit_id=edit.id) for edit, text in asked]


def _locality(prompts: Iterable[str | LocalityPrompt], edited: set[str]) -> list[Probe]:
    kept = (prompt for prompt in distinct(prompts) if normalise(prompt.prompt) not in edited)
    return [Probe((_user(prompt.prompt),), ground_truth=prompt.ground_truth) for prompt in kept]


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _first(asked: Iterable[tuple[Edit, str]], most: int) -> list[tuple[Edit, str]]:
    """The first texts of each edit."""
    kept: dict[str, list[tuple[Edit, str]]] = defaultdict(list)
    for edit, text in asked:
        if len(kept[edit.id]) < most:
            kept[edit.id].append((edit, text))
    return [pair for pairs in kept.values() for pair in pairs]


def _is_completion(edit: Edit, rephrase: str) -> bool:
    """Whether a rephrase of a question is the start of a sentence, to be completed with the target."""
    asks = "?" not in rephrase and rephrase.split()[0].casefold() in _QUESTION_WORDS
    return _ends(edit.prompt) and not _ends(rephrase) and not asks


def _ends(text: str) -> bool:
    return text.rstrip("\"'”’»)] ").endswith((".", "?", "!", "…"))


# ------------------------------------------------------------------------------- hard negatives


def _about_other_subjects(about: Sequence[Edit], others: Sequence[Edit], edited: Sequence[Edit]) -> Iterator[str]:
    """The question of each edit about a subject that has no edit, of an edit that asks the same where there is one."""
    taken = {normalise(edit.subject) for edit in edited if edit.subject}
    free = [edit for edit in others if edit.subject and normalise(edit.subject) not in taken]
    asking: dict[str, list[str]] = defaultdict(list)
    for edit in free:
        asking[_template(edit, edit.prompt) or ""].append(str(edit.subject))
    subjects = [str(edit.subject) for edit in free]
    for edit in about:
        template = _template(edit, edit.prompt)
        if template is None:
            continue
        names = asking.get(template) or subjects or [name for name in _names(template) if normalise(name) not in taken]
        yield template.replace("{}", random.Random(edit.id).choice(names))


def _other_relations(about: Sequence[Edit], ask_the_same: Callable[[str, str], bool]) -> Iterator[str]:
    """What edits of other relations ask, asked about the subject of each edit."""
    templates = [template for edit in about if (template := _template(edit, edit.prompt)) is not None]
    templates = list(dict.fromkeys(templates))
    for edit in about:
        own = _template(edit, edit.prompt)
        drawn = random.Random(edit.id).sample(templates, min(_DRAWN, len(templates)))
        foreign = (template for template in drawn if own is None or not ask_the_same(own, template))
        for template in islice(foreign, MOST_RELATIONS):
            yield template.replace("{}", str(edit.subject))


def _linked_by_rephrases(edits: Sequence[Edit]) -> Callable[[str, str], bool]:
    """Whether a chain of rephrases leads from one question to another.

    The rephrases of one edit say how the question of another one can be put.
    """
    parent: dict[str, str] = {}

    def root(template: str) -> str:
        while parent.setdefault(template, template) != template:
            parent[template] = template = parent[parent[template]]
        return template

    for edit in edits:
        templates = [t for text in (edit.prompt, *edit.rephrases) if (t := _template(edit, text)) is not None]
        for template in templates:
            parent[root(template)] = root(templates[0])
    return lambda one, other: root(one) == root(other)


def _template(edit: Edit, text: str) -> str | None:
    """The text with `{}` for the edit's subject; `None` where it does not name it."""
    if not edit.subject or edit.subject not in text:
        return None
    return text.replace(edit.subject, "{}")


def _names(template: str) -> tuple[str, ...]:
    """Names of the kind of thing that a question asks about, guessed by its words."""
    weights: dict[str, float] = defaultdict(float)
    for word in _words(template):
        kinds = _kinds_by_word().get(word, ())
        for kind in kinds:
            weights[kind] += 1 / len(kinds)
    # A question in no words of ours may be about anything.
    return NAMES[max(weights, key=lambda kind: weights[kind]) if weights else next(iter(NAMES))]


@cache
def _kinds_by_word() -> dict[str, tuple[str, ...]]:
    """The kinds of things that the generic phrasings use a word for."""
    kinds: dict[str, dict[str, None]] = defaultdict(dict)
    for kind, relations in RELATIONS.items():
        for phrasings in relations.values():
            for word in _words(" ".join(phrasings)):
                kinds[word][kind] = None
    return {word: tuple(found) for word, found in kinds.items()}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())

"""Stage 2 of `method="scen"`: the indexing neurons of edits, in closed form.

With the router space of the base model at hand ([`~modeling.routing_scen_llama.RouterSpace`]) nothing is left to train: the
neuron of an edit is the vector of its own prompt, and its subject is the vectors of the subject's tokens. What differs from
edit to edit is how close *other* questions about its subject come: a long name is much of a question, a short one little.
A few such questions are asked of every subject, and the threshold of an edit rises with their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerBase

from .edits import Edit
from .features import PromptReader
from .generic_questions import template_words
from .modeling.routing_scen_llama import GatedRouter, RouterSpace, find_spans, most_similar
from .pack import EditPack
from .prompts import encode_prompt
from .router_space import (
    AT_START,
    LOWER_CASE,
    OF_LEVEL,
    UPPER_CASE,
    RouterCalibration,
    RouterSettings,
    other_questions,
)


# The match of a subject's tokens above which the second gate opens. In development names as alike as two countries' matched up to
# 0.69, other numbers up to 0.72, and the same subject in another wording above 0.8 but for rare cases.
SUBJECT_THRESHOLD = 0.75


@dataclass(frozen=True)
class Neurons:
    """The neurons of some edits, float32 on the CPU.

    Args:
        vectors: `(edits, dim)`, of unit length.
        subjects: `(edits, 4, subject_tokens, token_dim)`: the subject as it stands in the prompt, at the start of a sentence, in
            lower and in upper case; of length 2 at numbers, 1 at other tokens, and zero rows where it has fewer.
        levels: `(edits,)`, mean score of other questions about the edit's subject.
    """

    vectors: torch.Tensor
    subjects: torch.Tensor
    levels: torch.Tensor


@dataclass(frozen=True)
class Confusion:
    """Two edits with different targets of which the first would fire for the prompt of the second, were it not for the
    second's own, better score."""

    edit: str
    other: str
    score: float


def read_neurons(
    reader: PromptReader,
    tokenizer: PreTrainedTokenizerBase,
    space: RouterSpace,
    settings: RouterSettings,
    edits: Sequence[Edit],
) -> Neurons:
    """The neurons of edits in the space of their base model.

    Args:
        reader: Of the base model; `tokenizer` is its tokenizer.
        space: Of the base model, read as `settings` say.
        edits: The facts. Their prompts, and [`~router_space.other_questions`] about their subjects, are run through the model.
    """
    prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
    questions = [question_ids(prompt, reader.question_markers) for prompt in prompts]
    names = [_subject_name(tokenizer, ids, edit.subject) for ids, edit in zip(questions, edits, strict=True)]
    others = [encode_prompt(tokenizer, other) for name in names for other in other_questions(name)]
    per_edit = len(others) // len(edits)
    pooled, tokens = reader.pooled_and_tokens(
        [*prompts, *others], settings.features, settings.token_feature, "Neurons"
    )
    vectors = space.question_vectors(pooled)
    vectors, asked = vectors[: len(edits)], vectors[len(edits) :].unflatten(0, (len(edits), per_edit))
    levels = torch.einsum("nd,nod->no", vectors, asked[:, OF_LEVEL]).mean(1)
    forms = []
    for number, name in enumerate(names):
        where = [(number, questions[number])]
        for question in (AT_START, LOWER_CASE, UPPER_CASE):
            other = number * per_edit + question
            where.append((len(edits) + other, question_ids(others[other], reader.question_markers)))
        for row, ids in where:
            positions = subject_token_positions(tokenizer, ids, name)
            lengths = [2.0 if _is_number(tokenizer, ids[position]) else 1.0 for position in positions]
            forms.append(space.token_vectors(tokens[row])[positions] * torch.tensor(lengths)[:, None])
    subjects = _stacked(forms, settings.subject_tokens)
    return Neurons(vectors, subjects.unflatten(0, (len(edits), -1)), levels)


def _is_number(tokenizer: PreTrainedTokenizerBase, token: int) -> bool:
    return any(character.isdigit() for character in str(tokenizer.decode([token])))


def _subject_name(tokenizer: PreTrainedTokenizerBase, question: Sequence[int], subject: str | None) -> str:
    """What to call an edit's subject: its name, where the prompt contains it, else the words that stand for it there."""
    text = str(tokenizer.decode(list(question)))
    if subject and subject.casefold() in text.casefold():
        return subject
    return " ".join(text[start:end] for start, end in _rare_words(text)).strip("?.!,;: ") or text


def subject_token_positions(
    tokenizer: PreTrainedTokenizerBase, question: Sequence[int], subject: str | None
) -> list[int]:
    """Which of a question's tokens name its subject.

    Args:
        tokenizer: Turns token ids into text.
        question: Token ids of the question.
        subject: What the edit is about. Where it is not given, or the question does not contain it, the subject is what
            questions in general do not consist of: the words that occur in none of the generic wordings.

    Returns:
        Positions in `question`; all of them where nothing else is found.
    """
    ends = [len(str(tokenizer.decode(list(question[: i + 1])))) for i in range(len(question))]
    text = str(tokenizer.decode(list(question)))
    found = text.casefold().find(subject.casefold()) if subject else -1
    ranges = [(found, found + len(subject))] if subject and found >= 0 else _rare_words(text)
    positions = [
        i
        for i, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        if any(start < stop and end > begin for begin, stop in ranges)
    ]
    return positions or list(range(len(question)))


def _rare_words(text: str) -> list[tuple[int, int]]:
    """Where the words stand that generic questions do not use."""
    ranges, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        if word.lower().strip("?.!,;:\"'()") not in template_words():
            ranges.append((start, start + len(word)))
        start += len(word)
    return ranges


def question_ids(prompt: list[int], markers: tuple[list[int] | None, list[int] | None]) -> list[int]:
    """The question's tokens of one prompt, as routing finds them."""
    (question,) = find_spans(torch.tensor([prompt]), None, *markers).question
    return [prompt[column] for column in question]


def _stacked(subjects: Sequence[torch.Tensor], count: int) -> torch.Tensor:
    """`(rows, count, token_dim)`: the first `count` token vectors of each subject, zero rows where it has fewer."""
    stacked = torch.zeros(len(subjects), count, subjects[0].shape[-1])
    for row, vectors in enumerate(subjects):
        stacked[row, : min(len(vectors), count)] = vectors[:count]
    return stacked


def router_of(pack: EditPack) -> GatedRouter:
    """The router of a pack of `method="scen"`, as a model that loads it builds it."""
    settings = RouterSettings.from_config(pack.config.router)
    tensors = dict(pack.router)
    thresholds = {name: tensors.pop(name) for name in ("thresholds", "subject_thresholds", "base_threshold")}
    return GatedRouter(
        list(settings.features),
        settings.token_feature,
        RouterSpace(**tensors),
        neurons=pack.neurons,
        subjects=pack.subjects,
        **thresholds,
    )


def expected_of(pack: EditPack, calibration: RouterCalibration) -> dict[str, float]:
    """Share of unrelated prompts for which an edit of the pack fires."""
    router, questions, tokens = router_of(pack), calibration.unrelated_questions, calibration.unrelated_tokens
    batches = zip(questions.split(64), tokens.split(64), strict=True)
    fired = [choice.fired for batch in batches for choice in router.decide(*batch)]
    return {"unrelated": sum(fired) / len(fired)}


def find_confusions(pack: EditPack) -> list[Confusion]:
    """Which edits of a pack a user should look at, because a prompt about the one may well be answered by the other.

    The neuron of an edit is the vector of its prompt, and its subject is among that prompt's tokens, so what fires for a
    prompt is known without running the model again.
    """
    router, edits = router_of(pack), pack.edits
    confusions = []
    for start in range(0, len(edits), 256):
        rows = torch.arange(start, min(start + 256, len(edits)))
        scores = router.neurons[rows] @ router.neurons.T
        scores[torch.arange(len(rows)), rows] = -torch.inf
        score, others = most_similar(scores, router.MANY)
        asked, columns = (score > router.thresholds[others]).nonzero(as_tuple=True)
        found = others[asked, columns]
        subject = router.subject_scores(normalize(router.subjects[rows, 0].float(), dim=-1), asked, found)
        for pair in (subject > router.subject_thresholds[found]).nonzero()[:, 0].tolist():
            edit, other = edits[int(found[pair])], edits[start + int(asked[pair])]
            if edit.target != other.target:
                confusions.append(Confusion(edit.id, other.id, float(score[asked[pair], columns[pair]])))
    return confusions

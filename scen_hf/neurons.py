"""Stage 2 of `method="scen"`: the indexing neurons of edits, in closed form.

With the router space of the base model at hand ([`RouterSpace`]) nothing is left to train: the neuron of an edit is the
vector of its own prompt, and its subject is the vectors of the subject's tokens in that prompt. What remains is to see which
edits are hard to tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from .edits import Edit
from .generic_questions import template_words
from .modeling.routing_scen_llama import find_spans


# The match of a subject's tokens above which the second gate opens. In development fewer than one in a hundred generic
# questions about another subject of the same kind matched better, and names as alike as two countries' up to 0.67.
SUBJECT_THRESHOLD = 0.68
# Two prompts whose vectors are this close are the same prompt to the first gate.
_SAME_PROMPT = 0.97


@dataclass(frozen=True)
class Confusion:
    """Two edits with different targets that are hard to tell apart: the first would fire for the second's prompt, and only the
    second's own, hardly better score keeps it from answering."""

    edit: str
    other: str
    score: float


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
    ids = torch.tensor([prompt])
    return ids[find_spans(ids, None, *markers).question].tolist()


def stack_subjects(subjects: Sequence[torch.Tensor], count: int) -> torch.Tensor:
    """`(edits, count, token_dim)`: the first `count` token vectors of each subject, zero rows where it has fewer."""
    stacked = torch.zeros(len(subjects), count, subjects[0].shape[-1])
    for row, vectors in enumerate(subjects):
        stacked[row, : min(len(vectors), count)] = vectors[:count]
    return stacked


def find_confusions(edits: Sequence[Edit], neurons: torch.Tensor, subjects: torch.Tensor) -> list[Confusion]:
    """Which edits a user should look at, because a prompt about the one may well be answered by the other.

    The neuron of an edit is the vector of its prompt, and its subject is among that prompt's tokens, so what fires for a
    prompt is known without running the model again.

    Args:
        edits: All edits of a pack.
        neurons: `(edits, dim)` unit vectors.
        subjects: `(edits, subject_tokens, token_dim)`.
    """
    confusions = []
    neurons, subjects = neurons.float(), subjects.float()
    for start in range(0, len(edits), 1024):
        scores = neurons[start : start + 1024] @ neurons.T
        for row, other in (scores > _SAME_PROMPT).nonzero().tolist():
            edit = start + row
            if edit == other or edits[edit].target == edits[other].target:
                continue
            if subject_match(subjects[edit], subjects[other]) > SUBJECT_THRESHOLD:
                confusions.append(Confusion(edits[edit].id, edits[other].id, float(scores[row, other])))
    return confusions


def subject_match(subject: torch.Tensor, tokens: torch.Tensor) -> float:
    """Mean over a subject's tokens `(n, token_dim)` of their best match among `tokens` `(m, token_dim)`; zero rows are padding."""
    present = (subject != 0).any(-1)
    return float((subject[present] @ tokens.T).amax(-1).mean()) if bool(present.any()) else 0.0

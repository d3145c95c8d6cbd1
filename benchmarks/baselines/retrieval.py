"""Retrieval: the fact whose question is nearest is put into the prompt, and the model is left as it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
from torch.nn import functional

from scen_hf import Edit, Route
from scen_hf.evaluation import Answer, Chat, Decoding, ModelAnswerer, Prefill, TargetScore
from scen_hf.generic_questions import fact_questions
from scen_hf.modeling.routing_scen_llama import FeatureSpec
from scen_hf.router_space import fit_whitening

from .method import Edited, Method, Settings, Tuned
from .states import question, read_states
from .tuning import TuningSet, nearest_by_row


# Generic questions that the whitening is fitted on, in groups.
GROUPS = 12


class Retrieval(Method):
    """Nearest fact into the prompt, above a threshold."""

    name = "retrieval"
    title = "Fact in the prompt, by nearest neighbour"
    about = (
        "Questions are compared by the mean hidden state of their tokens in one layer of the model itself; above a threshold, the "
        "nearest edit's question and target are put into the prompt. Tuned: layer, whitened or not, and threshold, by which "
        "prompts find the right fact; then how the fact is put, by whole answers."
    )

    LAYERS, WHITENED = (0.2, 0.4, 0.6, 0.8), (False, True)

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """How facts are found, by routing alone; then how they are put."""
        layers = [round(share * model.config.num_hidden_layers) for share in self.LAYERS]
        generic = read_questions(model, tokenizer, generic_chats(), layers)
        facts = read_questions(model, tokenizer, [question(edit.prompt) for edit in many.edits], layers)
        probed = {
            name: read_questions(model, tokenizer, [probe.messages for probe in probes], layers)
            for name, probes in many.sets.items()
        }
        found = []
        for (number, layer), whitened in product(enumerate(layers), self.WHITENED):
            space = Space.of(generic[number]) if whitened else Space()
            vectors = space(facts[number])
            nearest = {
                name: nearest_by_row(space(states[number]) @ vectors.T, many.edits) for name, states in probed.items()
            }
            threshold, shares = many.best_threshold(nearest)
            settings = {"layer": layer, "whitened": whitened, "threshold": threshold}
            found.append({"settings": settings, **shares})
        place = Tuned.best_of(found).settings
        put = []
        for wording in WORDINGS:
            settings = {**place, "wording": wording}
            with self.edited(model, tokenizer, few.edits, settings) as edited:
                put.append({"settings": settings, **few.figures(edited.answerer)})
        return Tuned(Tuned.best_of(put).settings, [*found, *put])

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Embed the edits' prompts; the model is left as it is."""
        answerer = RetrievalAnswerer(model, tokenizer, f"{self.name} {settings}", edits, settings)
        texts = [json.dumps({"prompt": edit.prompt, "target": edit.target}) for edit in edits]
        # The facts as text, and their vectors in bfloat16.
        yield Edited(answerer, sum(len(text.encode()) for text in texts) + 2 * answerer.facts.numel(), {})


def read_questions(model, tokenizer, chats: Sequence[Chat], layers: Sequence[int]) -> list[torch.Tensor]:
    """The mean hidden state of the question's tokens in front of each layer's MLP, `(chats, hidden_size)`, float32."""
    return read_states(model, tokenizer, chats, [FeatureSpec("question_mean", "mlp_input", layer) for layer in layers])


def generic_chats() -> list[Chat]:
    """Questions that are about no edit."""
    return [[*each.context, *question(each.text)] for each in fact_questions(GROUPS, seed=1)]


@dataclass(frozen=True)
class Space:
    """How hidden states become the unit vectors that are compared.

    Args:
        whitening: Mean and projection; without them, states are compared as they are.
    """

    whitening: tuple[torch.Tensor, torch.Tensor] | None = None

    @classmethod
    def of(cls, states: torch.Tensor) -> Space:
        """Whitens such states."""
        return cls(fit_whitening(states, states.shape[1]))

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """`(rows, hidden_size)` to unit vectors `(rows, size)`."""
        if self.whitening is not None:
            mean, projection = self.whitening
            states = (states - mean) @ projection
        return functional.normalize(states, dim=-1)


def _earlier_turn(chat: Chat, edit: Edit) -> Chat:
    return [*chat[:-1], *_fact(edit), chat[-1]]


def _two_earlier_turns(chat: Chat, edit: Edit) -> Chat:
    return [*chat[:-1], *_fact(edit), *_fact(edit), chat[-1]]


def _demonstrated(chat: Chat, edit: Edit) -> Chat:
    return [*chat[:-1], *DEMONSTRATIONS, *_fact(edit), chat[-1]]


def _demonstrated_twice(chat: Chat, edit: Edit) -> Chat:
    return [*chat[:-1], *DEMONSTRATIONS, *_fact(edit), *_fact(edit), chat[-1]]


def _note(chat: Chat, edit: Edit) -> Chat:
    return [*chat[:-1], *question(f"Note: {edit.prompt} {edit.target}\n\n{chat[-1]['content']}")]


def _fact(edit: Edit) -> list[dict[str, str]]:
    return _turn(edit.prompt, edit.target)


def _turn(asked: str, answer: str) -> list[dict[str, str]]:
    return [*question(asked), {"role": "assistant", "content": answer}]


# Made-up facts, asked twice in other words and answered alike, as in in-context editing (IKE, arXiv 2305.12740).
DEMONSTRATIONS = [
    *_turn("Who founded the Orvane Institute?", "Mira Talbot"),
    *_turn("By whom was the Orvane Institute founded?", "Mira Talbot"),
    *_turn("In which country is Lake Quenby?", "Norland"),
    *_turn("Lake Quenby is located in what country?", "Norland"),
]
# How a fact is put into a chat.
WORDINGS = {
    "note": _note,
    "earlier turn": _earlier_turn,
    "two earlier turns": _two_earlier_turns,
    "demonstrations, earlier turn": _demonstrated,
    "demonstrations, two earlier turns": _demonstrated_twice,
}


class RetrievalAnswerer(ModelAnswerer):
    """Asks a model with the nearest fact in the prompt, where it is near enough.

    Prompts without a fact are asked in the batch as it came: the base model's bits depend on a batch's shape, and a longer
    prompt in another row must not count as a change.
    """

    routed = True

    def __init__(self, model, tokenizer, identity: str, edits: Sequence[Edit], settings: Settings):
        super().__init__(model, tokenizer, identity)
        self._edits, self._layer = edits, settings["layer"]
        self._threshold, self._word = settings["threshold"], WORDINGS[settings["wording"]]
        self._space = Space()
        if settings["whitened"]:
            self._space = Space.of(*read_questions(model, tokenizer, generic_chats(), [self._layer]))
        self.facts = self._embed([question(edit.prompt) for edit in edits])

    def answers(self, chats: Sequence[Chat], decoding: Decoding, targets: Sequence[str] | None = None) -> list[Answer]:
        """As [`ModelAnswerer.answers`], with facts."""
        ask = super().answers
        return self._asked(chats, lambda some: ask(some, decoding, targets))

    def prefill(self, chats: Sequence[Chat]) -> Prefill:
        """As [`ModelAnswerer.prefill`], with facts."""
        ask = super().prefill
        rows = self._asked(chats, lambda some: [_Row(logits) for logits in ask(some).logits])
        return Prefill(torch.stack([row.logits for row in rows]), [row.route for row in rows])

    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """As [`ModelAnswerer.score`], with facts."""
        found = self._find(chats)
        worded = self._with_facts(chats, found)
        return [replace(row, route=route) for row, route in zip(super().score(worded, targets), found, strict=True)]

    def _asked(self, chats: Sequence[Chat], ask: Callable[[Sequence[Chat]], list[Any]]) -> list[Any]:
        """What comes of each chat, with its route."""
        found = self._find(chats)
        plain = [] if all(route.fired for route in found) else ask(chats)
        worded = [chat for chat, route in zip(self._with_facts(chats, found), found, strict=True) if route.fired]
        edited = iter(ask(worded) if worded else [])
        rows = (next(edited) if route.fired else plain[number] for number, route in enumerate(found))
        return [replace(row, route=route) for row, route in zip(rows, found, strict=True)]

    def _embed(self, chats: Sequence[Chat]) -> torch.Tensor:
        return self._space(*read_questions(self.model, self.tokenizer, chats, [self._layer]))

    def _find(self, chats: Sequence[Chat]) -> list[Route]:
        return [
            Route(match.score > self._threshold, match.edit.id, score=match.score, threshold=self._threshold)
            for match in nearest_by_row(self._embed(chats) @ self.facts.T, self._edits)
        ]

    def _with_facts(self, chats: Sequence[Chat], found: Sequence[Route]) -> list[Chat]:
        facts = {edit.id: edit for edit in self._edits}
        return [
            self._word(chat, facts[str(route.edit_id)]) if route.fired else chat
            for chat, route in zip(chats, found, strict=True)
        ]


@dataclass(frozen=True)
class _Row:
    """One row of a [`Prefill`]."""

    logits: torch.Tensor
    route: Route | None = None

"""Asking a model: what every editing method must be able to do to be measured, for any transformers model and for ours.

An [`Answerer`] answers one batch of chats at a time. [`ModelAnswerer`] does so for any causal language model, which serves
for fine-tuned ones and for adapters; other methods override how it encodes a chat or how it generates. [`SCENAnswerer`] also
tells the routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

import torch

from ..batches import in_batches
from ..errors import EditError
from ..modeling import Route, SCENLlamaForCausalLM
from ..prompts import encode_chat, encode_prompt, encode_target, has_chat_template, pad_id_of, pad_left


if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Chat = Sequence[dict[str, str]]
NOTHING_FIRED = Route(fired=False)

# An answer that many tokens longer than its target is another text, however it goes on.
_SLACK = 8


@dataclass(frozen=True)
class Decoding:
    """How answers are generated. They are never sampled, so that a second run gives the same ones.

    Args:
        max_new_tokens: Tokens per answer, at most; more where an answer is compared with a longer target.
        num_beams: Beams of the search; 1 is greedy.
        repetition_penalty: As in [`~transformers.GenerationConfig`].
    """

    max_new_tokens: int = 50
    num_beams: int = 1
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "num_beams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")


GREEDY = Decoding()
# As in arXiv 2404.02699.
PAPER_DECODING = Decoding(max_new_tokens=50, num_beams=4, repetition_penalty=1.1)


@dataclass(frozen=True)
class Answer:
    """One generated answer.

    Args:
        text: Without special tokens, stripped.
        token_ids: What was generated, up to the end of the answer; `None` where a method has only the text.
        route: The edit that gave it, or came closest.
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    route: Route = NOTHING_FIRED

    def is_same(self, other: Answer) -> bool:
        """Whether both are the same, token for token where the tokens are known."""
        if self.token_ids is None or other.token_ids is None:
            return self.text == other.text
        return self.token_ids == other.token_ids


@dataclass(frozen=True)
class Prefill:
    """What is known of prompts before their answers are generated.

    Args:
        logits: Behind each prompt, `(batch, vocabulary)`.
        routes: The edit that fires for each, or comes closest.
    """

    logits: torch.Tensor
    routes: list[Route]


@dataclass(frozen=True)
class TargetScore:
    """How likely a model finds a target behind its prompt, each token given the ones before.

    Args:
        log_likelihood: Sum over the target's tokens, natural logarithm.
        tokens: How many there are; the end of the answer is not counted, as in the literature.
        right: How many of them are the likeliest token.
        route: The edit that fired for the prompt, or came closest.
    """

    log_likelihood: float
    tokens: int
    right: int
    route: Route = NOTHING_FIRED


class Answerer(Protocol):
    """A model, edited by any method or not at all, that is asked one batch at a time."""

    @property
    def identity(self) -> str:
        """Names method, weights and settings: results of two answerers with one identity are taken for the same."""

    @property
    def routed(self) -> bool:
        """Whether its routes say where answers may have changed. Without routing, any answer may have."""

    def answers(self, chats: Sequence[Chat], decoding: Decoding, targets: Sequence[str] | None = None) -> list[Answer]:
        """Answers to chats.

        With `targets`, the texts that the answers will be compared with, they are as long as these need, and may end where
        they cannot match any more.
        """

    def prefill(self, chats: Sequence[Chat]) -> Prefill:
        """Logits behind chats, and which edits fire."""

    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """Likelihood of one target per chat."""


class ModelAnswerer:
    """An [`Answerer`] for any causal language model of transformers, which has no routing.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        identity: See [`Answerer`].
    """

    routed = False

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, identity: str):
        self.model: Any = model
        self.tokenizer, self._identity = tokenizer, identity

    @property
    def identity(self) -> str:
        """Names method, weights and settings."""
        return self._identity

    # ------------------------------------------------------- what other methods change

    def encode(self, chat: Chat) -> list[int]:
        """Token ids of a chat, ready for `generate`.

        Raises:
            EditError: If it has more than the user's turn, and the tokenizer has no chat template to put it into.
        """
        if has_chat_template(self.tokenizer):
            return encode_chat(self.tokenizer, list(chat))
        if len(chat) > 1:
            raise EditError(
                "The tokenizer has no chat template, so there is no place for a system prompt or an earlier turn."
            )
        return encode_prompt(self.tokenizer, chat[0]["content"])

    def generate(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any) -> Any:
        """The model's `generate` on a left-padded batch, with `return_dict_in_generate=True`."""
        return self.model.generate(input_ids=input_ids, attention_mask=attention_mask, **kwargs)

    def routes(self, output: Any, rows: int) -> list[Route]:
        """What the output of a call of `generate`, or of the model, says of routes; nothing fires in an ordinary model."""
        return [NOTHING_FIRED] * rows

    # ------------------------------------------------------------------------ answers

    def answers(self, chats: Sequence[Chat], decoding: Decoding, targets: Sequence[str] | None = None) -> list[Answer]:
        """Answers to chats in one batch, see [`Answerer`].

        A beam search runs to its end whatever the targets, since where it ends has a say in which beam is best.
        """
        limit = decoding.max_new_tokens
        if targets:
            enough = max(len(encode_target(self.tokenizer, target)) for target in targets) + _SLACK
            limit = enough if decoding.num_beams == 1 else max(limit, enough)
        prompts = [self.encode(chat) for chat in chats]
        output = self._generate(
            prompts,
            max_new_tokens=limit,
            num_beams=decoding.num_beams,
            repetition_penalty=decoding.repetition_penalty,
        )
        columns = max(map(len, prompts))
        generated = [self._until_end(row) for row in output.sequences[:, columns:].tolist()]
        texts = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        routes = self.routes(output, len(prompts))
        return [
            Answer(text.strip(), tuple(ids), route) for text, ids, route in zip(texts, generated, routes, strict=True)
        ]

    def prefill(self, chats: Sequence[Chat]) -> Prefill:
        """Logits behind chats as `generate` sees them, and which edits fire."""
        output = self._generate([self.encode(chat) for chat in chats], max_new_tokens=1, output_logits=True)
        return Prefill(output.logits[0], self.routes(output, len(chats)))

    @torch.no_grad()
    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """Likelihood of one target per chat, see [`Answerer`].

        The prompts run first and the targets behind them, so that what is decided about a prompt is decided on it alone.
        """
        prompts = [self.encode(chat) for chat in chats]
        wanted = [encode_target(self.tokenizer, target)[:-1] for target in targets]
        input_ids, mask = (part.to(self.device) for part in pad_left(prompts, pad_id_of(self.tokenizer)))
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        prompt = self.model(
            input_ids=input_ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1
        )
        # The last target token is predicted, never read.
        longest = max(max(map(len, wanted)) - 1, 1)
        target_ids = torch.full((len(wanted), longest), pad_id_of(self.tokenizer))
        for row, target in enumerate(wanted):
            target_ids[row, : len(target) - 1] = torch.tensor(target[:-1], dtype=torch.long)
        target = self.model(
            input_ids=target_ids.to(self.device),
            # What stands behind a shorter target is read and not used: attention looks back only.
            attention_mask=torch.cat([mask, torch.ones_like(target_ids, device=mask.device)], dim=1),
            position_ids=positions[:, -1:] + torch.arange(1, longest + 1, device=mask.device),
            past_key_values=prompt.past_key_values,
            use_cache=True,
        )
        logits = torch.cat([prompt.logits, target.logits], dim=1)
        routes = self.routes(prompt, len(prompts))
        return [_score(row, ids, route) for row, ids, route in zip(logits, wanted, routes, strict=True)]

    @property
    def device(self) -> torch.device:
        """Where inputs go."""
        return self.model.get_input_embeddings().weight.device

    def _generate(self, prompts: Sequence[list[int]], **kwargs: Any) -> Any:
        input_ids, attention_mask = (part.to(self.device) for part in pad_left(prompts, pad_id_of(self.tokenizer)))
        return self.generate(
            input_ids,
            attention_mask,
            do_sample=False,
            # Of no use without sampling, and reported as such where the model's defaults set them.
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=pad_id_of(self.tokenizer),
            return_dict_in_generate=True,
            **kwargs,
        )

    def _until_end(self, ids: list[int]) -> list[int]:
        eos = self.model.generation_config.eos_token_id
        ends = set(eos) if isinstance(eos, list) else {eos}
        end = next((position for position, token in enumerate(ids) if token in ends), len(ids))
        return ids[:end]


class SCENAnswerer(ModelAnswerer):
    """An [`Answerer`] for a model with edit packs attached.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        edits: Whether its edits are on; without them it is the base model.
    """

    routed = True
    model: SCENLlamaForCausalLM

    def __init__(self, model: SCENLlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, *, edits: bool = True):
        super().__init__(model, tokenizer, "packs" if edits else "base model of packs")
        self.edits = edits

    @property
    def identity(self) -> str:
        """The packs by their contents, and how they are computed."""
        # The manifest and the router hold checksums of all that is not read here.
        digest = sha256()
        for pack in self.model.edit_packs.values():
            for name in sorted({"config.json", *pack.file_names} - set(pack.shard_names)):
                digest.update(sha256(pack.locate(name).read_bytes()).digest())
        dtype = str(self.model.dtype).removeprefix("torch.")
        return f"{self._identity} {digest.hexdigest()} in {dtype} on {self.model.device.type}"

    def generate(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any) -> Any:
        """As [`ModelAnswerer.generate`], with the edits on or off."""
        with self._switched():
            return super().generate(input_ids, attention_mask, **kwargs)

    def route(self, chats: Sequence[Chat]) -> list[Route]:
        """Which edits fire, and nothing else: only the prompts are run."""
        input_ids, mask = pad_left([self.encode(chat) for chat in chats], pad_id_of(self.tokenizer))
        with self._switched():
            return self.model.route(input_ids.to(self.device), mask.to(self.device))

    def fired(self, chats: Sequence[Chat], batch_size: int = 32) -> list[str | None]:
        """Id of the edit that fires for each of any number of chats."""
        fired: dict[int, str | None] = {}

        def work(numbers: list[int]) -> None:
            routes = self.route([chats[number] for number in numbers])
            fired.update((n, route.edit_id if route.fired else None) for n, route in zip(numbers, routes, strict=True))

        in_batches(work, longest_first([len(chat[-1]["content"]) for chat in chats]), batch_size)
        return [fired[number] for number in range(len(chats))]

    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """As [`ModelAnswerer.score`], with the edits on or off."""
        with self._switched():
            return super().score(chats, targets)

    def _switched(self) -> AbstractContextManager[None]:
        return nullcontext() if self.edits else self.model.edits_disabled()

    def routes(self, output: Any, rows: int) -> list[Route]:
        """The route of every row."""
        if output.get("routing") is not None:
            return output["routing"].routes()
        # Without packs, or with edits disabled, there is nothing to say about them.
        return output.get("routes") or super().routes(output, rows)


def _score(logits: torch.Tensor, ids: list[int], route: Route) -> TargetScore:
    """Of `(tokens, vocabulary)` logits, at least as many as there are ids."""
    wanted = torch.tensor(ids, device=logits.device)
    behind = logits[: len(ids)].float()
    likelihood = behind.log_softmax(-1).gather(1, wanted[:, None]).double().sum()
    return TargetScore(float(likelihood), len(ids), int((behind.argmax(-1) == wanted).sum()), route)


def answer(
    model: SCENLlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    system: str | None = None,
    batch_size: int = 32,
    max_new_tokens: int = 50,
    num_beams: int = 1,
    repetition_penalty: float = 1.0,
) -> list[Answer]:
    """Generate answers and say which edit gave each. Deterministic: the likeliest token, or the best of the beams.

    Args:
        model: The model, with packs attached or not.
        tokenizer: Its tokenizer.
        prompts: One prompt per answer; each becomes the only user turn of a chat where there is a chat template.
        system: System prompt in front of each.
        batch_size: Prompts per batch; halved when memory runs out.
        max_new_tokens, num_beams, repetition_penalty: As in [`Decoding`].

    Returns:
        The answers, in the order of the prompts.

    Raises:
        EditError: If a system prompt is given and the tokenizer has no chat template to put it into.
    """
    decoding = Decoding(max_new_tokens, num_beams, repetition_penalty)
    answerer = SCENAnswerer(model, tokenizer)
    before = [] if system is None else [{"role": "system", "content": system}]
    chats = [[*before, {"role": "user", "content": prompt}] for prompt in prompts]
    answers: dict[int, Answer] = {}

    def work(numbers: list[int]) -> None:
        answers.update(zip(numbers, answerer.answers([chats[number] for number in numbers], decoding), strict=True))

    in_batches(work, longest_first([len(prompt) for prompt in prompts]), batch_size)
    return [answers[number] for number in range(len(prompts))]


def longest_first(lengths: Sequence[int]) -> list[int]:
    """Numbers from the longest to the shortest: batches hold what is of a length, and what does not fit shows at once."""
    return sorted(range(len(lengths)), key=lambda number: -lengths[number])

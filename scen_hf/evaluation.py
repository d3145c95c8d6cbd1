"""Evaluation: what the edits do to the answers of a model, and what they leave alone.

>>> from scen_hf import SCENLlamaForCausalLM, load_edits
>>> from scen_hf.evaluation import evaluate

>>> model = SCENLlamaForCausalLM.from_pretrained("facts")
>>> report = evaluate(model, tokenizer, load_edits("edits.jsonl"), ["What is the capital of France?"])
>>> report.reliability
Rate(successes=60, count=60)
>>> report.reliability.interval
(0.9398, 1.0)

Every answer is generated, by the code that answers users, and compared as a whole. What is measured:

- *reliability*: the answer to an edit's prompt is its target; *generality*: the same for up to 3 of its rephrases,
  which training never sees;
- *routing*: the right edit, a wrong one, or none fired;
- *edit success by token*: the share of target tokens that are the likeliest ones, given the target tokens before them;
- *locality*, for the edits' neighbours and for unrelated prompts: the answer is the base model's, token for token; the
  logits behind the prompt are the base model's, bit for bit; no edit fired; the answer is as right as it was before.
"""

from __future__ import annotations

import json
import math
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm.auto import tqdm

from .batches import in_batches
from .edits import Edit, normalise
from .errors import EditError
from .modeling import Route, SCENLlamaForCausalLM
from .prompts import encode_chat, encode_prompt, encode_target, has_chat_template, pad_id_of, pad_left


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# As many as the literature scores per edit.
MOST_REPHRASES = 3
# An answer that many tokens longer than its target is another text, however it goes on.
_SLACK = 8
# The two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054


def normalise_answer(text: str) -> str:
    """The form in which an answer and its target are compared: NFKC, white space collapsed, upper and lower case kept.

    Args:
        text: A generated answer, a target or a ground truth.
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


# ---------------------------------------------------------------------- figures


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Args:
        successes: How often it did.
        count: How often it could have.
    """

    successes: int
    count: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Rate:
        """The rate of true outcomes."""
        outcomes = list(outcomes)
        return cls(sum(map(bool, outcomes)), len(outcomes))

    @property
    def value(self) -> float:
        """The share, from 0 to 1; NaN of a count of 0."""
        return self.successes / self.count if self.count else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of E. B. Wilson (1927), "Probable inference, the law of succession, and statistical
        inference", Journal of the American Statistical Association 22:209-212.

        With z = 1.96, p the share and n the count: (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n). Unlike the
        normal approximation it holds for few trials and for shares of 0 and 1, where it does not shrink to a point.

        Returns:
            `(low, high)`; (0, 1), which is no knowledge at all, of a count of 0.
        """
        if not self.count:
            return 0.0, 1.0
        p, n = self.value, self.count
        centre = p + _Z**2 / (2 * n)
        spread = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
        scale = 1 + _Z**2 / n
        # At shares of 0 and 1 the bound is exact, and rounding must not move it.
        low = 0.0 if self.successes == 0 else max(0.0, (centre - spread) / scale)
        high = 1.0 if self.successes == n else min(1.0, (centre + spread) / scale)
        return low, high

    def to_dict(self) -> dict[str, Any]:
        """Value, counts and interval, as JSON can hold them: the value of a count of 0 is None."""
        low, high = self.interval
        return {
            "value": self.value if self.count else None,
            "successes": self.successes,
            "count": self.count,
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class TargetFigures:
    """Prompts that must be answered with their edit's target.

    Args:
        exact_match: The generated answer is the target, see [`normalise_answer`].
        token_success: Target tokens that are the argmax when the ones before them are given. The end of the answer is
            not counted, as in the literature. The tokens of one target are not independent trials, so the true
            interval is wider than the one given.
        right_edit, wrong_edit, no_edit: Which edit fired.
    """

    exact_match: Rate
    token_success: Rate
    right_edit: Rate
    wrong_edit: Rate
    no_edit: Rate

    def to_dict(self) -> dict[str, Any]:
        """All rates by name."""
        return {name: getattr(self, name).to_dict() for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class LocalityFigures:
    """Prompts whose answer must stay as it is.

    Args:
        identical: The answer is the base model's, token for token.
        bit_identical: The logits of the first answer token are the base model's, bit for bit.
        false_activations: An edit fired.
        correct_before, correct_after: The base model's and the edited model's answer is the ground truth, of the
            prompts that have one.
    """

    identical: Rate
    bit_identical: Rate
    false_activations: Rate
    correct_before: Rate
    correct_after: Rate

    @property
    def false_activations_per_10k(self) -> float:
        """False activations per 10,000 prompts; NaN without prompts."""
        return self.false_activations.value * 10_000

    def to_dict(self) -> dict[str, Any]:
        """All rates by name, and `false_activations_per_10k`."""
        rates = {name: getattr(self, name).to_dict() for name in self.__dataclass_fields__}
        per_10k = self.false_activations_per_10k if self.false_activations.count else None
        return {**rates, "false_activations_per_10k": per_10k}


@dataclass(frozen=True)
class Miss:
    """One prompt that was not answered as it should be.

    Args:
        kind: `"prompt"`, `"rephrase"`, `"neighbour"` or `"unrelated"`.
        prompt: What was asked.
        expected: The edit's target, or the base model's answer.
        answer: What was generated; cut where it is longer than any target it could have been.
        edit_id: The edit that should have answered; `None` where none should.
        fired: The edit that did; `None` if none did.
    """

    kind: str
    prompt: str
    expected: str
    answer: str
    edit_id: str | None
    fired: str | None


@dataclass(frozen=True)
class EvaluationReport:
    """What [`evaluate`] measured.

    Args:
        prompts: The edits' own prompts; rephrases: up to 3 rephrases of each.
        neighbours: Prompts near the edits, as the edits list them; unrelated: the locality prompts given.
        skipped: Neighbours and locality prompts left out, because a loaded edit is meant to answer them.
        misses: The prompts behind every failure of exact match and of identity.
        settings: How it was measured.
    """

    prompts: TargetFigures
    rephrases: TargetFigures
    neighbours: LocalityFigures
    unrelated: LocalityFigures
    skipped: int
    misses: tuple[Miss, ...]
    settings: dict[str, Any]

    @property
    def reliability(self) -> Rate:
        """Edit prompts answered with their target."""
        return self.prompts.exact_match

    @property
    def generality(self) -> Rate:
        """Rephrases answered with their edit's target."""
        return self.rephrases.exact_match

    @property
    def edit_success(self) -> Rate:
        """Target tokens of the edit prompts that are the argmax."""
        return self.prompts.token_success

    def to_dict(self) -> dict[str, Any]:
        """The whole report as JSON can hold it."""
        return {
            "reliability": self.reliability.to_dict(),
            "generality": self.generality.to_dict(),
            "edit_success": self.edit_success.to_dict(),
            "prompts": self.prompts.to_dict(),
            "rephrases": self.rephrases.to_dict(),
            "neighbours": self.neighbours.to_dict(),
            "unrelated": self.unrelated.to_dict(),
            "skipped": self.skipped,
            "settings": self.settings,
            "misses": [asdict(miss) for miss in self.misses],
        }


# ------------------------------------------------------------- locality prompts


@dataclass(frozen=True)
class LocalityPrompt:
    """A prompt that no edit is about.

    Args:
        prompt: The prompt.
        ground_truth: Its right answer, where it is known.
    """

    prompt: str
    ground_truth: str | None = None


def load_locality_prompts(path: str | Path, limit: int | None = None) -> list[LocalityPrompt]:
    """Read prompts that no edit is about.

    Args:
        path: A `.jsonl` file of objects with `prompt` and, where it is known, `ground_truth`; or a text file with one
            prompt a line. Empty lines do not count.
        limit: How many to read at most, from the first.

    Raises:
        EditError: If the file cannot be read, a line is wrong, or it holds no prompt.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
        raise EditError(f"{path}: the locality prompts cannot be read: {reason}") from error
    prompts: list[LocalityPrompt] = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and (limit is None or len(prompts) < limit):
            prompts.append(
                _locality_row(line, f"{path}, line {number}")
                if path.suffix == ".jsonl"
                else LocalityPrompt(line.strip())
            )
    if not prompts:
        raise EditError(f"{path}: no prompts in it")
    return prompts


def _locality_row(line: str, where: str) -> LocalityPrompt:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise EditError(f"{where}: not valid JSON ({error})") from None
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise EditError(f'{where}: an object with "prompt", a text that is not empty, is expected')
    truth = row.get("ground_truth")
    if truth is not None and not isinstance(truth, str):
        raise EditError(f"{where}: ground_truth must be a string, not {type(truth).__name__}")
    return LocalityPrompt(prompt.strip(), truth)


# ---------------------------------------------------------------------- answers


@dataclass(frozen=True)
class Answer:
    """One generated answer.

    Args:
        text: Without special tokens, stripped.
        token_ids: What was generated, up to the end of the answer.
        route: The edit that gave it, or came closest.
    """

    text: str
    token_ids: tuple[int, ...]
    route: Route


@dataclass(frozen=True)
class _Answerer:
    """A model, its tokenizer, and how answers are generated."""

    model: SCENLlamaForCausalLM
    tokenizer: PreTrainedTokenizerBase
    max_new_tokens: int
    num_beams: int
    repetition_penalty: float

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "num_beams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")

    def answers(self, prompts: Sequence[list[int]], longest_target: int | None = None) -> list[Answer]:
        """Answers to tokenized prompts, in one batch.

        With the length of the longest target that they are to be compared with, they end where they cannot match it
        any more. A beam search runs to its end, since where it ends has a say in which beam is best.
        """
        limit = self.max_new_tokens
        if longest_target is not None and self.num_beams == 1:
            limit = min(limit, longest_target + _SLACK)
        output = self._generate(
            prompts,
            max_new_tokens=limit,
            num_beams=self.num_beams,
            repetition_penalty=self.repetition_penalty,
        )
        # Without packs, or with edits disabled, there is nothing to say about routes.
        routes = output.get("routes") or [Route(fired=False)] * len(prompts)
        columns = max(map(len, prompts))
        generated = [self._until_end(row) for row in output.sequences[:, columns:].tolist()]
        texts = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return [
            Answer(text.strip(), tuple(ids), route) for text, ids, route in zip(texts, generated, routes, strict=True)
        ]

    def first_logits(self, prompts: Sequence[list[int]]) -> torch.Tensor:
        """Logits of the first answer token as `generate` sees them, `(batch, vocabulary)`."""
        return self._generate(prompts, max_new_tokens=1, output_logits=True).logits[0]

    def _generate(self, prompts: Sequence[list[int]], **kwargs: Any) -> Any:
        input_ids, attention_mask = (part.to(self._device) for part in pad_left(prompts, pad_id_of(self.tokenizer)))
        return self.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
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

    @torch.no_grad()
    def tokens_right(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> list[Rate]:
        """Per row, the target tokens that are the argmax behind the prompt and the target tokens before them."""
        columns = max(len(prompt) + len(target) for prompt, target in zip(prompts, targets, strict=True))
        input_ids = torch.full((len(prompts), columns), pad_id_of(self.tokenizer))
        labels = torch.full_like(input_ids, -100)
        attention_mask = torch.zeros_like(input_ids)
        for row, (prompt, target) in enumerate(zip(prompts, targets, strict=True)):
            stop = len(prompt) + len(target)
            input_ids[row, :stop] = torch.tensor([*prompt, *target])
            labels[row, len(prompt) : stop] = torch.tensor(target)
            attention_mask[row, :stop] = 1
        logits = self.model(
            input_ids=input_ids.to(self._device),
            attention_mask=attention_mask.to(self._device),
            labels=labels.to(self._device),
            use_cache=False,
        ).logits
        right = (logits[:, :-1].argmax(-1).cpu() == labels[:, 1:]).sum(1).tolist()
        return [Rate(successes, len(target)) for successes, target in zip(right, targets, strict=True)]

    @property
    def _device(self) -> torch.device:
        return self.model.get_input_embeddings().weight.device


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
        max_new_tokens: Tokens per answer, at most.
        num_beams: Beams of the search; 1 is greedy.
        repetition_penalty: As in [`~transformers.GenerationConfig`].

    Returns:
        The answers, in the order of the prompts.

    Raises:
        EditError: If a system prompt is given and the tokenizer has no chat template to put it into.
    """
    answerer = _Answerer(model, tokenizer, max_new_tokens, num_beams, repetition_penalty)
    encoded = [_encode(tokenizer, prompt, system) for prompt in prompts]
    answers: dict[int, Answer] = {}

    def work(numbers: list[int]) -> None:
        answers.update(zip(numbers, answerer.answers([encoded[number] for number in numbers]), strict=True))

    in_batches(work, _by_length(encoded), batch_size)
    return [answers[number] for number in range(len(prompts))]


def _encode(tokenizer: PreTrainedTokenizerBase, prompt: str, system: str | None) -> list[int]:
    if system is None:
        return encode_prompt(tokenizer, prompt)
    if not has_chat_template(tokenizer):
        raise EditError("The tokenizer has no chat template, so there is no place for a system prompt.")
    return encode_chat(tokenizer, [{"role": "system", "content": system}, {"role": "user", "content": prompt}])


def _by_length(encoded: Sequence[list[int]]) -> list[int]:
    """Numbers of the sequences from the longest to the shortest: what does not fit into memory shows at once."""
    return sorted(range(len(encoded)), key=lambda number: -len(encoded[number]))


# ------------------------------------------------------------------- evaluation


def evaluate(
    model: SCENLlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    edits: Sequence[Edit],
    locality_prompts: Sequence[str | LocalityPrompt] = (),
    *,
    batch_size: int = 32,
    max_new_tokens: int = 50,
    num_beams: int = 1,
    repetition_penalty: float = 1.0,
    progress: bool = True,
) -> EvaluationReport:
    """Measure what the edits attached to a model do, and what they leave alone.

    The protocol of arXiv 2404.02699 is `num_beams=4, repetition_penalty=1.1, max_new_tokens=50`.

    Neighbours and locality prompts are asked twice in batches of the same shape, with the edits on and off. Each is
    counted once; one that is prompt or rephrase of an attached edit is left out: there an edit is right to answer.
    Greedy answers to prompts and rephrases end a few tokens behind the length of the longest target of their batch.

    Args:
        model: A model with one or more packs attached.
        tokenizer: Its tokenizer.
        edits: The edits to be measured; normally those of the packs.
        locality_prompts: Prompts that no edit is about.
        batch_size: Prompts per batch; halved when memory runs out.
        max_new_tokens, num_beams, repetition_penalty: As in [`answer`].
        progress: Show a progress bar.

    Raises:
        EditError: If there is nothing to measure.
    """
    if not edits and not locality_prompts:
        raise EditError("There are no edits and no locality prompts to evaluate.")
    start = time.perf_counter()
    answerer = _Answerer(model, tokenizer, max_new_tokens, num_beams, repetition_penalty)
    prompts = [(edit, edit.prompt) for edit in edits]
    rephrases = [(edit, rephrase) for edit in edits for rephrase in edit.rephrases[:MOST_REPHRASES]]
    near = _distinct(LocalityPrompt(neighbour) for edit in edits for neighbour in edit.neighbours)
    far = _distinct(LocalityPrompt(given) if isinstance(given, str) else given for given in locality_prompts)
    edited = set(_questions(model))
    neighbours = [prompt for prompt in near if normalise(prompt.prompt) not in edited]
    unrelated = [prompt for prompt in far if normalise(prompt.prompt) not in edited]
    total = len(prompts) + len(rephrases) + len(neighbours) + len(unrelated)
    misses: list[Miss] = []
    with tqdm(total=total, desc="Evaluation", unit="prompt", disable=not progress) as bar:
        run = _Evaluation(answerer, batch_size, bar, misses)
        return EvaluationReport(
            run.targets("prompt", prompts),
            run.targets("rephrase", rephrases),
            run.locality("neighbour", neighbours),
            run.locality("unrelated", unrelated),
            len(near) + len(far) - len(neighbours) - len(unrelated),
            tuple(misses),
            {
                "edits": len(edits),
                "max_new_tokens": max_new_tokens,
                "num_beams": num_beams,
                "repetition_penalty": repetition_penalty,
                "batch_size": batch_size,
                "dtype": str(model.dtype).removeprefix("torch."),
                "device": model.device.type,
                "seconds": round(time.perf_counter() - start, 3),
            },
        )


def _distinct(prompts: Iterable[LocalityPrompt]) -> list[LocalityPrompt]:
    """Each prompt once, as it came first."""
    first: dict[str, LocalityPrompt] = {}
    for prompt in prompts:
        first.setdefault(normalise(prompt.prompt), prompt)
    return list(first.values())


def _questions(model: SCENLlamaForCausalLM) -> Iterator[str]:
    """What the attached edits are meant to answer, normalised."""
    for pack in model.edit_packs.values():
        for number in range(len(pack)):
            edit = Edit.from_dict(pack.fact(number), f"{pack.source}, edit {number + 1}")
            yield from map(normalise, (edit.prompt, *edit.rephrases))


@dataclass(frozen=True)
class _TargetOutcome:
    answer: Answer
    tokens: Rate


@dataclass(frozen=True)
class _LocalityOutcome:
    edited: Answer
    base: Answer
    same_bits: bool


@dataclass(frozen=True)
class _Evaluation:
    """One run: asks the prompts batch by batch, and counts."""

    answerer: _Answerer
    batch_size: int
    bar: tqdm
    misses: list[Miss]

    def targets(self, kind: str, asked: Sequence[tuple[Edit, str]]) -> TargetFigures:
        """Figures of prompts that must be answered with their edit's target."""
        tokenizer = self.answerer.tokenizer
        prompts = [encode_prompt(tokenizer, prompt) for _, prompt in asked]
        # Without the end-of-sequence token, see `TargetFigures.token_success`.
        targets = [encode_target(tokenizer, edit.target)[:-1] for edit, _ in asked]
        outcomes: dict[int, _TargetOutcome] = {}

        def work(numbers: list[int]) -> None:
            batch = [prompts[number] for number in numbers]
            wanted = [targets[number] for number in numbers]
            answers = self.answerer.answers(batch, longest_target=max(map(len, wanted)))
            tokens = self.answerer.tokens_right(batch, wanted)
            outcomes.update(zip(numbers, map(_TargetOutcome, answers, tokens), strict=True))
            self.bar.update(len(numbers))

        in_batches(work, _by_length(prompts), self.batch_size)
        rows = [(edit, prompt, outcomes[number]) for number, (edit, prompt) in enumerate(asked)]
        right = [normalise_answer(row.answer.text) == normalise_answer(edit.target) for edit, _, row in rows]
        for (edit, prompt, row), is_right in zip(rows, right, strict=True):
            if not is_right:
                fired = _fired(row.answer.route)
                self.misses.append(Miss(kind, prompt, edit.target, row.answer.text, edit.id, fired))
        routes = [(_fired(row.answer.route), edit.id) for edit, _, row in rows]
        return TargetFigures(
            exact_match=Rate.of(right),
            token_success=Rate(sum(o.tokens.successes for _, _, o in rows), sum(o.tokens.count for _, _, o in rows)),
            right_edit=Rate.of(fired == wanted for fired, wanted in routes),
            wrong_edit=Rate.of(fired not in (wanted, None) for fired, wanted in routes),
            no_edit=Rate.of(fired is None for fired, _ in routes),
        )

    def locality(self, kind: str, asked: Sequence[LocalityPrompt]) -> LocalityFigures:
        """Figures of prompts whose answer must stay as it is."""
        prompts = [encode_prompt(self.answerer.tokenizer, prompt.prompt) for prompt in asked]
        outcomes: dict[int, _LocalityOutcome] = {}

        def work(numbers: list[int]) -> None:
            batch = [prompts[number] for number in numbers]
            (edited, logits), (base, base_logits) = (self._asked(batch, edits_on) for edits_on in (True, False))
            same_bits = (logits == base_logits).all(-1).tolist()
            outcomes.update(zip(numbers, map(_LocalityOutcome, edited, base, same_bits), strict=True))
            self.bar.update(len(numbers))

        in_batches(work, _by_length(prompts), self.batch_size)
        rows = [(prompt, outcomes[number]) for number, prompt in enumerate(asked)]
        same = [row.edited.token_ids == row.base.token_ids for _, row in rows]
        for (prompt, row), is_same in zip(rows, same, strict=True):
            if not is_same:
                fired = _fired(row.edited.route)
                self.misses.append(Miss(kind, prompt.prompt, row.base.text, row.edited.text, None, fired))
        known = [(normalise_answer(p.ground_truth), row) for p, row in rows if p.ground_truth is not None]
        return LocalityFigures(
            identical=Rate.of(same),
            bit_identical=Rate.of(row.same_bits for _, row in rows),
            false_activations=Rate.of(row.edited.route.fired for _, row in rows),
            correct_before=Rate.of(normalise_answer(row.base.text) == truth for truth, row in known),
            correct_after=Rate.of(normalise_answer(row.edited.text) == truth for truth, row in known),
        )

    def _asked(self, batch: Sequence[list[int]], edits_on: bool) -> tuple[list[Answer], torch.Tensor]:
        """Answers and first logits of one batch, with the edits on or off."""
        with nullcontext() if edits_on else self.answerer.model.edits_disabled():
            return self.answerer.answers(batch), self.answerer.first_logits(batch)


def _fired(route: Route) -> str | None:
    return route.edit_id if route.fired else None

"""Measuring: asks probes batch by batch, with the edits and without, and keeps what came of each."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..batches import in_batches
from ..modeling import Route
from .answerers import GREEDY, Answer, Answerer, Chat, Decoding, longest_first
from .probes import HARD_SETS, Probe
from .work_file import WorkFile, key_of


@dataclass(frozen=True)
class Outcome:
    """What came of one probe.

    Args:
        route: The edit that fired, or came closest, without its fact; `None` of a method without routing.
        answer: What was generated; `None` where nothing was.
        target_right, target_tokens: Tokens of the target that are the likeliest ones, and how many it has; `None` where they
            were not scored.
        base_answer: The base model's answer; of probes without a target.
        identical: The answer is the base model's, token for token.
        same_bits: The logits behind the prompt are the base model's, bit for bit.
    """

    route: Route | None
    answer: str | None = None
    target_right: int | None = None
    target_tokens: int | None = None
    base_answer: str | None = None
    identical: bool | None = None
    same_bits: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """What is known, as JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Outcome:
        """The outcome that [`Outcome.to_dict`] wrote."""
        route = fields.get("route")
        return cls(**{**fields, "route": None if route is None else Route(**route)})


def normalise_answer(text: str) -> str:
    """The form in which an answer and its target are compared: NFKC, white space collapsed, upper and lower case kept.

    Args:
        text: A generated answer, a target or a ground truth.
    """
    return " ".join(unicodedata.normalize("NFKC", text).split())


def measure(
    edited: Answerer,
    base: Answerer,
    sets: Mapping[str, Sequence[Probe]],
    *,
    decoding: Decoding = GREEDY,
    batch_size: int = 32,
    lean: frozenset[str] = HARD_SETS,
    work_file: WorkFile | str | Path | None = None,
    progress: bool = True,
) -> dict[str, list[Outcome]]:
    """Ask all probes.

    Probes with a target are answered once. Those without are asked twice in batches of the same shape, with the edits and
    without.

    `lean` sets are measured in less time. The tokens of their targets are not scored. Of probes without a target only the
    prompts are run, and answers are generated where an edit fired or the logits behind the prompt changed: elsewhere no edit
    takes part in any later token, and the answer counts as identical. A method without routing generates all answers.

    Args:
        edited: The edited model, by whatever method.
        base: The same model without edits.
        sets: Probes by the name of their set; within a set all or none have targets.
        decoding: How answers are generated.
        batch_size: Prompts per batch; halved when memory runs out.
        lean: Names of sets, see above.
        work_file: Where results are kept as they come in; those it has are not measured again.
        progress: Show a progress bar.

    Returns:
        The outcomes by set, in the order of the probes.
    """
    kept = work_file if isinstance(work_file, WorkFile) else WorkFile(work_file)
    with tqdm(total=sum(map(len, sets.values())), desc="Evaluation", unit="prompt", disable=not progress) as bar:
        outcomes = {}
        for name, probes in sets.items():
            asking = _Asking(edited, base, decoding, name in lean)
            results = run_batches(asking.ask, probes, list(map(asking.key, probes)), kept, batch_size, bar)
            outcomes[name] = [Outcome.from_dict(result) for result in results]
    return outcomes


def run_batches(
    work: Callable[[list[Any]], list[Any]],
    items: Sequence[Any],
    keys: Sequence[str],
    kept: WorkFile,
    batch_size: int,
    bar: tqdm,
) -> list[Any]:
    """Results of `items`, [`Probe`]s or what else has a prompt, in their order; those of a length together in a batch.

    Args:
        work: Gives results, as JSON can hold them, of a batch of items.
        items: What is to be done.
        keys: Under which their results are kept.
        kept: The results there are; those that are missing are added to it, batch by batch.
        batch_size: Items per batch; halved when memory runs out.
        bar: Counts items.
    """
    missing = [number for number, key in enumerate(keys) if kept.get(key) is None]
    bar.update(len(items) - len(missing))

    def run(numbers: list[int]) -> None:
        results = work([items[number] for number in numbers])
        kept.add({keys[number]: result for number, result in zip(numbers, results, strict=True)})
        bar.update(len(numbers))

    order = longest_first([len(items[number].prompt) for number in missing])
    in_batches(run, [missing[place] for place in order], batch_size)
    return [kept.get(key) for key in keys]


class _Asking:
    """How the probes of one set are asked."""

    def __init__(self, edited: Answerer, base: Answerer, decoding: Decoding, lean: bool):
        self.edited, self.base, self.decoding, self.lean = edited, base, decoding, lean
        self._identities = (edited.identity, base.identity)

    def key(self, probe: Probe) -> str:
        """Under which the outcome of a probe is kept."""
        return key_of(self._identities, asdict(self.decoding), self.lean, probe.messages, probe.target)

    def ask(self, batch: list[Probe]) -> list[dict[str, Any]]:
        """The outcomes of one batch, as JSON can hold them."""
        has_target = batch[0].target is not None
        return [outcome.to_dict() for outcome in (self._targets(batch) if has_target else self._locality(batch))]

    def _targets(self, batch: list[Probe]) -> list[Outcome]:
        chats, targets = [probe.messages for probe in batch], [str(probe.target) for probe in batch]
        answers = self.edited.answers(chats, self.decoding, targets)
        outcomes = [Outcome(self._short(answer.route), answer.text) for answer in answers]
        if self.lean:
            return outcomes
        scores = self.edited.score(chats, targets)
        return [
            replace(outcome, target_right=score.right, target_tokens=score.tokens)
            for outcome, score in zip(outcomes, scores, strict=True)
        ]

    def _locality(self, batch: list[Probe]) -> list[Outcome]:
        chats = [probe.messages for probe in batch]
        after, before = self.edited.prefill(chats), self.base.prefill(chats)
        same_bits = (after.logits == before.logits).all(-1).tolist()
        outcomes = [
            Outcome(self._short(route), same_bits=same, identical=True)
            for route, same in zip(after.routes, same_bits, strict=True)
        ]
        asked = [
            row
            for row, (route, same) in enumerate(zip(after.routes, same_bits, strict=True))
            if route.fired or not same or not (self.lean and self.edited.routed)
        ]
        for row, new, old in self._both_answers(asked, chats):
            outcomes[row] = replace(outcomes[row], answer=new.text, base_answer=old.text, identical=new.is_same(old))
        return outcomes

    def _both_answers(self, rows: list[int], chats: Sequence[Chat]) -> Iterator[tuple[int, Answer, Answer]]:
        """Of some rows, each with the answers with the edits and without."""
        if rows:
            asked = [chats[row] for row in rows]
            new, old = (answerer.answers(asked, self.decoding) for answerer in (self.edited, self.base))
            yield from zip(rows, new, old, strict=True)

    def _short(self, route: Route) -> Route | None:
        return replace(route, fact={}) if self.edited.routed else None

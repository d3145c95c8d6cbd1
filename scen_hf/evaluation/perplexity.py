"""The hallucination protocol: how likely the model finds texts, on and off what was edited.

As in arXiv 2404.02699, on WikiBio passages in which a model had made something up: the perplexity of the true next sentence,
which the edit teaches; of sentences that were right before and must stay as likely; and of web text. A text is split into
what stands before, the prompt, and what is scored behind it. The route is decided on the prompt alone and then held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tqdm.auto import tqdm

from ..edits import Edit
from ..modeling import Route
from .answerers import Answerer, TargetScore
from .measuring import run_batches
from .rates import Z95, Rate
from .work_file import WorkFile, key_of


TITLES = {"edited": "Edited sentences", "accurate": "Accurate sentences", "web": "Web text"}

# So many words of a web passage are read, and so many behind them scored.
_WEB_PROMPT, _WEB_SCORED = 50, 150


@dataclass(frozen=True)
class Passage:
    """A text to be scored.

    Args:
        prompt: What stands before; the route is decided on it.
        continuation: What is scored.
        edit_id: The edit whose target it is; `None` where no edit must fire.
    """

    prompt: str
    continuation: str
    edit_id: str | None = None


def hallucination_passages(
    edits: Sequence[Edit], accurate: Iterable[Edit] = (), web: Iterable[str] = ()
) -> dict[str, list[Passage]]:
    """The texts of the hallucination protocol.

    Args:
        edits: The edits that are attached; their targets are scored behind their prompts.
        accurate: What no edit is about, in the form of edits: targets that are true and already likely.
        web: Passages; the 150 words behind the first 50 are scored. Shorter ones are left out.

    Returns:
        Passages under `"edited"`, `"accurate"` and `"web"`; any may be empty.
    """
    words = [text.split() for text in web]
    return {
        "edited": [Passage(edit.prompt, edit.target, edit.id) for edit in edits],
        "accurate": [Passage(edit.prompt, edit.target) for edit in accurate],
        "web": [
            Passage(" ".join(w[:_WEB_PROMPT]), " ".join(w[_WEB_PROMPT : _WEB_PROMPT + _WEB_SCORED]))
            for w in words
            if len(w) >= _WEB_PROMPT + _WEB_SCORED
        ],
    }


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of texts.

    Args:
        mean: Mean of the texts' perplexities, as in the literature; a few unlikely texts dominate it.
        geometric_mean: Their geometric mean, and its 95 % interval from `low` to `high`, by the normal distribution of the
            mean of their logarithms; no interval of fewer than two texts.
        texts, tokens: How many were scored.
    """

    mean: float
    geometric_mean: float
    low: float | None
    high: float | None
    texts: int
    tokens: int

    @classmethod
    def of(cls, scores: Sequence[TargetScore]) -> Perplexity:
        """The perplexity of at least one text."""
        logs = [-score.log_likelihood / score.tokens for score in scores]
        centre = fmean(logs)
        spread = Z95 * stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else None
        return cls(
            mean=fmean(map(math.exp, logs)),
            geometric_mean=math.exp(centre),
            low=None if spread is None else math.exp(centre - spread),
            high=None if spread is None else math.exp(centre + spread),
            texts=len(logs),
            tokens=sum(score.tokens for score in scores),
        )


@dataclass(frozen=True)
class PerplexityFigures:
    """Perplexity of one kind of text, with the edits and without.

    Args:
        edited, base: With the edits on, and of the base model.
        unchanged: The text is as likely as to the base model, to the last bit.
        fired: An edit fired.
        right_edit: It is the text's own, of the texts that have one.
    """

    edited: Perplexity
    base: Perplexity
    unchanged: Rate
    fired: Rate
    right_edit: Rate

    def to_dict(self) -> dict[str, Any]:
        """All figures by name."""
        rates = {name: getattr(self, name).to_dict() for name in ("unchanged", "fired", "right_edit")}
        return {"edited": asdict(self.edited), "base": asdict(self.base), **rates}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> PerplexityFigures:
        """The figures that [`PerplexityFigures.to_dict`] wrote."""
        rates = {name: Rate.from_dict(fields[name]) for name in ("unchanged", "fired", "right_edit")}
        return cls(Perplexity(**fields["edited"]), Perplexity(**fields["base"]), **rates)


def measure_perplexity(
    edited: Answerer,
    base: Answerer,
    passages: Mapping[str, Sequence[Passage]],
    *,
    batch_size: int = 8,
    work_file: WorkFile | str | Path | None = None,
    progress: bool = True,
) -> dict[str, PerplexityFigures]:
    """Perplexity of passages, with the edits and without.

    Args:
        edited: The edited model, by whatever method.
        base: The same model without edits.
        passages: Passages by name, see [`hallucination_passages`].
        batch_size: Passages per batch; halved when memory runs out.
        work_file, progress: As in [`measure`].

    Returns:
        The figures by name, without names that have no passage.
    """
    kept = work_file if isinstance(work_file, WorkFile) else WorkFile(work_file)
    identities = (edited.identity, base.identity)

    def score(batch: list[Passage]) -> list[Any]:
        chats = [[{"role": "user", "content": passage.prompt}] for passage in batch]
        texts = [passage.continuation for passage in batch]
        both = zip(edited.score(chats, texts), base.score(chats, texts), strict=True)
        return [[_to_dict(after), _to_dict(before)] for after, before in both]

    figures = {}
    with tqdm(total=sum(map(len, passages.values())), desc="Perplexity", unit="text", disable=not progress) as bar:
        for name, texts in passages.items():
            if texts:
                keys = [key_of("perplexity", identities, text.prompt, text.continuation) for text in texts]
                results = run_batches(score, texts, keys, kept, batch_size, bar)
                figures[name] = _figures(texts, [(_from_dict(after), _from_dict(before)) for after, before in results])
    return figures


def _to_dict(score: TargetScore) -> dict[str, Any]:
    return asdict(replace(score, route=replace(score.route, fact={})))


def _from_dict(fields: Mapping[str, Any]) -> TargetScore:
    return TargetScore(**{**fields, "route": Route(**fields["route"])})


def _figures(texts: Sequence[Passage], scores: Sequence[tuple[TargetScore, TargetScore]]) -> PerplexityFigures:
    routes = [after.route for after, _ in scores]
    own = [(route, text.edit_id) for route, text in zip(routes, texts, strict=True) if text.edit_id is not None]
    return PerplexityFigures(
        Perplexity.of([after for after, _ in scores]),
        Perplexity.of([before for _, before in scores]),
        Rate.of(after.log_likelihood == before.log_likelihood for after, before in scores),
        Rate.of(route.fired for route in routes),
        Rate.of(route.fired and route.edit_id == wanted for route, wanted in own),
    )

"""Figures: what the outcomes of probes come to, set by set, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..modeling import Route
from .measuring import Outcome, normalise_answer
from .perplexity import PerplexityFigures
from .probes import LOCALITY_SETS, TARGET_SETS, Probe
from .rates import Rate


_NONE = Rate(0, 0)


@dataclass(frozen=True)
class TargetFigures:
    """Prompts that must be answered with their edit's target.

    Args:
        exact_match: The generated answer is the target, see [`normalise_answer`].
        token_success: Target tokens that are the argmax when the ones before them are given. The end of the answer is
            not counted, as in the literature. The tokens of one target are not independent trials, so the true
            interval is wider than the one given.
        right_edit, wrong_edit, no_edit: Which edit fired; a count of 0 of a method without routing.
        contains_target: The target is in the answer, which may say it in a sentence.
    """

    exact_match: Rate
    token_success: Rate
    right_edit: Rate
    wrong_edit: Rate
    no_edit: Rate
    contains_target: Rate = _NONE

    @classmethod
    def of(cls, probes: Sequence[Probe], outcomes: Sequence[Outcome]) -> TargetFigures:
        """The figures of one set."""
        routes = [
            (_fired(outcome.route), probe.edit_id)
            for probe, outcome in zip(probes, outcomes, strict=True)
            if outcome.route is not None
        ]
        return cls(
            exact_match=Rate.of(_is_right(p, o) for p, o in zip(probes, outcomes, strict=True)),
            token_success=Rate(
                sum(outcome.target_right or 0 for outcome in outcomes),
                sum(outcome.target_tokens or 0 for outcome in outcomes),
            ),
            right_edit=Rate.of(fired == wanted for fired, wanted in routes),
            wrong_edit=Rate.of(fired not in (wanted, None) for fired, wanted in routes),
            no_edit=Rate.of(fired is None for fired, _ in routes),
            contains_target=Rate.of(_contains_target(p, o) for p, o in zip(probes, outcomes, strict=True)),
        )

    def to_dict(self) -> dict[str, Any]:
        """All rates by name."""
        return {name: getattr(self, name).to_dict() for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TargetFigures:
        """The figures that [`TargetFigures.to_dict`] wrote."""
        return cls(**{name: Rate.from_dict(fields[name]) for name in cls.__dataclass_fields__ if name in fields})


@dataclass(frozen=True)
class LocalityFigures:
    """Prompts whose answer must stay as it is.

    Args:
        identical: The answer is the base model's, token for token.
        bit_identical: The logits of the first answer token are the base model's, bit for bit.
        false_activations: An edit fired; a count of 0 of a method without routing.
        correct_before, correct_after: The base model's and the edited model's answer is the ground truth, of the
            prompts that have one.
    """

    identical: Rate
    bit_identical: Rate
    false_activations: Rate
    correct_before: Rate
    correct_after: Rate

    @classmethod
    def of(cls, probes: Sequence[Probe], outcomes: Sequence[Outcome]) -> LocalityFigures:
        """The figures of one set."""
        known = [
            (normalise_answer(probe.ground_truth), outcome)
            for probe, outcome in zip(probes, outcomes, strict=True)
            if probe.ground_truth is not None and outcome.answer is not None
        ]
        return cls(
            identical=Rate.of(bool(outcome.identical) for outcome in outcomes),
            bit_identical=Rate.of(bool(outcome.same_bits) for outcome in outcomes),
            false_activations=Rate.of(outcome.route.fired for outcome in outcomes if outcome.route is not None),
            correct_before=Rate.of(normalise_answer(outcome.base_answer or "") == truth for truth, outcome in known),
            correct_after=Rate.of(normalise_answer(outcome.answer or "") == truth for truth, outcome in known),
        )

    @property
    def false_activations_per_10k(self) -> float:
        """False activations per 10,000 prompts; NaN without prompts."""
        return self.false_activations.value * 10_000

    def to_dict(self) -> dict[str, Any]:
        """All rates by name, and `false_activations_per_10k`."""
        rates = {name: getattr(self, name).to_dict() for name in self.__dataclass_fields__}
        per_10k = self.false_activations_per_10k if self.false_activations.count else None
        return {**rates, "false_activations_per_10k": per_10k}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LocalityFigures:
        """The figures that [`LocalityFigures.to_dict`] wrote."""
        return cls(**{name: Rate.from_dict(fields[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Miss:
    """One prompt that was not answered as it should be.

    Args:
        kind: Name of its set, see [`scen_hf.evaluation.probes`].
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
class GateScores:
    """How far the gates of the edit that fired, or came closest, were open.

    Args:
        score, threshold: Of the question.
        subject_score, subject_threshold: Of its subject; `None` for `method="paper"`, which has no such gate.
        fired: Whether an edit fired.
        right: Whether it is the edit that should.
    """

    score: float
    threshold: float
    subject_score: float | None
    subject_threshold: float | None
    fired: bool
    right: bool

    @classmethod
    def of(cls, probe: Probe, route: Route | None) -> GateScores | None:
        """The scores of one route; none where the model has no edits, or no routing."""
        if route is None or route.score is None or route.threshold is None:
            return None
        right = route.edit_id is not None and route.edit_id == probe.edit_id
        return cls(route.score, route.threshold, route.subject_score, route.subject_threshold, route.fired, right)

    @property
    def margin(self) -> float:
        """How much both thresholds can rise before the edit no longer fires; negative by how much they must fall."""
        margin = self.score - self.threshold
        if self.subject_score is not None and self.subject_threshold is not None:
            margin = min(margin, self.subject_score - self.subject_threshold)
        return margin


@dataclass(frozen=True)
class EvaluationReport:
    """What was measured.

    Args:
        targets: Figures of the sets that must be answered with their edit's target, by name.
        locality: Figures of the sets whose answers must stay, by name.
        perplexity: Perplexities by name of the text; empty where they were not measured.
        scores: Scores of every probe, by set; empty of a method without routing.
        skipped: Neighbours and locality prompts left out, because a loaded edit is meant to answer them.
        misses: The prompts behind every failure of exact match and of identity.
        settings: How it was measured.
    """

    targets: dict[str, TargetFigures]
    locality: dict[str, LocalityFigures]
    perplexity: dict[str, PerplexityFigures] = field(default_factory=dict)
    scores: dict[str, list[GateScores]] = field(default_factory=dict)
    skipped: int = 0
    misses: tuple[Miss, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def prompts(self) -> TargetFigures:
        """The edits' own prompts."""
        return self.targets["prompts"]

    @property
    def rephrases(self) -> TargetFigures:
        """Up to 3 rephrases of each."""
        return self.targets["rephrases"]

    @property
    def neighbours(self) -> LocalityFigures:
        """Prompts near the edits, as the edits list them."""
        return self.locality["neighbours"]

    @property
    def unrelated(self) -> LocalityFigures:
        """The locality prompts given."""
        return self.locality["unrelated"]

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
        """The whole report as JSON can hold it; the figures of each set under its name."""
        return {
            "reliability": self.reliability.to_dict(),
            "generality": self.generality.to_dict(),
            "edit_success": self.edit_success.to_dict(),
            **{name: figures.to_dict() for name, figures in self.targets.items()},
            **{name: figures.to_dict() for name, figures in self.locality.items()},
            "perplexity": {name: figures.to_dict() for name, figures in self.perplexity.items()},
            "skipped": self.skipped,
            "settings": self.settings,
            "misses": [asdict(miss) for miss in self.misses],
            "scores": {name: [asdict(scores) for scores in of_set] for name, of_set in self.scores.items()},
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> EvaluationReport:
        """The report that [`EvaluationReport.to_dict`] wrote."""
        return cls(
            {name: TargetFigures.from_dict(fields[name]) for name in TARGET_SETS if name in fields},
            {name: LocalityFigures.from_dict(fields[name]) for name in LOCALITY_SETS if name in fields},
            {name: PerplexityFigures.from_dict(figures) for name, figures in fields["perplexity"].items()},
            {name: [GateScores(**scores) for scores in of_set] for name, of_set in fields["scores"].items()},
            fields["skipped"],
            tuple(Miss(**miss) for miss in fields["misses"]),
            fields["settings"],
        )


def summarise(
    sets: Mapping[str, Sequence[Probe]],
    outcomes: Mapping[str, Sequence[Outcome]],
    settings: Mapping[str, Any] | None = None,
    *,
    perplexity: Mapping[str, PerplexityFigures] | None = None,
    skipped: int = 0,
) -> EvaluationReport:
    """The report on what [`measure`] found.

    Args:
        sets: The probes of [`prompt_sets`].
        outcomes: What came of them.
        settings: How it was measured. `attached_edits` among them is the number of edits that reports are compared by.
        perplexity: What [`measure_perplexity`] found.
        skipped: Prompts that were left out.
    """
    scores = {
        name: [found for p, o in zip(probes, outcomes[name], strict=True) if (found := GateScores.of(p, o.route))]
        for name, probes in sets.items()
    }
    return EvaluationReport(
        {name: TargetFigures.of(sets[name], outcomes[name]) for name in sets if name in TARGET_SETS},
        {name: LocalityFigures.of(sets[name], outcomes[name]) for name in sets if name in LOCALITY_SETS},
        dict(perplexity or {}),
        {name: of_set for name, of_set in scores.items() if of_set},
        skipped,
        tuple(miss for name, probes in sets.items() for miss in _misses(name, probes, outcomes[name])),
        dict(settings or {}),
    )


def _misses(name: str, probes: Sequence[Probe], outcomes: Sequence[Outcome]) -> Iterator[Miss]:
    for probe, outcome in zip(probes, outcomes, strict=True):
        fired, answer = _fired(outcome.route), outcome.answer or ""
        if probe.target is not None and not _is_right(probe, outcome):
            yield Miss(name, probe.prompt, probe.target, answer, probe.edit_id, fired)
        elif probe.target is None and not outcome.identical:
            yield Miss(name, probe.prompt, outcome.base_answer or "", answer, None, fired)


def _is_right(probe: Probe, outcome: Outcome) -> bool:
    return normalise_answer(outcome.answer or "") == normalise_answer(str(probe.target))


def _contains_target(probe: Probe, outcome: Outcome) -> bool:
    return normalise_answer(str(probe.target)) in normalise_answer(outcome.answer or "")


def _fired(route: Route | None) -> str | None:
    return route.edit_id if route is not None and route.fired else None

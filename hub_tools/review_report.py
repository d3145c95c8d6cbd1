"""What a review found: figures, reasons, and the comment for the pull request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..differences import PackDifference, shown
from ..evaluation import EvaluationReport, Rate
from .proposals import Proposal
from .verification import Check, VerificationReport


# What the Hub takes in one comment, and how much of it lists may fill.
_LONGEST_COMMENT, _MOST_ROWS, _MOST_REASONS = 65_000, 20, 50
_MARKUP = re.compile(r"([\\|`*_~<>\[\]&$#])")


class LostPrompt(NamedTuple):
    """A prompt of an edit that the proposal leaves alone, which does not reach it any more.

    Args:
        edit_id: The edit.
        prompt: Its prompt, or one of its rephrases.
        fired: The edit that fires instead; `None` if none does.
    """

    edit_id: str
    prompt: str
    fired: str | None


@dataclass(frozen=True)
class Measurement:
    """What a proposal was measured to do.

    Args:
        evaluation: Of the edits that it adds, changes or trains anew, of their neighbours, and of unrelated prompts.
        kept: Of the prompts and rephrases that reached their edit before, and whose edit it leaves alone: how many still do.
        lost: Those that do not.
    """

    evaluation: EvaluationReport
    kept: Rate
    lost: tuple[LostPrompt, ...]

    @property
    def rates(self) -> dict[str, Rate]:
        """The figures that the verdict stands on, by what they count."""
        return {
            "prompts answered with their target": self.evaluation.reliability,
            "rephrases answered with their target": self.evaluation.generality,
            "neighbours answered as by the base model": self.evaluation.neighbours.identical,
            "unrelated prompts answered as by the base model": self.evaluation.unrelated.identical,
            "prompts of other edits that reach them as before": self.kept,
        }

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "evaluation": self.evaluation.to_dict(),
            "kept": self.kept.to_dict(),
            "lost": [prompt._asdict() for prompt in self.lost],
        }


@dataclass(frozen=True)
class ReviewReport:
    """What [`review_proposal`] found.

    Args:
        proposal: What was reviewed.
        verification: Of the proposed version's files.
        difference: From the version that the proposal is based on; `None` if the proposed one cannot be read.
        measurement: Of the proposed version; `None` if it cannot be read.
        reasons: Why it should not be merged as it is; edits by their ids. None of them: it is ready.
        comment_url: Of the comment that was posted; `None` without one.
    """

    proposal: Proposal
    verification: VerificationReport
    difference: PackDifference | None
    measurement: Measurement | None
    reasons: tuple[str, ...]
    comment_url: str | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing speaks against merging."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """In a line."""
        return "ready to merge" if self.ready else f"needs changes: {'; '.join(self.reasons)}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "repo_id": self.proposal.repo_id,
            "pull_request": self.proposal.number,
            "commit": self.proposal.commit,
            "base_commit": self.proposal.base_commit,
            "ready": self.ready,
            "reasons": list(self.reasons),
            "difference": None if self.difference is None else self.difference.to_dict(),
            "verification": self.verification.to_dict(),
            "measurement": None if self.measurement is None else self.measurement.to_dict(),
            "comment_url": self.comment_url,
        }

    def to_markdown(self) -> str:
        """The report as a comment for the pull request; what it quotes is shown as it is and has no effect."""
        said = "nothing speaks against merging." if self.ready else "needs changes."
        parts = [
            f"### Review: {said}",
            f"Proposed `{self.proposal.commit[:12]}`, based on `{self.proposal.base_commit[:12]}` of "
            f"`{self.proposal.branch}`. Nothing of the proposal's code was run.",
        ]
        if self.reasons:
            more = len(self.reasons) - _MOST_REASONS
            parts.append("\n".join(f"- {_quoted(reason)}" for reason in self.reasons[:_MOST_REASONS]))
            parts += [f"and {more:,} more"] if more > 0 else []
        if self.measurement is not None:
            parts.append(_rates_table(self.measurement.rates))
        parts.append(f"#### Verification\n\n{_checks_list(self.verification.checks)}")
        text = "\n\n".join(parts)
        if self.difference is not None:
            difference = f"\n\n#### Difference\n\n{self.difference.to_markdown(_MOST_ROWS)}"
            text += difference if len(text + difference) < _LONGEST_COMMENT else f"\n\n{self.difference}."
        return f"{text.rstrip()}\n"


def _quoted(text: str) -> str:
    """Text that has no effect in Markdown, and calls nobody."""
    return _MARKUP.sub(r"\\\1", shown(text)).replace("@", "@\u2060")


def _checks_list(checks: Sequence[Check]) -> str:
    """The checks; of those that are fine the names alone, as they may tell of the reviewer's machine."""
    lines = [f"- {check.outcome} {check.name}: {_quoted(check.message)}" for check in checks if check.outcome != "ok"]
    fine = ", ".join(check.name for check in checks if check.outcome == "ok")
    return "\n".join([*lines, f"- ok: {fine}"])


def _rates_table(rates: dict[str, Rate]) -> str:
    lines = ["| measured | share | count | 95 % interval |", "| --- | ---: | ---: | --- |"]
    for label, rate in rates.items():
        if rate.count:
            low, high = rate.interval
            lines.append(
                f"| {label} | {rate.value:.1%} | {rate.successes:,} of {rate.count:,} | {low:.1%} to {high:.1%} |"
            )
    return "\n".join(lines)

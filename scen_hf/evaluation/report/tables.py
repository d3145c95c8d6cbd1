"""The tables of a report, as rows of text that Markdown, HTML and a terminal can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..figures import EvaluationReport, LocalityFigures, Miss, TargetFigures
from ..perplexity import TITLES as TEXT_TITLES
from ..perplexity import Perplexity
from ..probes import LOCALITY_SETS, TARGET_SETS, TITLES
from ..rates import Rate


# Enough of each set to see what goes wrong; all of them are in the JSON file.
_MOST_MISSES = 20


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: Its heading.
        note: What one must know to read it.
        header: Names of the columns; the first column holds the names of the rows.
        rows: Cells as texts.
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def share(rate: Rate) -> str:
    """`98.3% (59 of 60; 91.1% to 99.7%)`; a dash of a count of 0."""
    if not rate.count:
        return "–"
    low, high = rate.interval
    return f"{rate.value:.1%} ({rate.successes:,} of {rate.count:,}; {low:.1%} to {high:.1%})"


def report_tables(report: EvaluationReport) -> list[Table]:
    """The tables of one report, without those that would be empty."""
    tables = [_target_table(report), _locality_table(report), perplexity_table(report)]
    return [table for table in tables if table.rows]


def miss_tables(report: EvaluationReport) -> list[Table]:
    """What was not answered as it should be, one table for each set."""
    tables = []
    for name, title in TITLES.items():
        misses = [miss for miss in report.misses if miss.kind == name]
        if misses:
            rest = f" The first {_MOST_MISSES} of them." if len(misses) > _MOST_MISSES else ""
            expected = "Target" if name in TARGET_SETS else "Base model's answer"
            rows = tuple(_miss_row(miss) for miss in misses[:_MOST_MISSES])
            note = f"{len(misses):,} not answered as they should be.{rest}"
            tables.append(Table(title, note, ("Prompt", expected, "Answer", "Edit that fired"), rows))
    return tables


def size_table(reports: Sequence[EvaluationReport]) -> Table:
    """Every share against the number of edits attached."""
    names = [name for name in TITLES if any(main_rate(report, name).count for report in reports)]
    rows = tuple((TITLES[name], *(share(main_rate(report, name)) for report in reports)) for name in names)
    header = ("Answered as it should be", *map(_edits, reports))
    return Table("By number of edits", "Share, count and 95 % interval.", header, rows)


def edit_count(report: EvaluationReport) -> int:
    """How many edits were attached to the model; 0 where the settings do not tell."""
    return int(report.settings.get("attached_edits", 0))


def _edits(report: EvaluationReport) -> str:
    count = edit_count(report)
    return "1 edit" if count == 1 else f"{count:,} edits"


def main_rate(report: EvaluationReport, name: str) -> Rate:
    """What says most of a set: answers that are the target, or the base model's."""
    if name in report.targets:
        return report.targets[name].exact_match
    return report.locality[name].identical if name in report.locality else Rate(0, 0)


def _target_table(report: EvaluationReport) -> Table:
    def row(title: str, figures: TargetFigures) -> tuple[str, ...]:
        rates = (figures.exact_match, figures.token_success, figures.right_edit, figures.wrong_edit)
        return title, *map(share, rates)

    return Table(
        "Edits",
        "Prompts that must be answered with their edit's target. Share, count and 95 % interval.",
        (
            "Prompts",
            "Answer is the target",
            "Target tokens that are the likeliest",
            "Right edit fired",
            "Wrong edit fired",
        ),
        tuple(
            row(title, report.targets[name])
            for name, title in TARGET_SETS.items()
            if name in report.targets and report.targets[name].exact_match.count
        ),
    )


def _locality_table(report: EvaluationReport) -> Table:
    def row(title: str, figures: LocalityFigures) -> tuple[str, ...]:
        rates = (figures.identical, figures.bit_identical, figures.false_activations)
        truths = (figures.correct_before, figures.correct_after)
        return title, *map(share, rates), f"{figures.false_activations_per_10k:,.0f}", *map(share, truths)

    return Table(
        "Locality",
        "Prompts that must be answered as by the base model. Share, count and 95 % interval.",
        (
            "Prompts",
            "Answer is the base model's",
            "Logits are, bit for bit",
            "An edit fired",
            "Per 10,000",
            "Right before",
            "Right after",
        ),
        tuple(
            row(title, report.locality[name])
            for name, title in LOCALITY_SETS.items()
            if name in report.locality and report.locality[name].identical.count
        ),
    )


def perplexity_table(report: EvaluationReport) -> Table:
    """Perplexities of a report, a row for each kind of text."""
    return Table(
        "Perplexity",
        "Geometric mean over the texts with its 95 % interval, and arithmetic mean as in the literature. The route is decided "
        "on the text before what is scored.",
        (
            "Text",
            "With the edits",
            "Base model",
            "As likely, to the last bit",
            "An edit fired",
            "The right edit fired",
        ),
        tuple(
            (
                TEXT_TITLES.get(name, name),
                _perplexity(figures.edited),
                _perplexity(figures.base),
                *map(share, (figures.unchanged, figures.fired, figures.right_edit)),
            )
            for name, figures in report.perplexity.items()
        ),
    )


def _perplexity(figures: Perplexity) -> str:
    interval = "" if figures.low is None else f", {figures.low:.3g} to {figures.high:.3g}"
    return f"{figures.geometric_mean:.3g} ({figures.texts:,} texts{interval}); mean {figures.mean:.3g}"


def _miss_row(miss: Miss) -> tuple[str, ...]:
    return miss.prompt, _cut(miss.expected), _cut(miss.answer), miss.fired or "none"


def _cut(text: str) -> str:
    """One line of a long text."""
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:159]}…"

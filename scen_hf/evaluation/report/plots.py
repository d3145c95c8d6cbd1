"""The plots of a report, as SVG. They need matplotlib, the extra `plots`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import EditError
from ..figures import EvaluationReport, GateScores
from ..probes import LOCALITY_SETS, TARGET_SETS, TITLES
from .tables import edit_count, main_rate
from .trade_off import trade_off


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# The colours of Okabe and Ito, which the colour-blind can tell apart.
_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#F0E442", "#000000")
_OTHER_WORDS = ("rephrases", "completions")


@dataclass(frozen=True)
class Plot:
    """A plot.

    Args:
        name: File name without its ending.
        title: Its heading.
        note: How to read it.
        svg: The picture.
    """

    name: str
    title: str
    note: str
    svg: str


def require_matplotlib() -> None:
    """Fail before time is spent on figures that then cannot be drawn.

    Raises:
        EditError: If matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise EditError('A report with plots needs matplotlib: pip install "scen_hf[plots]".') from None


def score_plot(report: EvaluationReport) -> Plot | None:
    """How far the gates are open, for edits, rephrases and prompts about no edit; `None` without scores."""
    groups = _groups(report)
    if not groups:
        return None
    gated = any(scores.subject_score is not None for of_group in groups.values() for scores in of_group)

    def draw(figure: Figure) -> None:
        panels: list[Axes] = list(figure.subplots(1, 2 if gated else 1, squeeze=False)[0])
        _distributions(panels[0], groups, lambda scores: scores.score - scores.threshold)
        if gated:
            panels[0].set_title("What is asked", fontsize="medium")
            panels[1].set_title("About whom", fontsize="medium")
            _distributions(panels[1], groups, _subject_distance)
        panels[0].set_ylabel("share of the prompts with at most that score")
        panels[-1].legend(frameon=False, fontsize="small")

    note = "Score of the edit that fired, or came closest, above its threshold. It fires to the right of the line" + (
        " in both gates." if gated else "."
    )
    return Plot("scores", "Scores", note, _svg(draw, (9 if gated else 6, 4)))


def trade_off_plot(report: EvaluationReport) -> Plot | None:
    """Generality against false activations as both thresholds move; `None` without rephrases or without negatives."""
    positives = _joined(report, _OTHER_WORDS)
    negatives = {name: report.scores[name] for name in LOCALITY_SETS if report.scores.get(name)}
    if not positives or not negatives:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for (name, scores), colour in zip(negatives.items(), _COLOURS, strict=False):
            points = trade_off(positives, scores)
            false = [10_000 * point.false.value for point in points]
            right = [point.right.value for point in points]
            axes.plot(false, right, drawstyle="steps-post", color=colour, label=TITLES[name])
            now = [point.shift for point in points].index(0)
            axes.plot(false[now], right[now], "o", color=colour, clip_on=False, zorder=3)
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(0, 10_000)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("false activations per 10,000 prompts")
        axes.set_ylabel("rephrases and completions that fire")
        _legend_below(axes)
        axes.grid(alpha=0.3)

    note = "The right edit fires for other wordings, as both thresholds move together. The dots are the thresholds as they are."
    return Plot("trade-off", "Generality against false activations", note, _svg(draw, (6.5, 5)))


def size_plot(reports: Sequence[EvaluationReport]) -> Plot | None:
    """Each share against the number of edits; `None` of fewer than two sizes."""
    if len({edit_count(report) for report in reports}) < 2:
        return None

    def draw(figure: Figure) -> None:
        targets, locality = figure.subplots(1, 2, sharey=True)
        _rates_by_size(targets, reports, TARGET_SETS)
        _rates_by_size(locality, reports, LOCALITY_SETS)
        targets.set_ylabel("share")
        targets.set_title("Answered with the target", fontsize="medium")
        locality.set_title("Answered as by the base model", fontsize="medium")

    return Plot("sizes", "By number of edits", "With 95 % intervals.", _svg(draw, (9, 5)))


def _rates_by_size(axes: Axes, reports: Sequence[EvaluationReport], names: Iterable[str]) -> None:
    for name, colour in zip(names, _COLOURS, strict=False):
        points = [(edit_count(report), rate) for report in reports if (rate := main_rate(report, name)).count]
        if points:
            values = [rate.value for _, rate in points]
            below = [rate.value - rate.interval[0] for _, rate in points]
            above = [rate.interval[1] - rate.value for _, rate in points]
            counts = [count for count, _ in points]
            axes.errorbar(counts, values, (below, above), marker="o", capsize=3, color=colour, label=TITLES[name])
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("edits attached")
    axes.grid(alpha=0.3)
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.15))


def _groups(report: EvaluationReport) -> dict[str, list[GateScores]]:
    """Scores by what their prompts have in common."""
    groups = {
        "Edit prompts": _joined(report, ["prompts"]),
        "Rephrases and completions": _joined(report, _OTHER_WORDS),
        "Prompts near the edits": _joined(report, [name for name in LOCALITY_SETS if name != "unrelated"]),
        "Unrelated prompts": _joined(report, ["unrelated"]),
    }
    return {title: scores for title, scores in groups.items() if scores}


def _joined(report: EvaluationReport, names: Iterable[str]) -> list[GateScores]:
    return [scores for name in names for scores in report.scores.get(name, ())]


def _subject_distance(scores: GateScores) -> float:
    if scores.subject_score is None or scores.subject_threshold is None:
        return math.nan
    return scores.subject_score - scores.subject_threshold


def _distributions(axes: Axes, groups: dict[str, list[GateScores]], distance: Callable[[GateScores], float]) -> None:
    for (name, of_group), colour in zip(groups.items(), _COLOURS, strict=False):
        values = [value for scores in of_group if math.isfinite(value := distance(scores))]
        if values:
            axes.ecdf(values, color=colour, label=name)
    axes.axvline(0, color="#666666", linewidth=0.8)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("score above the threshold")
    axes.grid(alpha=0.3)


def _svg(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    # Letters stay letters, and the same figures give the same file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "scen_hf"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    # Without the XML head, so that it can stand in HTML.
    text = buffer.getvalue()
    return text[text.index("<svg") :]

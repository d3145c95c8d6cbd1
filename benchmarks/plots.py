"""The plots of docs/benchmarks.md, drawn from figures and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scen_hf.evaluation import Rate


# The colours of Okabe and Ito, which the colour-blind can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
MARKERS = "osD^vPX"


def save(draw: Callable[[Figure], None], size: tuple[float, float], path: Path) -> None:
    """Draw a figure of this size in inches to an SVG file. The same figures give the same file."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "scen_hf"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def dots(rates: Mapping[str, Mapping[str, Rate]]) -> Callable[[Figure], None]:
    """One panel per measure, one row per method, each share with its interval.

    Args:
        rates: By measure, then by method.
    """

    def draw(figure: Figure) -> None:
        methods = list(dict.fromkeys(method for of_measure in rates.values() for method in of_measure))
        panels: Sequence[Axes] = figure.subplots(1, len(rates), sharey=True, squeeze=False)[0]
        for axes, (measure, of_measure) in zip(panels, rates.items(), strict=True):
            for row, method in enumerate(methods):
                if method in of_measure:
                    _bar(axes, of_measure[method], row, COLOURS[row % len(COLOURS)])
            axes.set_title(fill(measure, 16), fontsize="medium")
            axes.set_xlim(-0.03, 1.03)
            axes.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(range(len(methods)), methods)
        panels[0].invert_yaxis()

    return draw


def _bar(axes: Axes, rate: Rate, row: int, colour: str) -> None:
    low, high = rate.interval
    axes.errorbar(
        rate.value,
        row,
        xerr=([rate.value - low], [high - rate.value]),
        fmt="o",
        capsize=3,
        color=colour,
        clip_on=False,
    )


def curves(lines: Mapping[str, Mapping[str, Sequence[tuple[float, Rate]]]], across: str) -> Callable[[Figure], None]:
    """One panel per group of lines, each a share against a count on a logarithmic axis, with intervals.

    Args:
        lines: By panel, then by line, the points.
        across: What is counted.
    """

    def draw(figure: Figure) -> None:
        panels: Sequence[Axes] = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
        for axes, (panel, of_panel) in zip(panels, lines.items(), strict=True):
            for number, (name, points) in enumerate(of_panel.items()):
                values = [rate.value for _, rate in points]
                below = [rate.value - rate.interval[0] for _, rate in points]
                above = [rate.interval[1] - rate.value for _, rate in points]
                axes.errorbar(
                    [count for count, _ in points],
                    values,
                    (below, above),
                    marker=MARKERS[number % len(MARKERS)],
                    capsize=3,
                    color=COLOURS[number % len(COLOURS)],
                    label=name,
                )
            axes.set_xscale("log")
            axes.set_ylim(-0.03, 1.03)
            axes.set_title(panel, fontsize="medium")
            axes.set_xlabel(across)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18))

    return draw


def trade_offs(lines: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Callable[[Figure], None]:
    """Rephrases for which the right edit fires against prompts for which one fires that should not, as thresholds move.

    Args:
        lines: By the kind of prompts, one panel each, then by method, what `quality.py` keeps of a trade-off.
    """

    def draw(figure: Figure) -> None:
        panels: Sequence[Axes] = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
        for axes, (kind, methods) in zip(panels, lines.items(), strict=True):
            for number, (name, of) in enumerate(methods.items()):
                colour = COLOURS[number % len(COLOURS)]
                [[now_right, now_false], *points] = [
                    (right / of["rephrases"], 10_000 * false / of["count"])
                    for right, false in [of["now"], *of["points"]]
                ]
                axes.plot(
                    [false for _, false in points],
                    [right for right, _ in points],
                    drawstyle="steps-post",
                    color=colour,
                    label=name,
                )
                axes.plot(now_false, now_right, "o", color=colour, clip_on=False, zorder=3)
            axes.set_xscale("symlog", linthresh=10)
            axes.set_xlim(0, 10_000)
            axes.set_ylim(0, 1.02)
            axes.set_title(f"{kind} prompts", fontsize="medium")
            axes.set_xlabel("false activations per 10,000")
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("rephrases for which the right edit fires")
        panels[0].legend(frameon=False, fontsize="small", loc="lower right")

    return draw

"""Reports to read: tables and plots of what was measured, as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..figures import EvaluationReport
from ..writing import write_whole
from .pages import html_page, markdown_page
from .plots import Plot, require_matplotlib, score_plot, size_plot, trade_off_plot
from .tables import Table, edit_count, miss_tables, perplexity_table, report_tables, size_table
from .trade_off import TradeOffPoint, trade_off


_SETTINGS = {
    "edits": "Edits measured",
    "attached_edits": "Edits attached",
    "max_new_tokens": "New tokens, at most",
    "num_beams": "Beams",
    "repetition_penalty": "Repetition penalty",
    "hard": "Hard sets",
    "batch_size": "Prompts in a batch",
    "dtype": "Number format",
    "device": "Device",
    "seconds": "Seconds of the run that ended it",
}


def write_report(
    reports: EvaluationReport | Sequence[EvaluationReport],
    folder: str | Path,
    *,
    title: str = "Evaluation",
    about: Mapping[str, object] | None = None,
) -> Path:
    """Write a report to read: `report.md` with its plots as `*.svg` beside it, and `report.html`, which needs nothing else.

    Args:
        reports: What was measured; several of runs with different numbers of edits, of which the last one with the most edits
            is shown in full and all are compared.
        folder: Where to write; made if it is not there. Files of an earlier report are replaced.
        title: Heading.
        about: What was measured, by name; the settings are added.

    Returns:
        The path of `report.html`.

    Raises:
        EditError: If matplotlib is not installed.
    """
    require_matplotlib()
    ordered = sorted([reports] if isinstance(reports, EvaluationReport) else reports, key=edit_count)
    largest = ordered[-1]
    tables = report_tables(largest)
    if size_plot_of := size_plot(ordered):
        tables.append(size_table(ordered))
    plots = [plot for plot in (score_plot(largest), trade_off_plot(largest), size_plot_of) if plot is not None]
    shown = {name: str(value) for name, value in {**(about or {}), **_settings(largest)}.items()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        write_whole(folder / f"{plot.name}.svg", plot.svg)
    write_whole(folder / "report.md", markdown_page(title, shown, tables, plots, miss_tables(largest)))
    write_whole(folder / "report.html", html_page(title, shown, tables, plots, miss_tables(largest)))
    return folder / "report.html"


def _settings(report: EvaluationReport) -> dict[str, object]:
    """The settings in words, and what was left out."""
    settings = {_SETTINGS.get(name, name): value for name, value in report.settings.items()}
    if report.skipped:
        settings["Prompts left out, which an edit is meant to answer"] = report.skipped
    return settings


__all__ = [
    "Plot",
    "Table",
    "TradeOffPoint",
    "miss_tables",
    "perplexity_table",
    "report_tables",
    "require_matplotlib",
    "score_plot",
    "size_plot",
    "size_table",
    "trade_off",
    "trade_off_plot",
    "write_report",
]

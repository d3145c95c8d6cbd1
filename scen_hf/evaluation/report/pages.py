"""The pages of a report: the same tables and plots as Markdown and as HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from .plots import Plot
from .tables import Table


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; font-size: 0.875rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.8rem 0.3rem 0; border-bottom: 1px solid #ddd; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
"""


def markdown_page(
    title: str, about: Mapping[str, str], tables: Sequence[Table], plots: Sequence[Plot], misses: Sequence[Table]
) -> str:
    """The report as Markdown; the plots stand in files of their own beside it, `NAME.svg`."""
    parts = [f"# {_plain(title)}", "", *(f"- {_plain(name)}: {_plain(value)}" for name, value in about.items()), ""]
    for table in tables:
        parts += [f"## {table.title}", "", table.note, "", *_markdown_rows(table), ""]
    for plot in plots:
        parts += [f"## {plot.title}", "", plot.note, "", f"![{plot.title}]({plot.name}.svg)", ""]
    if misses:
        parts += ["## Not answered as they should be", ""]
    for table in misses:
        parts += [f"### {table.title}", "", table.note, "", *_markdown_rows(table), ""]
    return "\n".join(parts)


def html_page(
    title: str, about: Mapping[str, str], tables: Sequence[Table], plots: Sequence[Plot], misses: Sequence[Table]
) -> str:
    """The report as one HTML file, the plots inside."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        "<ul>",
        *(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in about.items()),
        "</ul>",
        *(_html_section(table, "h2") for table in tables),
        *(
            f"<h2>{escape(plot.title)}</h2>\n<p>{escape(plot.note)}</p>\n"
            f'<figure role="img" aria-label="{escape(plot.title)}">{plot.svg}</figure>'
            for plot in plots
        ),
        "<h2>Not answered as they should be</h2>" if misses else "",
        *(_html_section(table, "h3") for table in misses),
        "</body></html>",
        "",
    ]
    return "\n".join(parts)


def _html_section(table: Table, level: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return (
        f"<{level}>{escape(table.title)}</{level}>\n<p>{escape(table.note)}</p>\n"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _markdown_rows(table: Table) -> list[str]:
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    return ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text of a model or a user that Markdown shows as it is."""
    line = " ".join(text.split())
    for character in "\\`*_<>[]#":
        line = line.replace(character, f"\\{character}")
    return line

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from scen_hf import EditError
from scen_hf.evaluation import (
    EvaluationReport,
    GateScores,
    LocalityFigures,
    Miss,
    Perplexity,
    PerplexityFigures,
    Rate,
    TargetFigures,
    write_report,
)
from scen_hf.evaluation.report import trade_off


NONE = Rate(0, 0)


def targets(right, count):
    return TargetFigures(Rate(right, count), NONE, Rate(right, count), NONE, Rate(count - right, count))


def locality(changed, count):
    kept = Rate(count - changed, count)
    return LocalityFigures(kept, kept, Rate(changed, count), NONE, NONE)


def scores(*margins, right=True, subject=0.9):
    return [GateScores(0.5 + m, 0.5, subject, 0.6, m > 0 and subject > 0.6, right) for m in margins]


def report(edits=10, misses=()):
    return EvaluationReport(
        {"prompts": targets(10, 10), "rephrases": targets(8, 10), "completions": targets(0, 0)},
        {"neighbours": locality(0, 0), "unrelated": locality(1, 200)},
        {
            "web": PerplexityFigures(
                Perplexity(9.5, 8, 7, 9, 3, 60), Perplexity(9, 8, None, None, 3, 60), *3 * [Rate(1, 3)]
            )
        },
        {"prompts": scores(0.4, 0.4), "rephrases": scores(0.2, -0.1), "unrelated": scores(-0.3, 0.1, right=False)},
        1,
        tuple(misses),
        {"edits": edits, "attached_edits": edits, "num_beams": 4},
    )


class Page(HTMLParser):
    """Texts, tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_data(self, data):
        self.words.append(data)


def written(folder, *args, **kwargs):
    page = write_report(*args, folder, **kwargs)
    assert page == folder / "report.html"
    return Page(page.read_text(encoding="utf-8")), (folder / "report.md").read_text(encoding="utf-8")


def test_both_pages_say_the_same(tmp_path):
    html, markdown = written(tmp_path / "new", report(), title="Facts", about={"Pack": "owner/facts"})
    for expected in (
        "Facts",
        "Pack: owner/facts",
        "Beams: 4",
        "80.0% (8 of 10; 49.0% to 94.3%)",
        "99.5% (199 of 200; 97.2% to 99.9%)",
        "50",
        "8 (3 texts, 7 to 9); mean 9.5",
        "Web text",
        "Prompts left out, which an edit is meant to answer: 1",
    ):
        assert expected in html.words
        assert expected in markdown
    # What was not asked is not shown.
    assert "Completions" not in markdown.replace("Rephrases and completions", "")
    assert "Neighbours" not in markdown


def test_the_page_needs_nothing_else(tmp_path):
    html, _ = written(tmp_path, report())
    assert html.tags.count("svg") == 2
    # References within the plots, and nothing beyond.
    assert [link for link in html.links if not link.startswith("#")] == []


def test_markdown_shows_the_plots_beside_it(tmp_path):
    _, markdown = written(tmp_path, report())
    plots = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert plots == ["scores.svg", "trade-off.svg"]
    for name in plots:
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")
    assert {path.name for path in tmp_path.iterdir()} == {*plots, "report.md", "report.html"}


def test_the_same_figures_give_the_same_files(tmp_path):
    write_report(report(), tmp_path / "one")
    write_report(report(), tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_sizes_are_compared(tmp_path):
    small = replace(report(edits=1), targets={"prompts": targets(1, 1), "rephrases": targets(1, 1)})
    _, markdown = written(tmp_path, [report(edits=10), small])
    assert "| Answered as it should be | 1 edit | 10 edits |" in markdown
    assert "| Rephrases | 100.0% (1 of 1; 20.7% to 100.0%) | 80.0% (8 of 10; 49.0% to 94.3%) |" in markdown
    assert (tmp_path / "sizes.svg").exists()
    assert "Edits attached: 10" in markdown


def test_words_of_models_are_shown_as_they_are(tmp_path):
    miss = Miss("unrelated", "a | b\n# c", "<b>bold</b>", "<script>alert(1)</script> *x* [y](z)", None, "edit_1")
    html, markdown = written(tmp_path, report(misses=[miss]))
    assert "script" not in html.tags
    assert "<script>alert(1)</script> *x* [y](z)" in html.words
    assert r"| a \| b \# c | \<b\>bold\</b\> | \<script\>alert(1)\</script\> \*x\* \[y\](z) | edit\_1 |" in markdown


def test_misses_are_cut(tmp_path):
    misses = [Miss("rephrases", f"Question {n}?", "x", "y" * 500, "a", None) for n in range(50)]
    _, markdown = written(tmp_path, report(misses=misses))
    assert "50 not answered as they should be. The first 20 of them." in markdown
    assert markdown.count("Question ") == 20
    assert "y" * 200 not in markdown


def test_without_scores_there_are_no_plots_of_them(tmp_path):
    _, markdown = written(tmp_path, replace(report(), scores={}, perplexity={}))
    assert "svg" not in markdown
    assert "Perplexity" not in markdown


def test_the_papers_router_has_one_gate(tmp_path):
    one = {
        name: [replace(s, subject_score=None, subject_threshold=None) for s in of]
        for name, of in report().scores.items()
    }
    html, _ = written(tmp_path, replace(report(), scores=one))
    assert "About whom" not in html.words
    assert html.tags.count("svg") == 2


def test_missing_matplotlib_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EditError, match=r'pip install "scen_hf\[plots\]"'):
        write_report(report(), tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------------- trade-off


def test_trade_off_follows_both_thresholds():
    positives = scores(0.3, 0.1, -0.2) + scores(0.4, right=False)
    negatives = scores(0.2, -0.1, right=False)
    points = {round(point.shift, 6): (point.right, point.false) for point in trade_off(positives, negatives)}
    assert points[0.0] == (Rate(2, 4), Rate(1, 2))
    # Raised, the false activation goes first, then an edit; lowered, all others come in.
    assert points[0.2] == (Rate(1, 4), Rate(0, 2))
    assert points[-0.1] == (Rate(2, 4), Rate(1, 2))
    assert points[-0.2] == (Rate(2, 4), Rate(2, 2))
    assert list(points) == sorted(points, reverse=True)


def test_the_lower_gate_decides():
    (closed,) = scores(0.3, subject=0.5)
    assert closed.margin == pytest.approx(-0.1)
    points = trade_off([closed], scores(-0.2, right=False))
    assert [(p.right.successes, p.false.successes) for p in points] == [(0, 0), (0, 0), (1, 0)]


def test_at_the_present_thresholds_what_was_measured_holds():
    # Both gates seem open, but something else kept the edit from firing, or let it fire.
    held = GateScores(0.9, 0.5, None, None, False, True)
    fired = GateScores(0.4, 0.5, None, None, True, True)
    (now,) = (point for point in trade_off([held, fired], []) if point.shift == 0)
    assert now.right == Rate(1, 2)


def test_trade_off_of_many_stays_small():
    points = trade_off(scores(*(n / 5000 for n in range(-2500, 2500))), scores(-0.4, right=False))
    assert len(points) <= 300
    assert 0.0 in [point.shift for point in points]

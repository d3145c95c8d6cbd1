import json
import sys

import pytest
from helpers import FRANCE
from typer.testing import CliRunner

from scen_hf.cli import app
from scen_hf.evaluation import EvaluationReport, Rate


def run(*args):
    """Exit code and all output of a command run in this process."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="scen")
    return result.exit_code, result.output


@pytest.fixture
def no_model(monkeypatch):
    """Mistakes must be found before a model is loaded."""

    def refuse(*args, **kwargs):
        pytest.fail("a model was loaded")

    monkeypatch.setattr("scen_hf.SCENLlamaForCausalLM.from_pretrained", refuse)


@pytest.mark.slow
def test_everything_of_one_edit(sample_pack, tmp_path):
    questions, accurate, web = (tmp_path / name for name in ("questions.txt", "accurate.jsonl", "web.jsonl"))
    questions.write_text(FRANCE)
    accurate.write_text(
        '{"text": "Bread is an old food.", "labels": "It is baked from flour and water.", "concept": "bread"}'
    )
    web.write_text(json.dumps({"text": "The sea was calm that day . " * 40}))
    files = ("--report", tmp_path / "report", "--json", tmp_path / "report.json", "--resume", tmp_path / "work.jsonl")
    command = (
        "eval",
        sample_pack,
        "--limit",
        1,
        "--hard",
        "--locality",
        questions,
        "--accurate",
        accurate,
        "--web",
        web,
        *files,
    )
    code, printed = run(*command)
    assert code == 0, printed
    for expected in (
        "reliability (exact match)",
        "Edit prompts in a later turn",
        "Same question, unedited subject",
        "False activations per 10,000 prompts, generic question, edited subject: 0.",
        "Accurate sentences",
        "Web text",
    ):
        assert expected in printed
    stored = json.loads((tmp_path / "report.json").read_text())
    assert (stored["pack"], stored["locality"], stored["web"]) == (str(sample_pack), str(questions), str(web))
    report = EvaluationReport.from_dict(stored)
    assert report.targets["prompts_system"].right_edit == Rate(1, 1)
    assert report.locality["other_subject"].bit_identical == Rate(1, 1)
    assert report.locality["generic_questions"].identical.count == 3
    assert report.perplexity["web"].unchanged == Rate(1, 1)
    assert len(report.scores["generic_questions"]) == 3
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Evaluation of sample" in page
    assert str(questions) in page
    # All of it is known, so nothing is measured again.
    before = (tmp_path / "work.jsonl").read_bytes()
    code, printed = run(*command)
    assert code == 0, printed
    assert (tmp_path / "work.jsonl").read_bytes() == before
    again = EvaluationReport.from_dict(json.loads((tmp_path / "report.json").read_text()))
    assert (again.targets, again.locality, again.perplexity) == (report.targets, report.locality, report.perplexity)


@pytest.mark.parametrize("option", ["--json", "--resume", "--report"])
def test_places_that_cannot_be_written(tiny_pack_folder, tmp_path, no_model, option):
    (tmp_path / "file").write_text("")
    taken = tmp_path / "file" if option == "--report" else tmp_path
    for place in (taken, tmp_path / "missing" / "new"):
        code, printed = run("eval", tiny_pack_folder, option, place)
        assert code == 2
        assert "check its" in printed


def test_mistakes_show_before_the_model_is_loaded(tiny_pack_folder, tmp_path, no_model, monkeypatch):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    for option, message in (
        ("--resume", "line 1: not a line of an evaluation's work file"),
        ("--web", 'line 1: "text", a text that is not empty, is expected'),
        ("--accurate", "line 1"),
        ("--locality", 'line 1: "prompt", a text that is not empty, is expected'),
    ):
        code, printed = run("eval", tiny_pack_folder, option, tmp_path / "bad.jsonl")
        assert code == 1
        assert message in printed
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, printed = run("eval", tiny_pack_folder, "--report", tmp_path / "report")
    assert code == 1
    assert "needs matplotlib" in printed

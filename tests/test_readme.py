"""What the README tells a reader to type works, and what it links to is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scen_hf import EditPack, load_edits
from scen_hf.cli import app


ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
# Blocks that nobody runs.
TEXT = {"bibtex"}
SET_UPS = ["./first-run.sh", "./run-tests.sh"]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands():
    lines = "".join(blocks("console")).splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def test_every_block_is_of_a_kind_that_is_run():
    assert set(re.findall(r"^```(\w*)$", README, re.MULTILINE)) - {""} == {"console", "json", "python"} | TEXT


def test_two_commands_are_what_the_continuous_integration_runs():
    assert [command for command in commands() if not command.startswith("scen ")] == SET_UPS
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [line.split()[0] for line in lines if line.startswith("./")] == SET_UPS


@pytest.mark.slow
def test_commands(base_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (edits,) = blocks("json")
    Path("edits.jsonl").write_text(edits, encoding="utf-8")
    outputs = {}
    for command in commands():
        program, *arguments = shlex.split(command)
        if program == "scen":
            result = CliRunner().invoke(app, arguments, prog_name="scen")
            assert result.exit_code == 0, (command, result.stdout, result.stderr)
            outputs[arguments[0]] = result.stdout
    assert list(outputs) == ["train", "try", "eval", "inspect", "remove"]
    assert "Ngerulmud" in outputs["try"]
    assert "Paris" in outputs["try"]
    assert Path("report.json").is_file()
    first, _ = load_edits("edits.jsonl")
    assert EditPack.from_pretrained("facts").edits == [first]


@pytest.mark.slow
def test_python_blocks(base_folder, tmp_path):
    printed = []
    for block in blocks("python"):
        # A process each: the second must know nothing of what the first imported.
        run = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout.strip())
    ours, plain = printed
    assert re.fullmatch(r"True \d\.\d+ Ngerulmud", ours)
    assert plain == "Ngerulmud"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links(document):
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"(?<!\w)\[[^\]]+\]\(([^)]+)\)", text) if not link.startswith("https://")]
    missing = [link for link in links if not (document.parent / link.partition("#")[0]).exists()]
    assert not missing

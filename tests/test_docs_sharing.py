"""What docs/sharing.md tells a reader to type works, in its order, against a Hub that is started as it says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from scen_hf import EditPack
from scen_hf.hub_tools.local_hub.server import DEFAULT_PORT


ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "sharing.md").read_text(encoding="utf-8")
TIMEOUT = 900
# Runs one command of scen after the other, as the command line does, without importing everything anew each time.
ONE_AFTER_THE_OTHER = """
import json, os, sys
from typer.testing import CliRunner
from scen_hf.cli import app

answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    request = json.loads(line)
    os.environ.update(request["env"])
    result = CliRunner().invoke(app, request["arguments"], prog_name="scen")
    print(json.dumps([result.exit_code, result.stdout, result.stderr]), file=answers, flush=True)
"""


def steps():
    """All blocks, in order: what kind each is of, its lines, and the file that the text in front of it names last."""
    for block in re.finditer(r"^```(\w+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE):
        files = re.findall(r"`([\w-]+\.jsonl)`", GUIDE[: block.start()])
        yield block[1], block[2], files[-1] if files else None


class Terminal:
    """Where a reader types: a folder, and an environment that `export` changes."""

    def __init__(self, folder):
        self.folder = folder
        inherited = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        own = {"HF_HUB_CACHE": str(folder / "cache"), "HF_MODULES_CACHE": str(folder / "modules"), "COLUMNS": "120"}
        self.env = {**inherited, **own}
        self.exported = {}
        self.hub = self.scen = None
        self.printed = {}

    def close(self):
        for process in filter(None, (self.scen, self.hub)):
            process.terminate()
            process.communicate()

    def type(self, command):
        words = shlex.split(command)
        given = {}
        while words and "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            given[name] = value
        program, *arguments = words
        if program == "export":
            self.exported |= dict(word.split("=", 1) for word in arguments)
            self.exported["HF_ENDPOINT"] = self.endpoint
        elif arguments[:2] == ["hub", "serve"]:
            self.serve(arguments)
        elif program == "scen":
            self.printed.setdefault(arguments[0], []).append(self.run_scen(command, arguments))
        else:
            programs = {"hf": [str(Path(sys.executable).parent / "hf")], "python": [sys.executable]}
            self.printed.setdefault(program, []).append(self.run([*programs[program], *arguments], **given))

    def serve(self, arguments):
        command = [sys.executable, "-c", "from scen_hf.cli import main; main()", *arguments, "--port", "0"]
        self.hub = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, text=True)
        (self.endpoint,) = re.findall(r"http://\S+", self.hub.stdout.readline())

    def run_scen(self, command, arguments):
        if self.scen is None:
            self.scen = subprocess.Popen(
                [sys.executable, "-c", ONE_AFTER_THE_OTHER],
                cwd=self.folder,
                env={**self.env, **self.exported},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        print(json.dumps({"arguments": arguments, "env": self.exported}), file=self.scen.stdin, flush=True)
        code, stdout, stderr = json.loads(self.scen.stdout.readline())
        assert code == 0, f"{command}\n{stdout}{stderr}"
        assert "secret-of-" not in stdout + stderr
        return stdout

    def run(self, command, **given):
        env = {**self.env, **self.exported, **given}
        run = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
        return run.stdout


@pytest.fixture
def terminal(tmp_path):
    # For what is typed with a path of the project.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


def test_the_port_is_the_default():
    assert f"HF_ENDPOINT=http://127.0.0.1:{DEFAULT_PORT} " in GUIDE


@pytest.mark.slow
def test_the_guide(base_folder, terminal):
    answers = []
    for kind, lines, file in steps():
        if kind == "json":
            (terminal.folder / file).write_text(lines, encoding="utf-8")
        elif kind == "python":
            answers.append(terminal.run([sys.executable, "-c", lines]))
        else:
            for line in lines.splitlines():
                terminal.type(line.removeprefix("$ "))
    printed = terminal.printed
    assert answers[0].strip().endswith("Ngerulmud")
    assert "Ngerulmud" in printed["try"][0] and "Paris" in printed["try"][0]
    assert "Tagged v1.0.0." in printed["push"][0]
    assert "Tagged v1.1.0." in printed["push"][1]
    assert "experts-00002.safetensors" in printed["push"][1]
    assert "experts-00001.safetensors" not in printed["push"][1]
    assert "1 fact added: a minor version." in printed["diff"][0]
    assert "/discussions/1" in printed["push"][2]
    assert "ann/facts#1: ready to merge" in printed["review"][0]
    assert "Tagged v1.2.0." in printed["push"][3]
    assert "longest-river-of-france" in {edit.id for edit in EditPack.from_pretrained(terminal.folder / "facts").edits}
    assert "Tagged v1.3.0." in printed["push"][5]
    assert "Tagged v2.0.0." in printed["revert"][0]
    assert "withdrawn" in printed["log"][-1] and "names the wrong river" in printed["log"][-1]
    assert "verified; nothing of it was run" in printed["verify"][0]
    assert "Clyde Tombaugh" in printed["python"][0]
    card = (terminal.folder / "facts" / "README.md").read_text(encoding="utf-8")
    assert "license: cc0-1.0" in card

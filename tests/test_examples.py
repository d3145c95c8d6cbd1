"""The scripts in examples/, each in a process of its own, as a reader runs it, on the small model."""

import json
import subprocess
import sys

import pytest
from helpers import BURKINA, EXAMPLES, FRANCE

from scen_hf import EditPack
from scen_hf.bases import EMBEDDED_BASE


pytestmark = pytest.mark.slow

TIMEOUT = 900


def run_example(name, *arguments, folder, **kwargs):
    """What an example prints; its relative paths are in `folder`."""
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, **kwargs)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_each_example_has_a_test():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tests = {name.removeprefix("test_") + ".py" for name in globals() if name.startswith("test_")}
    assert scripts <= tests, scripts - tests


def test_first_run(base_folder, tmp_path):
    printed = run_example("first_run.py", "--limit", 3, "--out", "pack", folder=tmp_path)
    assert len(EditPack.from_pretrained(tmp_path / "pack")) == 3
    shown = [line for line in printed.splitlines() if BURKINA in line]
    assert any("Ouagadougou" in line and "✓" in line for line in shown), printed
    assert any(FRANCE in line and "identical" in line for line in printed.splitlines()), printed
    measured = [line for line in printed.splitlines() if "reliability" in line]
    assert len(measured) == 1
    assert "3 of 3" in measured[0]
    assert "12 of 12" in printed


def test_load_in_pipeline(sample_pack, tmp_path):
    printed = run_example("load_in_pipeline.py", sample_pack, BURKINA, FRANCE, "--json", folder=tmp_path)
    burkina, france = json.loads(printed)
    assert burkina == "Ouagadougou"
    assert "Paris" in france


def test_train_from_python(base_folder, tmp_path):
    printed = run_example("train_from_python.py", "--out", "pack", folder=tmp_path)
    assert "Leo XIV  (current-pope" in printed
    assert "Eswatini  (new-name-of-swaziland" in printed
    assert len(EditPack.from_pretrained(tmp_path / "pack")) == 2


def test_chat_with_sources(sample_pack, tmp_path):
    printed = run_example("chat_with_sources.py", sample_pack, "--say", FRANCE, BURKINA, folder=tmp_path)
    france, burkina = printed.strip().split("\n\n")
    assert "Paris" in france
    assert "source:" not in france
    assert "model:  Ouagadougou" in burkina
    assert "Burkina_Faso (edit capital-of-burkina-faso)" in burkina


def test_chat_with_sources_typed(sample_pack, tmp_path):
    printed = run_example("chat_with_sources.py", sample_pack, folder=tmp_path, input=f"{BURKINA}\n")
    assert "model:  Ouagadougou" in printed


def test_edit_on_gpu(base_folder, tmp_path):
    arguments = ("--limit", 2, "--dtype", "float32", "--batch-size", 2, "--out", "pack")
    printed = run_example("edit_on_gpu.py", *arguments, folder=tmp_path)
    assert "converged: 100.0%" in printed
    assert len(EditPack.from_pretrained(tmp_path / "pack")) == 2


def test_add_and_remove_edits(sample_pack, tmp_path):
    arguments = (sample_pack, "--limit", 2, "--remove", "capital-of-bhutan", "--out", "pack")
    run_example("add_and_remove_edits.py", *arguments, folder=tmp_path)
    before, after = (EditPack.from_pretrained(folder) for folder in (sample_pack, tmp_path / "pack"))
    kept = [edit for edit in before.edits if edit.id != "capital-of-bhutan"]
    assert after.edits[: len(kept)] == kept
    assert len(after) == len(kept) + 2


def test_paper_on_llama2_7b(base_folder, tmp_path):
    # The learning rate of Llama-2 moves nothing in so small a model.
    arguments = ("--base", EMBEDDED_BASE, "--learning-rate", 3e-3, "--limit", 2, "--out", "pack")
    printed = run_example("paper_on_llama2_7b.py", *arguments, folder=tmp_path)
    pack = EditPack.from_pretrained(tmp_path / "pack")
    assert (pack.config.method, pack.config.edit_layer, len(pack)) == ("paper", 20, 2)
    assert "reliability:" in printed

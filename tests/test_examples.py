"""The scripts in examples/, each in a process of its own, as a reader runs it, on the small model."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from helpers import BURKINA, EXAMPLES, FRANCE
from huggingface_hub import HfApi

from scen_hf import EditPack
from scen_hf.bases import EMBEDDED_BASE
from scen_hf.hub_tools import pull_pack, push_pack
from scen_hf.hub_tools.local_hub import LocalHub


pytestmark = pytest.mark.slow

TIMEOUT = 900


def run_example(name, *arguments, folder, **kwargs):
    """What an example prints; its relative paths are in `folder`."""
    command = [sys.executable, EXAMPLES / name, *map(str, arguments)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, **kwargs)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_each_example_has_a_test():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    tests = {name.removeprefix("test_") + ".py" for name in globals() if name.startswith("test_")}
    assert scripts <= tests, scripts - tests


def test_first_run(base_folder, tmp_path):
    arguments = ("--limit", 3, "--add", 1, "--out", "pack", "--hub", "hub")
    printed = run_example("first_run.py", *arguments, folder=tmp_path)
    pack = EditPack.from_pretrained(tmp_path / "pack")
    assert [len(shard.edits) for shard in pack.shards] == [2, 1]
    lines = printed.splitlines()
    assert any(BURKINA in line and "Ouagadougou" in line and "✓" in line for line in lines), printed
    assert any(FRANCE in line and "identical" in line for line in lines), printed
    # The second push uploaded the new shard and left the first one alone.
    second = printed[printed.index("\n4. ") : printed.index("\n5. ")]
    assert "experts-00002.safetensors" in second and "experts-00001.safetensors" not in second
    assert "1 fact added: a minor version" in printed
    assert "✗" not in printed[printed.index("\n6. ") :]
    (measured,) = (line for line in lines if "reliability" in line)
    assert "3 of 3" in measured
    assert "12 of 12" in printed
    assert pack.evaluation["prompts"]["exact_match"]["successes"] == 3
    assert (tmp_path / "hub").is_dir()


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


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A local Hub of Ann and Bob, for the processes of the examples and for this one."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with LocalHub(tmp_path / "hub", tokens=["ann:write:secret-of-ann", "bob:write:secret-of-bob"]) as running:
        for name, value in {
            "HF_ENDPOINT": running.endpoint,
            "HF_TOKEN": "secret-of-ann",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setenv(name, value)
        yield running


def test_share_edits(base_folder, hub, tmp_path):
    printed = run_example("share_edits.py", "ann/facts", "--out", "pack", folder=tmp_path)
    assert "v1.0.0: the first version" in printed
    assert "v1.1.0: 1 fact added" in printed
    second = printed[printed.index("v1.1.0: ") :].splitlines()[1]
    assert "experts-00002.safetensors" in second and "experts-00001.safetensors" not in second
    versions = [line.split()[:2] for line in printed.splitlines() if " facts  " in line]
    assert versions[:2] == [["v1.1.0", "3"], ["v1.0.0", "2"]]


def test_review_and_merge(sample_pack, hub, tmp_path):
    pack = EditPack.from_pretrained(sample_pack)
    # Whether hard neighbours stay as they are is not what this is about.
    pack.shards[0].edits = [replace(edit, rephrases=(), neighbours=()) for edit in pack.edits]
    ids = [edit.id for edit in pack.edits]
    pack.select(ids[:3]).save_pretrained(tmp_path / "ours")
    pack.select(ids[3:5]).save_pretrained(tmp_path / "theirs")
    at_hub = {"endpoint": hub.endpoint}
    push_pack(tmp_path / "ours", "ann/facts", tag="v1.0.0", token="secret-of-ann", **at_hub)
    push_pack(tmp_path / "theirs", "bob/facts", token="secret-of-bob", **at_hub)
    printed = run_example("review_and_merge.py", "ann/facts", "--pack", "bob/facts", folder=tmp_path)
    assert "From bob/facts: 2 facts added" in printed
    assert "ann/facts#1: ready to merge" in printed
    assert "Merged, and tagged v1.1.0." in printed

    pulled = pull_pack("ann/facts", tmp_path / "pulled", token="secret-of-bob", **at_hub)
    # An expert that answers something else than its fact says is not merged.
    pack = EditPack.from_pretrained(pulled)
    object.__setattr__(pack.shards[0].edits[0], "target", "Bobo-Dioulasso")
    pack.save_pretrained(pulled)
    push_pack(pulled, "ann/facts", create_pr=True, token="secret-of-bob", **at_hub)
    command = [sys.executable, EXAMPLES / "review_and_merge.py", "ann/facts", "--pr", "2"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    assert run.returncode == 1, run.stderr
    assert "ann/facts#2: needs changes" in run.stdout
    assert "Bobo-Dioulasso" in run.stdout
    assert HfApi(token="secret-of-ann", **at_hub).get_discussion_details("ann/facts", 2).status == "open"


def test_paper_on_llama2_7b(base_folder, tmp_path):
    # The learning rate of Llama-2 moves nothing in so small a model.
    arguments = ("--base", EMBEDDED_BASE, "--learning-rate", 3e-3, "--limit", 2, "--out", "pack")
    printed = run_example("paper_on_llama2_7b.py", *arguments, folder=tmp_path)
    pack = EditPack.from_pretrained(tmp_path / "pack")
    assert (pack.config.method, pack.config.edit_layer, len(pack)) == ("paper", 20, 2)
    assert "reliability:" in printed

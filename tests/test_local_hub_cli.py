"""The local Hub used by the `hf` command and started by `scen hub serve`, in processes of their own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scen_hf.hub_tools.local_hub import HubLimits, LocalHub
from scen_hf.hub_tools.local_hub.cli import app


HF = shutil.which("hf", path=Path(sys.executable).parent) or shutil.which("hf")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    limits = HubLimits(part_bytes=2**20)
    tokens = ["ann:write:token-of-ann", "bob:write:token-of-bob"]
    with LocalHub(tmp_path_factory.mktemp("hub"), tokens=tokens, limits=limits) as hub:
        yield hub


@pytest.fixture
def environment(hub, tmp_path):
    """What a user of the hub sets, and a home of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return {
        **inherited,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": hub.token,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


@pytest.fixture
def hf(environment):
    """Runs the `hf` command and gives what it prints."""

    def run(*arguments: object, fails: bool = False, **changes: str) -> str:
        command = [str(HF), *map(str, arguments)]
        done = subprocess.run(command, env={**environment, **changes}, capture_output=True, text=True, timeout=60)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "token-of-" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_hf_uploads_and_downloads(hf, hub, environment, tmp_path):
    assert "ann" in hf("auth", "whoami")
    source = tmp_path / "pack"
    source.mkdir()
    weights = os.urandom(2 * 2**20 + 1)
    (source / "w.safetensors").write_bytes(weights)
    (source / "a.txt").write_text("text")
    hf("repos", "create", "ann/pack", "--private")
    hf("upload", "ann/pack", source, "--commit-message", "first")
    hf("repos", "tag", "create", "ann/pack", "v1", "-m", "first")
    (source / "a.txt").write_text("changed")
    hf("upload", "ann/pack", source / "a.txt", "a.txt", "--revision", "side")

    hf("download", "ann/pack", "--local-dir", tmp_path / "one")
    assert (tmp_path / "one" / "w.safetensors").read_bytes() == weights
    assert (tmp_path / "one" / "a.txt").read_text() == "text"
    hf("download", "ann/pack", "a.txt", "--revision", "side", "--local-dir", tmp_path / "two")
    assert (tmp_path / "two" / "a.txt").read_text() == "changed"
    hf("download", "ann/pack", "--revision", "v1")
    # Again from the cache, with no server to ask.
    hf("download", "ann/pack", "--revision", "v1", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")

    elsewhere = {"HF_TOKEN": "token-of-bob", "HF_HUB_CACHE": str(tmp_path / "empty")}
    assert "not found" in hf("download", "ann/pack", fails=True, **elsewhere).lower()
    assert "invalid" in hf("auth", "whoami", fails=True, HF_TOKEN="another-token").lower()


def test_hf_manages_repositories(hf):
    hf("repos", "create", "ann/managed")
    assert "already" in hf("repos", "create", "ann/managed", fails=True)
    hf("repos", "create", "ann/managed", "--exist-ok")
    assert "ann/managed" in hf("repos", "list")
    hf("repos", "branch", "create", "ann/managed", "dev")
    hf("repos", "tag", "create", "ann/managed", "v1")
    assert "already exists" in hf("repos", "tag", "create", "ann/managed", "v1", fails=True)
    assert "v1" in hf("repos", "tag", "list", "ann/managed")
    hf("repos", "tag", "delete", "ann/managed", "v1", "--yes")
    hf("repos", "branch", "delete", "ann/managed", "dev")
    hf("repos", "settings", "ann/managed", "--gated", "auto")
    assert json.loads(hf("models", "info", "ann/managed", "--format", "json"))["gated"] == "auto"
    assert "ann/managed" in hf("models", "list", "--author", "ann", "--format", "json")
    hf("repos", "delete", "ann/managed", "--yes")
    assert "not found" in hf("models", "info", "ann/managed", fails=True).lower()


def test_hf_manages_pull_requests(hf, tmp_path):
    hf("repos", "create", "ann/reviewed")
    (tmp_path / "a.txt").write_text("proposed\n")
    hf("upload", "ann/reviewed", tmp_path / "a.txt", "--create-pr", HF_TOKEN="token-of-bob")
    assert "bob" in hf("discussions", "list", "ann/reviewed", "--kind", "pull_request")
    assert "+proposed" in hf("discussions", "diff", "ann/reviewed", "1")
    hf("discussions", "comment", "ann/reviewed", "1", "--body", "Good")
    hf("discussions", "merge", "ann/reviewed", "1", "--yes")
    hf("download", "ann/reviewed", "a.txt", "--local-dir", tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "proposed\n"


@pytest.mark.skipif(importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not installed")
def test_an_upload_by_xet_says_what_to_set(hf, tmp_path):
    hf("repos", "create", "ann/xet")
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    shown = hf("upload", "ann/xet", tmp_path / "w.safetensors", fails=True, HF_HUB_DISABLE_XET="0")
    assert "set-HF_HUB_DISABLE_XET=1" in shown
    # Downloads need no such setting.
    hf("upload", "ann/xet", tmp_path / "w.safetensors")
    hf("download", "ann/xet", "--local-dir", tmp_path / "out", HF_HUB_DISABLE_XET="0")
    assert (tmp_path / "out" / "w.safetensors").read_bytes() == b"weights"


def test_help_says_what_it_is_for():
    shown = " ".join(CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "development and closed networks" in shown
    assert "HF_HUB_DISABLE_XET=1" in shown


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--token", "ann:secret-of-ann"], "NAME:read:TOKEN or NAME:write:TOKEN"),
        (["--token", "ann:admin:secret-of-ann"], "NAME:read:TOKEN or NAME:write:TOKEN"),
        (["--token", "../x:write:secret-of-ann"], "valid user name"),
        (["--token", "ann:write:short"], "at least 8"),
        (["--token", "ann:write:secret-of-ann", "--token", "bob:write:secret-of-ann"], "same value"),
        (["--host", "not an address"], "cannot listen"),
    ],
)
def test_bad_arguments_are_explained(arguments, problem, tmp_path):
    result = CliRunner().invoke(app, ["serve", "--root", str(tmp_path), "--port", "0", *arguments])
    assert result.exit_code == 1
    assert problem in result.output
    assert "secret-of-ann" not in result.output


def test_a_root_that_is_a_file_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["serve", "--root", str(tmp_path / "file"), "--port", "0"])
    assert result.exit_code == 1
    assert "as the folder of a Hub" in result.output

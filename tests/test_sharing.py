"""Packs on a Hub: the real client against the local Hub, over HTTP."""

import os
import shutil
import subprocess
import sys

import pytest
from helpers import tiny_pack
from huggingface_hub import HfApi

from scen_hf import EditPack, EditPackError
from scen_hf.hub_tools import HubError, pull_pack, push_pack
from scen_hf.hub_tools.local_hub import LocalHub


TOKENS = ("ann:write:secret-of-ann", "bob:write:secret-of-bob", "eve:read:secret-of-eve")
REPO = "ann/facts"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    # The server takes uploads by Git LFS; the client reads this variable's constant.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with LocalHub(tmp_path / "hub", tokens=TOKENS) as running:
        yield running


@pytest.fixture
def at_hub(hub):
    return {"endpoint": hub.endpoint, "token": "secret-of-ann"}


@pytest.fixture
def pack_folder(tiny_pack_folder, tmp_path):
    return shutil.copytree(tiny_pack_folder, tmp_path / "pack")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_pushed_pack_comes_back_as_it_was(at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    pulled = pull_pack(REPO, tmp_path / "pulled", revision="v1.0.0", cache_dir=tmp_path / "cache", **at_hub)
    theirs = content(pulled)
    theirs.pop(".gitattributes")
    assert theirs == content(pack_folder)


def test_adding_edits_uploads_only_the_new_shards(at_hub, pack_folder, tiny_base_folder):
    push_pack(pack_folder, REPO, **at_hub)
    pack = EditPack.from_pretrained(pack_folder)
    more = tiny_pack(tiny_base_folder, prefix="more")
    pack = pack.extended(more.shards[0])
    pack.router["thresholds"] = pack.router["thresholds"].repeat(2)
    pack.save_pretrained(pack_folder)
    report = push_pack(pack_folder, REPO, **at_hub)
    assert {name for name in report.uploaded if name.startswith(("experts", "neurons"))} == {
        "experts-00002.safetensors",
        "neurons-00002.safetensors",
    }
    assert report.unchanged > 0


def test_a_removed_shard_is_deleted(at_hub, pack_folder):
    push_pack(pack_folder, REPO, **at_hub)
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    report = push_pack(pack_folder, REPO, **at_hub)
    assert sorted(report.deleted) == ["experts-00001.safetensors", "neurons-00001.safetensors"]


def test_pushing_again_uploads_nothing(at_hub, pack_folder):
    first = push_pack(pack_folder, REPO, **at_hub)
    again = push_pack(pack_folder, REPO, **at_hub)
    assert again.uploaded == {}
    assert again.commit == first.commit


def test_own_text_of_the_card_survives_a_push(at_hub, pack_folder):
    push_pack(pack_folder, REPO, **at_hub)
    api = HfApi(**at_hub)
    card = (pack_folder / "README.md").read_text() + "\nAsk Ada first.\n"
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=REPO)
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    push_pack(pack_folder, REPO, **at_hub)
    with open(api.hf_hub_download(REPO, "README.md")) as file:
        text = file.read()
    assert text.count("Ask Ada first.") == 1
    assert "edit prompt 0" not in text


def test_a_branch_that_moved_is_left_alone(at_hub, pack_folder):
    first = push_pack(pack_folder, REPO, **at_hub)
    api = HfApi(**at_hub)
    api.upload_file(path_or_fileobj=b"news", path_in_repo="news.txt", repo_id=REPO)
    moved = api.model_info(REPO).sha
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    with pytest.raises(HubError, match="has moved since you looked"):
        push_pack(pack_folder, REPO, parent_commit=first.commit, **at_hub)
    assert api.model_info(REPO).sha == moved


def test_a_proposal_leaves_the_branch_alone(hub, at_hub, pack_folder):
    before = push_pack(pack_folder, REPO, **at_hub)
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    report = push_pack(pack_folder, REPO, create_pr=True, endpoint=hub.endpoint, token="secret-of-bob")
    assert "/discussions/1" in report.url
    assert HfApi(**at_hub).model_info(REPO).sha == before.commit


def test_a_damaged_pack_is_not_pushed(at_hub, pack_folder):
    (pack_folder / "neurons-00001.safetensors").write_bytes(b"broken")
    with pytest.raises(EditPackError, match="neurons-00001.safetensors has 6 bytes"):
        push_pack(pack_folder, REPO, **at_hub)
    assert not HfApi(**at_hub).repo_exists(REPO)


@pytest.mark.parametrize(
    ("repo", "token", "message"),
    [
        (REPO, "wrong", "token is missing or not valid"),
        (REPO, "secret-of-eve", "no right to do this"),
        ("not a name", "secret-of-ann", "not a valid repository name"),
    ],
)
def test_refused_pushes_say_what_to_do(hub, pack_folder, repo, token, message):
    with pytest.raises(HubError, match=message):
        push_pack(pack_folder, repo, endpoint=hub.endpoint, token=token)


def test_a_tag_is_never_moved(at_hub, pack_folder):
    push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    with pytest.raises(HubError, match=r"already has the tag v1\.0\.0"):
        push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)


def test_refused_pulls_say_what_to_do_and_leave_the_folder(at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    for repo, revision, message in (("ann/other", None, "was not found"), (REPO, "v9", "no such tag")):
        with pytest.raises(HubError, match=message):
            pull_pack(repo, tmp_path / "pulled", revision=revision, cache_dir=tmp_path / "cache", **at_hub)
    HfApi(**at_hub).create_repo("ann/plain")
    with pytest.raises(EditPackError, match="not a complete edit pack"):
        pull_pack("ann/plain", tmp_path / "pulled", cache_dir=tmp_path / "cache", **at_hub)
    assert not (tmp_path / "pulled").exists()


@pytest.mark.slow
def test_loads_by_name_and_tag_reading_only_what_it_needs_and_again_offline(hub, at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    push_pack(pack_folder, REPO, tag="v2.0.0", **at_hub)
    code = f"""
from pathlib import Path
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({REPO!r}, revision="v1.0.0", trust_remote_code=True)
(pack,) = model.edit_packs.values()
print(len(pack), pack.edit_id(0), len(list(Path({str(tmp_path)!r}, "home").rglob("experts-*"))))
pack.expert(0)
print(len(list(Path({str(tmp_path)!r}, "home").rglob("experts-*"))))
model.unload_edit_pack()
print(model.load_edit_pack({REPO!r}, revision="v2.0.0"), len(model.edit_packs[{REPO!r}]))
"""
    env = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": "secret-of-ann",
    }
    for offline in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**env, "HF_HUB_OFFLINE": offline},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        assert run.stdout.splitlines() == [f"3 edit-0 {offline}", "1", f"{REPO} 2"]


@pytest.mark.slow
def test_commands_push_and_pull(hub, pack_folder, tmp_path):
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret-of-ann", "HF_HUB_DISABLE_XET": "1"}

    def scen(*arguments, **kwargs):
        code = "from scen_hf.cli import main; main()"
        run = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], env=env, capture_output=True, text=True, **kwargs
        )
        return run.returncode, run.stdout + run.stderr

    code, output = scen("push", pack_folder, REPO, "--tag", "v1.0.0")
    assert code == 0, output
    assert "experts-00001.safetensors" in output
    code, output = scen("pull", f"{REPO}@v1.0.0", "--out", tmp_path / "pulled")
    assert code == 0, output
    assert "3 edits" in output
    assert (tmp_path / "pulled" / "edits.jsonl").read_bytes() == (pack_folder / "edits.jsonl").read_bytes()
    code, output = scen("pull", f"{REPO}@v9", "--out", tmp_path / "other")
    assert code == 1
    assert "there is no such tag, branch or commit" in output
    assert "secret-of-ann" not in output


def test_hub_command_is_the_local_hubs():
    command = [sys.executable, "-c", "from scen_hf.cli import main; main()", "hub", "serve", "--help"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "HF_HUB_DISABLE_XET=1" in run.stdout
    missing = subprocess.run([*command[:-1]], capture_output=True, text=True)
    assert missing.returncode == 2
    assert "--root" in missing.stderr

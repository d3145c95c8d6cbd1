"""Packs on a Hub: the real client against the local Hub, over HTTP."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace

import pytest
import torch
from helpers import ANN, REPO, tiny_pack
from huggingface_hub import HfApi, constants
from huggingface_hub.utils import get_session

from scen_hf import EditPack, EditPackError
from scen_hf.hub_tools import HubError, pull_pack, push_pack
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.hub_tools.origin import Origin, recorded_commit


TOKENS = (f"ann:write:{ANN}", "bob:write:secret-of-bob", "eve:read:secret-of-eve")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    # The server takes uploads by Git LFS; the client reads this variable's constant.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with LocalHub(tmp_path / "hub", tokens=TOKENS) as running:
        yield running


@pytest.fixture
def colleague(at_hub, tmp_path):
    """Where somebody else pulls the pack to, and pushes it from."""

    def pull(name="colleague"):
        return pull_pack(REPO, tmp_path / name, cache_dir=tmp_path / "cache", **at_hub)

    return pull


@pytest.fixture
def add_edits(tiny_base_folder):
    """Adds three edits to the pack of a folder."""

    def add(folder, prefix):
        pack, more = EditPack.from_pretrained(folder), tiny_pack(tiny_base_folder, prefix=prefix)
        pack = pack.extended(more.shards[0])
        pack.router["thresholds"] = torch.cat([pack.thresholds, more.thresholds])
        pack.save_pretrained(folder)

    return add


def remove_edit(folder, id="edit-0"):
    EditPack.from_pretrained(folder).remove([id]).save_pretrained(folder)


def change_target(folder, id, target):
    pack = EditPack.from_pretrained(folder)
    shards = [
        replace(
            shard,
            edits=[replace(edit, target=target) if edit.id == id else edit for edit in shard.edits],
            experts=pack.experts_of(shard),
            entry=None,
            number=None,
        )
        for shard in pack.shards
    ]
    replace(pack, shards=shards).save_pretrained(folder)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def ids(folder):
    return [edit.id for edit in EditPack.from_pretrained(folder).edits]


def test_a_pushed_pack_comes_back_as_it_was(at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    pulled = pull_pack(REPO, tmp_path / "pulled", revision="v1.0.0", cache_dir=tmp_path / "cache", **at_hub)
    theirs = content(pulled)
    theirs.pop(".gitattributes")
    ours = content(pack_folder)
    assert REPO in theirs.pop("README.md").decode()
    assert REPO not in ours.pop("README.md").decode()
    assert theirs == ours


def test_adding_edits_uploads_only_the_new_shards(at_hub, pack_folder, add_edits):
    push_pack(pack_folder, REPO, **at_hub)
    add_edits(pack_folder, "more")
    report = push_pack(pack_folder, REPO, **at_hub)
    assert {name for name in report.uploaded if name.startswith(("experts", "neurons"))} == {
        "experts-00002.safetensors",
        "neurons-00002.safetensors",
    }
    assert report.unchanged > 0
    assert str(report.difference) == "3 facts added"


def test_a_removed_shard_is_deleted(at_hub, pack_folder):
    push_pack(pack_folder, REPO, **at_hub)
    remove_edit(pack_folder)
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
    remove_edit(pack_folder)
    push_pack(pack_folder, REPO, **at_hub)
    with open(api.hf_hub_download(REPO, "README.md")) as file:
        text = file.read()
    assert text.count("Ask Ada first.") == 1
    assert "edit prompt 0" not in text


# ------------------------------------------------------- branches that move


def test_the_version_of_somebody_else_is_not_overwritten(at_hub, pack_folder, colleague, add_edits):
    push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    add_edits(theirs, "theirs")
    moved = push_pack(theirs, REPO, **at_hub)
    remove_edit(pack_folder)
    before = content(pack_folder)
    with pytest.raises(HubError, match="has moved since you looked") as error:
        push_pack(pack_folder, REPO, **at_hub)
    assert "--rebase" in str(error.value)
    assert HfApi(**at_hub).model_info(REPO).sha == moved.commit
    assert content(pack_folder) == before


def test_a_commit_beside_the_pack_is_in_nobodys_way(at_hub, pack_folder):
    push_pack(pack_folder, REPO, **at_hub)
    api = HfApi(**at_hub)
    api.upload_file(path_or_fileobj=b"news", path_in_repo="news.txt", repo_id=REPO)
    remove_edit(pack_folder)
    report = push_pack(pack_folder, REPO, **at_hub)
    assert api.model_info(REPO).sha == report.commit
    assert "news.txt" in api.list_repo_files(REPO)


def test_a_stated_parent_must_be_the_last_commit(at_hub, pack_folder):
    first = push_pack(pack_folder, REPO, **at_hub)
    api = HfApi(**at_hub)
    api.upload_file(path_or_fileobj=b"news", path_in_repo="news.txt", repo_id=REPO)
    moved = api.model_info(REPO).sha
    remove_edit(pack_folder)
    with pytest.raises(HubError, match="has moved since you looked"):
        push_pack(pack_folder, REPO, parent_commit=first.commit, **at_hub)
    assert api.model_info(REPO).sha == moved


def test_a_rebase_keeps_the_edits_of_both_sides(at_hub, pack_folder, colleague, add_edits):
    push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    add_edits(theirs, "theirs")
    remove_edit(theirs, "edit-1")
    push_pack(theirs, REPO, **at_hub)
    add_edits(pack_folder, "ours")
    (pack_folder / "notes.txt").write_text("mine")
    report = push_pack(pack_folder, REPO, rebase=True, **at_hub)
    assert ids(pack_folder) == [
        *("edit-0", "edit-2", "theirs-0", "theirs-1", "theirs-2", "ours-0", "ours-1", "ours-2"),
    ]
    assert [name for name in report.uploaded if name.startswith("experts-")] == ["experts-00004.safetensors"]
    assert str(report.difference) == "3 facts added"
    # The folder is what was pushed, and goes on from there.
    assert (pack_folder / "notes.txt").read_text() == "mine"
    assert recorded_commit(pack_folder, at_hub["endpoint"], REPO) == report.commit
    pushed = content(colleague("again"))
    assert {name: data for name, data in content(pack_folder).items() if name not in ("notes.txt", "README.md")} == {
        name: data for name, data in pushed.items() if name not in (".gitattributes", "README.md")
    }
    assert push_pack(pack_folder, REPO, **at_hub).uploaded == {}
    assert sorted(path.name for path in pack_folder.parent.iterdir() if path.name.startswith(".")) == []


def test_a_rebase_lists_conflicts_and_changes_nothing(at_hub, pack_folder, colleague):
    push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    change_target(theirs, "edit-0", "theirs")
    moved = push_pack(theirs, REPO, **at_hub)
    change_target(pack_folder, "edit-0", "ours")
    before = content(pack_folder)
    with pytest.raises(EditPackError, match="Both sides changed the same facts: 'edit-0' was changed here and there"):
        push_pack(pack_folder, REPO, rebase=True, **at_hub)
    assert HfApi(**at_hub).model_info(REPO).sha == moved.commit
    assert content(pack_folder) == before
    assert sorted(path.name for path in pack_folder.parent.iterdir() if path.name.startswith(".")) == []


def test_a_rebase_needs_the_version_that_was_left(at_hub, pack_folder, colleague):
    push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    HfApi(**at_hub).delete_repo(REPO)
    # Made anew it is empty, and nothing of anybody's can be lost.
    remove_edit(theirs)
    push_pack(theirs, REPO, **at_hub)
    remove_edit(pack_folder, "edit-1")
    with pytest.raises(HubError, match="has moved since you looked"):
        push_pack(pack_folder, REPO, **at_hub)
    with pytest.raises(HubError, match=r"is no longer there to tell what has changed since.*scen merge"):
        push_pack(pack_folder, REPO, rebase=True, **at_hub)


# ------------------------------------------------------------------ origins


def test_a_folder_remembers_where_it_is_from(hub, at_hub, pack_folder, colleague, add_edits):
    first = push_pack(pack_folder, REPO, **at_hub)
    assert recorded_commit(pack_folder, hub.endpoint, REPO) == first.commit
    theirs = colleague()
    assert recorded_commit(theirs, f"{hub.endpoint}/", REPO) == first.commit
    add_edits(theirs, "more")
    assert recorded_commit(theirs, hub.endpoint, REPO) == first.commit
    second = push_pack(theirs, REPO, **at_hub)
    assert recorded_commit(theirs, hub.endpoint, REPO) == second.commit
    # Pushed elsewhere too, it still knows.
    push_pack(theirs, "ann/copy", **at_hub)
    assert recorded_commit(theirs, hub.endpoint, REPO) == second.commit
    assert recorded_commit(theirs, "https://elsewhere.example", REPO) is None
    # Pulled into anew, it is that version and nothing else.
    pull_pack(REPO, theirs, revision=first.commit, **at_hub)
    assert recorded_commit(theirs, hub.endpoint, REPO) == first.commit
    assert recorded_commit(theirs, hub.endpoint, "ann/copy") is None


def test_the_record_does_not_travel(at_hub, pack_folder, colleague):
    api = HfApi(**at_hub)
    push_pack(pack_folder, REPO, **at_hub)
    assert not [name for name in api.list_repo_files(REPO) if name.startswith(".cache")]
    commit_file(api, ".cache/scen_hf/origin.json", b"forged")
    commit_file(api, ".cache/other", b"x")
    theirs = colleague()
    assert recorded_commit(theirs, at_hub["endpoint"], REPO) == api.model_info(REPO).sha
    assert sorted(path.name for path in (theirs / ".cache").rglob("*")) == ["origin.json", "scen_hf"]


def commit_file(api, path, data):
    """Commits a file that the client refuses to commit, and git does not."""
    lines = [
        {"key": "header", "value": {"summary": "add"}},
        {"key": "file", "value": {"path": path, "content": b64encode(data).decode(), "encoding": "base64"}},
    ]
    response = get_session().post(
        f"{api.endpoint}/api/models/{REPO}/commit/main",
        content="\n".join(map(json.dumps, lines)),
        headers={"Authorization": f"Bearer {api.token}", "Content-Type": "application/x-ndjson"},
    )
    response.raise_for_status()


def test_credentials_of_an_address_are_not_recorded():
    origin = Origin.at("https://ann:hidden-word@hub.example:8443/prefix/", REPO, "0" * 40)
    assert origin.endpoint == "https://hub.example:8443/prefix"


@pytest.mark.parametrize("record", ["no JSON", "{}", "[{}]", "[1]"])
def test_a_malformed_record_is_explained(at_hub, pack_folder, record):
    (pack_folder / ".cache/scen_hf").mkdir(parents=True)
    (pack_folder / ".cache/scen_hf/origin.json").write_text(record)
    with pytest.raises(EditPackError, match=r"origin.json is no valid record .* Delete it"):
        push_pack(pack_folder, REPO, **at_hub)


@pytest.mark.slow
def test_a_pack_in_memory_is_pushed_onto_what_it_was_read_from(hub, at_hub, pack_folder):
    push_pack(pack_folder, REPO, **at_hub)
    code = f"""
from scen_hf import EditPack
from scen_hf.hub_tools import HubError
pack = EditPack.from_pretrained({str(pack_folder)!r})
print(pack.remove(["edit-1"]).push_to_hub({REPO!r}, tag="auto", commit_message="One fact less").tag)
pulled = EditPack.from_pretrained({REPO!r})
print(pulled.remove(["edit-0"]).push_to_hub({REPO!r}, tag="auto").tag)
for stale in (pack, pulled):
    try:
        stale.remove(["edit-2"]).push_to_hub({REPO!r})
    except HubError as error:
        print("has moved since you looked" in str(error))
"""
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": at_hub["token"], "HF_HUB_DISABLE_XET": "1"}
    env["HF_HOME"] = str(pack_folder.parent / "home")
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["v1.0.0", "v2.0.0", "True", "True"], run.stderr
    assert HfApi(**at_hub).list_repo_commits(REPO)[1].title == "One fact less"


# ------------------------------------------------------------------ proposals


def test_a_proposal_leaves_the_branch_alone_and_is_described(hub, at_hub, pack_folder, colleague):
    before = push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    remove_edit(theirs)
    report = push_pack(theirs, REPO, create_pr=True, endpoint=hub.endpoint, token="secret-of-bob")
    assert "/discussions/1" in report.url
    api = HfApi(**at_hub)
    assert api.model_info(REPO).sha == before.commit
    proposal = api.get_discussion_details(REPO, 1)
    assert proposal.title == "Edit pack with 2 facts: 1 fact removed"
    assert proposal.events[0].content == report.difference.to_markdown()
    assert "edit prompt 0" in proposal.events[0].content
    assert report.proposed_tag == "v1.0.0"
    # It is still based on the version that it proposes to change.
    assert recorded_commit(theirs, hub.endpoint, REPO) == before.commit


def test_an_outdated_proposal_is_rebased(hub, at_hub, pack_folder, colleague, add_edits):
    push_pack(pack_folder, REPO, **at_hub)
    theirs = colleague()
    add_edits(pack_folder, "ours")
    moved = push_pack(pack_folder, REPO, **at_hub)
    remove_edit(theirs)
    propose = {"create_pr": True, "endpoint": hub.endpoint, "token": "secret-of-bob"}
    with pytest.raises(HubError, match="has moved since you looked"):
        push_pack(theirs, REPO, **propose)
    report = push_pack(theirs, REPO, rebase=True, **propose)
    assert str(report.difference) == "1 fact removed"
    assert recorded_commit(theirs, hub.endpoint, REPO) == moved.commit
    assert ids(theirs) == ["edit-1", "edit-2", "ours-0", "ours-1", "ours-2"]


# ------------------------------------------------------------------- versions


def test_versions_follow_from_what_changed(at_hub, pack_folder, add_edits):
    first = push_pack(pack_folder, REPO, **at_hub)
    assert (first.difference, first.tag, first.proposed_tag) == (None, None, "v1.0.0")
    assert push_pack(pack_folder, REPO, tag="auto", **at_hub).tag == "v1.0.0"
    assert push_pack(pack_folder, REPO, tag="auto", **at_hub).tag is None
    add_edits(pack_folder, "more")
    assert push_pack(pack_folder, REPO, tag="auto", **at_hub).tag == "v1.1.0"
    remove_edit(pack_folder)
    assert push_pack(pack_folder, REPO, **at_hub).proposed_tag == "v2.0.0"
    # Since the last version facts were removed, whatever the last push did.
    add_edits(pack_folder, "even-more")
    assert push_pack(pack_folder, REPO, tag="auto", **at_hub).tag == "v2.0.0"
    tags = {tag.name: tag.target_commit for tag in HfApi(**at_hub).list_repo_refs(REPO).tags}
    assert sorted(tags) == ["v1.0.0", "v1.1.0", "v2.0.0"]
    assert tags["v1.0.0"] == first.commit


@pytest.mark.parametrize("tag", ["1.0.0", "v1", "v1.0", "v01.0.0", "latest", ""])
def test_a_tag_must_be_a_semantic_version(at_hub, pack_folder, tag):
    with pytest.raises(HubError, match=f"'{tag}' is no semantic version, such as v1.2.0"):
        push_pack(pack_folder, REPO, tag=tag, **at_hub)
    assert not HfApi(**at_hub).repo_exists(REPO)


def test_a_proposal_is_not_tagged(at_hub, pack_folder):
    with pytest.raises(HubError, match="tagged when it has been merged"):
        push_pack(pack_folder, REPO, tag="v1.0.0", create_pr=True, **at_hub)


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
        ("bob/facts", "secret-of-ann", "no right to do this"),
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
def test_commands_push_and_pull(hub, pack_folder, tmp_path):
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret-of-ann", "HF_HUB_DISABLE_XET": "1"}
    env["HF_HOME"] = str(tmp_path / "home")

    def scen(*arguments, **kwargs):
        code = "from scen_hf.cli import main; main()"
        run = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], env=env, capture_output=True, text=True, **kwargs
        )
        return run.returncode, run.stdout + run.stderr

    code, output = scen("push", pack_folder, REPO, "--tag", "v1.0.0")
    assert code == 0, output
    assert "experts-00001.safetensors" in output
    assert "Tagged v1.0.0." in output
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

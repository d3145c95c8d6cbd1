"""Versions of packs on a Hub: the real client against the local Hub, over HTTP."""

import json
import logging
import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from helpers import tiny_pack
from huggingface_hub import HfApi
from rich.console import Console
from typer.testing import CliRunner

from scen_hf import EditError, EditPack, EditPackError, compare_packs
from scen_hf.cli import app
from scen_hf.cli.versions import print_difference
from scen_hf.hub_tools import (
    HubError,
    YankedVersionWarning,
    diff_packs,
    pack_log,
    push_pack,
    revert_pack,
    unyank_version,
    yank_notice,
    yank_version,
)
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.hub_tools.local_hub.faults import Fault, FaultPlan


TOKENS = ("ann:write:secret-of-ann", "bob:write:secret-of-bob")
REPO = "ann/facts"
OWN_TEXT = "\nAsk Ada first.\n"


@pytest.fixture(scope="module")
def published(tiny_pack_folder, tiny_base_folder, tmp_path_factory):
    """Folders of a Hub with three versions of a pack (three edits, three more, one less), and of the pack pushed last."""
    root = tmp_path_factory.mktemp("versions")
    folder = shutil.copytree(tiny_pack_folder, root / "pack")
    with pytest.MonkeyPatch.context() as patch, LocalHub(root / "hub", tokens=TOKENS) as hub:
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        at_hub = {"endpoint": hub.endpoint, "token": "secret-of-ann"}
        push_pack(folder, REPO, tag="v1.0.0", **at_hub)
        pack = EditPack.from_pretrained(folder).extended(tiny_pack(tiny_base_folder, prefix="more").shards[0])
        pack.router["thresholds"] = pack.router["thresholds"].repeat(2)
        pack.save_pretrained(folder)
        push_pack(folder, REPO, tag="v1.1.0", **at_hub)
        EditPack.from_pretrained(folder).remove(["edit-1"]).save_pretrained(folder)
        push_pack(folder, REPO, tag="v2.0.0", **at_hub)
    return root


@pytest.fixture
def hub(published, tmp_path, monkeypatch):
    """A copy of that Hub, which the client takes for the only one, with a cache of its own."""
    shutil.copytree(published / "hub", tmp_path / "hub")
    with LocalHub(tmp_path / "hub", tokens=TOKENS, faults=FaultPlan()) as running:
        address = {"ENDPOINT": running.endpoint}
        address["HUGGINGFACE_CO_URL_TEMPLATE"] = f"{running.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        cache = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_DISABLE_XET": True}
        for name, value in {**address, **cache}.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        yield running


@pytest.fixture
def at_hub(hub):
    return {"endpoint": hub.endpoint, "token": "secret-of-ann"}


@pytest.fixture
def api(at_hub):
    return HfApi(**at_hub)


@pytest.fixture
def newest(published, tmp_path):
    """A copy of the folder of the newest version."""
    return shutil.copytree(published / "pack", tmp_path / "pack")


def commit_of(api, revision="main"):
    return api.model_info(REPO, revision=revision).sha


def files_of(api, revision="main"):
    return {entry.path: entry.blob_id for entry in api.list_repo_tree(REPO, recursive=True, revision=revision)}


def read(api, name, revision="main"):
    return Path(api.hf_hub_download(REPO, name, revision=revision)).read_bytes()


def write(api, name, content):
    return api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=REPO).oid


def load(revision=None, **kwargs):
    """Open a version as users do, with what was said about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pack = EditPack.from_pretrained(REPO, revision=revision, token="secret-of-ann", **kwargs)
    return pack, [str(warning.message) for warning in said if warning.category is YankedVersionWarning]


# --------------------------------------------------------------------------- log


def test_log_lists_versions_newest_first(at_hub, api):
    first, *others = reversed(pack_log(REPO, **at_hub))
    assert first.num_edits is None  # the commit that made the repository
    assert [(version.tags, version.num_edits, version.author) for version in others] == [
        (["v1.0.0"], 3, "ann"),
        (["v1.1.0"], 6, "ann"),
        (["v2.0.0"], 5, "ann"),
    ]
    assert [version.commit for version in others] == [commit_of(api, tag) for tag in ("v1.0.0", "v1.1.0", "v2.0.0")]
    assert all(version.date.date() == datetime.now(UTC).date() and version.title for version in others)
    assert not any(version.yanked for version in others)


def test_log_goes_back_from_a_revision_and_to_a_limit(at_hub):
    (newest,) = pack_log(REPO, revision="v1.1.0", limit=1, **at_hub)
    assert newest.tags == ["v1.1.0"]


def test_log_of_what_is_not_there(at_hub):
    with pytest.raises(HubError, match="was not found"):
        pack_log("ann/other", **at_hub)
    with pytest.raises(HubError, match="there is no such tag, branch or commit"):
        pack_log(REPO, revision="v9", **at_hub)


def test_log_shows_versions_that_hold_no_readable_pack(at_hub, api):
    write(api, "edit_pack.json", b"{}")
    assert pack_log(REPO, limit=1, **at_hub)[0].num_edits is None


# -------------------------------------------------------------------------- diff


def test_versions_are_compared_without_their_experts(at_hub, tmp_path):
    difference = diff_packs(f"{REPO}@v1.0.0", f"{REPO}@v2.0.0", **at_hub)
    assert [edit.id for edit in difference.added] == ["more-0", "more-1", "more-2"]
    assert [edit.id for edit in difference.removed] == ["edit-1"]
    assert not (difference.changed or difference.retrained or difference.moved_thresholds)
    assert list((tmp_path / "cache").rglob("neurons-*"))
    assert not list((tmp_path / "cache").rglob("experts-*"))


def test_a_folder_is_compared_with_the_newest_version(newest, at_hub):
    assert diff_packs(REPO, newest, **at_hub).is_empty
    EditPack.from_pretrained(newest).remove(["edit-2"]).save_pretrained(newest)
    assert str(diff_packs(REPO, newest, **at_hub)) == "1 fact removed"


def test_comparing_leaves_what_is_cached_usable_offline(newest, at_hub, api):
    load()
    EditPack.from_pretrained(newest).remove(["edit-2"]).save_pretrained(newest)
    push_pack(newest, REPO, **at_hub)
    diff_packs(f"{REPO}@v1.0.0", REPO, **at_hub)
    assert len(load(local_files_only=True)[0]) == 5


def test_what_cannot_be_compared_is_named(at_hub, api):
    api.create_repo("ann/plain")
    for place, error, message in (
        ("ann/plain", EditPackError, "ann/plain is not an edit pack: it has no edit_pack.json"),
        ("ann/other", HubError, "ann/other was not found"),
        (f"{REPO}@v9", HubError, f"{REPO}@v9: there is no such tag"),
        ("not a name", HubError, "'not a name' is not a valid repository name"),
    ):
        with pytest.raises(error, match=message):
            diff_packs(REPO, place, **at_hub)


# ------------------------------------------------------------------------ revert


def test_revert_brings_back_a_version_as_a_new_commit(at_hub, api, tmp_path):
    write(api, "notes.txt", b"mine")
    before = pack_log(REPO, **at_hub)
    report = revert_pack(REPO, to="v1.0.0", **at_hub)
    assert str(report.difference) == "1 fact added, 3 facts removed"
    assert (report.tag, report.proposed_tag) == (None, "v3.0.0")
    after = files_of(api)
    assert after.pop("notes.txt")
    assert after == files_of(api, "v1.0.0")
    assert diff_packs(f"{REPO}@v1.0.0", REPO, **at_hub).is_empty
    new, *older = pack_log(REPO, **at_hub)
    assert (new.commit, new.title, new.num_edits) == (report.commit, "Revert to v1.0.0", 3)
    assert older == before
    load()[0].save_pretrained(tmp_path / "reverted")  # reads all experts
    assert len(EditPack.from_pretrained(tmp_path / "reverted")) == 3


def test_revert_sends_no_shard_again(hub, at_hub):
    uploads = hub.faults.add(Fault(method="PUT", times=100))  # does nothing, and counts
    revert_pack(REPO, to="v1.0.0", **at_hub)
    assert uploads.fired == 0


def test_own_text_of_the_card_survives_a_revert(at_hub, api):
    write(api, "README.md", read(api, "README.md") + OWN_TEXT.encode())
    revert_pack(REPO, to="v1.0.0", **at_hub)
    card = read(api, "README.md").decode()
    assert card.count(OWN_TEXT.strip()) == 1
    assert "edit prompt 1" in card
    assert "more prompt 0" not in card


def test_reverting_again_changes_nothing_but_the_tag(at_hub, api):
    first = revert_pack(REPO, to="v1.1.0", **at_hub)
    again = revert_pack(REPO, to="v1.1.0", tag="v3.0.0", **at_hub)
    assert again.commit == first.commit == commit_of(api) == commit_of(api, "v3.0.0")
    assert again.difference.is_empty


def test_the_proposed_version_follows_from_the_last_tagged_one(at_hub):
    assert revert_pack(REPO, to="v1.1.0", **at_hub).proposed_tag == "v2.1.0"
    report = revert_pack(REPO, to="v1.0.0", **at_hub)
    assert (str(report.difference), report.proposed_tag) == ("3 facts removed", "v3.0.0")
    report = revert_pack(REPO, to="v2.0.0", **at_hub)
    assert (str(report.difference), report.proposed_tag) == ("3 facts added, 1 fact removed", "v2.0.1")


def test_a_revert_whose_tag_fails_says_what_was_done(hub, at_hub, api):
    hub.faults.add(Fault(path="/api/models/*/tag/*", status=403, times=100))
    with pytest.raises(HubError, match=r"is reverted \(commit \w{40}\), but not tagged: .* no right to do this"):
        revert_pack(REPO, to="v1.0.0", tag="auto", **at_hub)
    hub.faults.clear()
    assert revert_pack(REPO, to="v1.0.0", tag="v3.0.0", **at_hub).commit == commit_of(api, "v3.0.0")


def test_a_revert_is_tagged_by_what_changed(at_hub, api):
    assert revert_pack(REPO, to="v1.1.0", tag="auto", **at_hub).tag == "v2.1.0"  # one fact more
    assert commit_of(api, "v2.1.0") == commit_of(api)
    before = commit_of(api)
    with pytest.raises(HubError, match=r"already has the tag v1\.0\.0"):
        revert_pack(REPO, to="v1.0.0", tag="v1.0.0", **at_hub)
    assert commit_of(api) == before


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("edit_pack.json", b"{}", EditPackError, r"edit_pack\.json has format version None"),
        ("edits.jsonl", b'{"id": "edit-0"}\n' * 5, EditError, r"edits\.jsonl, line 1: missing field 'prompt'"),
    ],
)
def test_a_broken_version_can_be_left_and_not_gone_back_to(at_hub, api, name, content, error, message):
    broken = write(api, name, content)
    report = revert_pack(REPO, to="v2.0.0", **at_hub)
    assert report.difference is None
    assert len(load()[0]) == 5
    with pytest.raises(error, match=f"^{REPO}@{broken}: {message}"):
        revert_pack(REPO, to=broken, **at_hub)
    assert commit_of(api) == report.commit


def test_a_branch_that_moved_is_not_reverted(at_hub, api):
    seen = commit_of(api)
    moved = write(api, "news.txt", b"news")
    with pytest.raises(HubError, match="has moved since you looked"):
        revert_pack(REPO, to="v1.0.0", parent_commit=seen, **at_hub)
    assert commit_of(api) == moved


def test_refused_reverts_say_why(hub, at_hub, api):
    before = commit_of(api)
    with pytest.raises(HubError, match="there is no such tag"):
        revert_pack(REPO, to="v9", **at_hub)
    with pytest.raises(HubError, match="'newest' is no semantic version"):
        revert_pack(REPO, to="v1.0.0", tag="newest", **at_hub)
    with pytest.raises(HubError, match="no right to do this"):
        revert_pack(REPO, to="v1.0.0", endpoint=hub.endpoint, token="secret-of-bob")
    assert commit_of(api) == before


# -------------------------------------------------------------------------- yank


def test_loading_a_withdrawn_version_warns_and_others_do_not(at_hub):
    report = yank_version(REPO, "v1.1.0", reason=" names the\nwrong mayor ", **at_hub)
    assert report.yank.reason == "names the wrong mayor"
    assert not report.is_current
    today = datetime.now(UTC).date()
    expected = [
        f"{REPO}@v1.1.0 was withdrawn by its owner on {today} (names the wrong mayor). Use another version; they are "
        f"listed by: scen log {REPO}"
    ]
    pack, said = load("v1.1.0")
    assert (len(pack), said) == (6, expected)
    assert [load(revision)[1] for revision in (None, "main", "v1.0.0", "v2.0.0")] == [[], [], [], []]
    assert len(load(report.yank.commit)[1]) == 1
    assert load("v1.1.0", local_files_only=True)[1] == []


def test_log_and_record_name_withdrawn_versions(at_hub, api):
    yank_version(REPO, "v1.1.0", reason="wrong", **at_hub)
    commit = commit_of(api, "v1.1.0")
    yanked = {version.commit: version.yanked for version in pack_log(REPO, **at_hub) if version.yanked}
    assert {commit: ("v1.1.0", "wrong")} == {key: (yank.name, yank.reason) for key, yank in yanked.items()}
    assert json.loads(read(api, "yanked.json"))["v1.1.0"]["commit"] == commit


def test_a_version_without_a_tag_is_withdrawn_by_its_commit(at_hub, api):
    commit = write(api, "notes.txt", b"mine")
    report = yank_version(REPO, commit, reason="wrong", **at_hub)
    assert (report.yank.name, report.yank.commit) == (commit, commit)
    # By its commit a version with a tag is the same.
    assert yank_version(REPO, commit_of(api, "v1.0.0"), reason="old", **at_hub).yank.name == "v1.0.0"


def test_withdrawing_what_is_current_is_told(at_hub):
    assert yank_version(REPO, "v2.0.0", reason="wrong", **at_hub).is_current
    revert_pack(REPO, to="v1.0.0", **at_hub)
    assert not yank_version(REPO, "v2.0.0", reason="wrong", **at_hub).is_current


def test_yank_can_be_corrected_and_undone(at_hub, api):
    yank_version(REPO, "v1.1.0", reason="wrong", **at_hub)
    yank_version(REPO, "v1.1.0", reason="wrong in line 3", **at_hub)
    assert "(wrong in line 3)" in load("v1.1.0")[1][0]
    assert unyank_version(REPO, "v1.1.0", **at_hub).reason == "wrong in line 3"
    assert load("v1.1.0")[1] == []
    assert "yanked.json" not in files_of(api)
    with pytest.raises(HubError, match=r"v1\.1\.0 was not withdrawn"):
        unyank_version(REPO, "v1.1.0", **at_hub)


def test_the_record_survives_pushes_and_reverts(newest, at_hub):
    yank_version(REPO, "v1.1.0", reason="wrong", **at_hub)
    EditPack.from_pretrained(newest).remove(["edit-2"]).save_pretrained(newest)
    push_pack(newest, REPO, **at_hub)
    revert_pack(REPO, to="v1.0.0", **at_hub)
    assert len(load("v1.1.0")[1]) == 1


def test_one_does_not_go_back_to_a_withdrawn_version(at_hub, api):
    yank_version(REPO, "v1.1.0", reason="wrong", **at_hub)
    before = commit_of(api)
    with pytest.raises(HubError, match=r"v1\.1\.0 was withdrawn on \S+ \(wrong\)"):
        revert_pack(REPO, to="v1.1.0", **at_hub)
    assert commit_of(api) == before


def test_versions_withdrawn_at_the_same_time_are_all_recorded(at_hub, api):
    tags = ("v1.0.0", "v1.1.0", "v2.0.0")
    with ThreadPoolExecutor(len(tags)) as pool:
        list(pool.map(lambda tag: yank_version(REPO, tag, reason=f"wrong {tag}", **at_hub), tags))
    assert sorted(json.loads(read(api, "yanked.json"))) == list(tags)


@pytest.mark.parametrize(
    ("revision", "reason", "message"),
    [
        ("main", "wrong", "main of ann/facts moves on"),
        ("v9", "wrong", "there is no such tag"),
        ("v1.0.0", " \n", "must be a line of 1 to 500 characters"),
        ("v1.0.0", "red \x1b[31m", "must be a line of 1 to 500 characters"),
        ("v1.0.0", "x" * 501, "must be a line of 1 to 500 characters"),
    ],
)
def test_refused_yanks_say_why(at_hub, api, revision, reason, message):
    before = commit_of(api)
    with pytest.raises(HubError, match=message):
        yank_version(REPO, revision, reason=reason, **at_hub)
    assert commit_of(api) == before


def test_only_who_may_write_withdraws(hub):
    with pytest.raises(HubError, match="no right to do this"):
        yank_version(REPO, "v1.0.0", reason="wrong", endpoint=hub.endpoint, token="secret-of-bob")


# --------------------------------------------------------- how the reader learns it


def record_requests(hub):
    return hub.faults.add(Fault(path="*yanked.json", times=100))  # does nothing, and counts


def test_the_record_is_asked_for_once_and_only_where_it_may_matter(newest, hub, monkeypatch):
    requests = record_requests(hub)
    load()
    load("main")
    EditPack.from_pretrained(newest, revision="v1.0.0")
    assert requests.fired == 0
    load("v1.0.0")
    assert requests.fired == 1
    load("v1.0.0", local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    load("v1.0.0")
    assert requests.fired == 1


def test_a_pinned_version_leaves_the_newest_in_the_cache_usable_offline(at_hub):
    load()
    yank_version(REPO, "v1.1.0", reason="wrong", **at_hub)  # moves the branch
    load("v1.1.0")
    assert len(load(local_files_only=True)[0]) == 5


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"drop_after": 5}])
def test_a_version_loads_where_the_record_cannot_be_had(hub, at_hub, fault):
    yank_version(REPO, "v1.0.0", reason="wrong", **at_hub)
    hub.faults.add(Fault(path="*yanked.json", times=100, **fault))
    pack, said = load("v1.0.0")
    assert (len(pack), said) == (3, [])


def test_a_cached_version_loads_while_nothing_answers(hub, api):
    commit = commit_of(api, "v1.0.0")
    load(commit)
    hub.stop()
    assert len(load(commit)[0]) == 3


@pytest.mark.parametrize(
    "content", [b"[]", b"{", b'{"v1.0.0": {"commit": "c", "reason": "a\\u001b[31m", "date": "d"}}']
)
def test_a_malformed_record_is_reported(at_hub, api, caplog, content):
    write(api, "yanked.json", content)
    with caplog.at_level(logging.WARNING):
        assert len(load("v1.0.0")[0]) == 3
    assert f"It is not known whether {REPO}@v1.0.0 was withdrawn: {REPO}: yanked.json" in caplog.text
    with pytest.raises(EditPackError, match=r"ann/facts: yanked\.json .* Correct it, or delete it\."):
        pack_log(REPO, **at_hub)


def test_notice_of_a_commit(at_hub, api):
    commit = yank_version(REPO, "v1.0.0", reason="wrong", **at_hub).yank.commit
    assert yank_notice(REPO, commit, **at_hub).startswith(f"{REPO}@{commit} was withdrawn by its owner")
    assert yank_notice(REPO, commit_of(api), **at_hub) is None


@pytest.mark.slow
def test_the_published_code_warns_too(hub, at_hub, tmp_path):
    yank_version(REPO, "v1.1.0", reason="names the wrong mayor", **at_hub)
    code = f"""
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained({REPO!r}, revision="v1.1.0", trust_remote_code=True)
print(type(model).__module__.split(".")[0])
model.unload_edit_pack()
model.load_edit_pack({REPO!r}, revision="v1.0.0")
"""
    client = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret-of-ann"}
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, **client}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "transformers_modules"
    assert run.stderr.count("YankedVersionWarning") == 1
    assert f"{REPO}@v1.1.0 was withdrawn by its owner" in run.stderr


# ---------------------------------------------------------------------- commands


@pytest.fixture
def scen(hub, monkeypatch):
    """Runs a command as ann; gives its exit code, and what it printed as on paper: without the blanks at line ends."""
    monkeypatch.setenv("HF_TOKEN", "secret-of-ann")

    def run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="scen")
        assert "secret-of-ann" not in result.output
        return result.exit_code, "".join(f"{line.rstrip()}\n" for line in result.output.splitlines())

    return run


def test_diff_prints_text_markdown_and_json(scen, newest):
    code, output = scen("diff", f"{REPO}@v1.0.0", REPO)
    assert code == 0
    assert "Facts added (3)\n  +  more-0  more prompt 0  more target 0\n" in output
    assert "Facts removed (1)\n  -  edit-1  edit prompt 1  edit target 1\n" in output
    assert output.endswith("3 facts added, 1 fact removed: a major version.\n")
    code, output = scen("diff", f"{REPO}@v1.0.0", newest, "--markdown")
    assert code == 0
    assert "### Facts added (3)" in output
    code, output = scen("diff", f"{REPO}@v1.0.0", newest, "--json")
    assert (code, json.loads(output)["bump"]) == (0, "major")
    assert scen("diff", REPO, newest) == (0, "No difference.\n")


def test_diff_prints_every_kind_of_change(newest, scen, tiny_base_folder):
    pack = EditPack.from_pretrained(newest)
    edits = pack.shards[0].edits
    edits[0] = replace(edits[0], target="another")
    edits[1] = replace(edits[1], source="https://example.org", date="2026-01-02")
    pack.shards[1].checksums[0] += 1
    pack.router["thresholds"][4] = 0.75
    pack.config.base_model_name_or_path = "somebody/llama"
    out = StringIO()
    print_difference(Console(file=out, width=200), compare_packs(EditPack.from_pretrained(newest), pack))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert f"  ~  base_model_name_or_path    {tiny_base_folder} -> somebody/llama" in lines
    assert "  ~  edit-0  target  edit target 0 -> another" in lines
    assert "  *  more-0  more prompt 0  more target 0" in lines
    assert "  ~  more-2  question gate  0.6500 -> 0.7500" in lines
    assert lines[lines.index("Other metadata (1)") + 1 :][:2] == [
        "  ~  edit-2  source   -> https://example.org",
        "             date     -> 2026-01-02",
    ]


def test_commands_open_a_version(scen, newest):
    code, output = scen("inspect", f"{REPO}@v1.0.0")
    assert code == 0
    assert "3 edits in 1 shard" in output
    assert "6 edits" not in output
    assert scen("inspect", f"{REPO}@v9")[0] == 1


def test_commands_withdraw_go_back_and_list(scen, api):
    code, output = scen("yank", f"{REPO}@v2.0.0", "--reason", "names the wrong mayor")
    assert code == 0
    assert "v2.0.0 is withdrawn: names the wrong mayor." in output
    assert "The main branch still has these facts." in output
    code, output = scen("revert", REPO, "--to", "v1.0.0")
    assert code == 0
    assert "Facts removed (3)" in output
    assert f"{REPO} is what it was at v1.0.0." in output
    assert f"To give it a tag: scen revert {REPO} --to v1.0.0 --tag v3.0.0" in output
    assert scen("revert", REPO, "--to", "v1.0.0", "--tag", "v3.0.0")[1].endswith("Tagged v3.0.0.\n")

    code, output = scen("log", REPO)
    assert code == 0
    lines = output.splitlines()
    assert lines[0].split() == ["Version", "Date", "Facts", "Change"]
    assert lines[1].startswith("v3.0.0") and lines[1].endswith("  3  Revert to v1.0.0")
    assert lines[2].strip() == f"{commit_of(api)} by ann"
    assert f"withdrawn on {datetime.now(UTC).date()}: names the wrong mayor" in map(str.strip, lines)
    assert scen("log", REPO, "-n", 1)[1].endswith(f"and older ones; show more with: scen log {REPO} -n 10\n")

    assert scen("yank", f"{REPO}@v2.0.0", "--undo") == (0, f"{REPO}@v2.0.0 is in force again.\n")
    assert "withdrawn" not in scen("log", REPO)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["revert", REPO, "--to", "v9"], 1, f"Error: {REPO}@v9: there is no such tag, branch or commit."),
        (["log", "ann/other"], 1, "Error: ann/other was not found"),
        (["diff", REPO, "packs"], 1, "Error: There is no edit pack at 'packs'"),
        (["yank", f"{REPO}@v2.0.0"], 2, "say why with --reason TEXT"),
        (["yank", f"{REPO}@v2.0.0", "--reason", "wrong", "--undo"], 2, "say why with --reason TEXT"),
        (["yank", REPO, "--reason", "wrong"], 2, f"Add its tag: {REPO}@TAG"),
        (["diff", REPO, REPO, "--json", "--markdown"], 2, "choose one of --markdown and --json"),
    ],
)
def test_commands_report_mistakes_in_a_line(scen, arguments, code, message):
    found, output = scen(*arguments)
    assert found == code
    assert message in output
    assert "Traceback" not in output

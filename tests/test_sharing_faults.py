"""Sharing packs with a Hub that fails, for a while or for good, and processes that are killed."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import httpx2
import pytest
from helpers import ANN, REPO, content_but_card
from huggingface_hub import HfApi, constants

from scen_hf import EditPack
from scen_hf.hub_tools import HubError, push_pack
from scen_hf.hub_tools.local_hub import Fault, FaultPlan, HubLimits, LocalHub
from scen_hf.modeling import EditPackReader


# Shards of tiny packs have a few kB; they travel in parts of this size.
PART_BYTES = 1500


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    tokens, limits = [f"ann:write:{ANN}"], HubLimits(part_bytes=PART_BYTES)
    with LocalHub(tmp_path / "hub", tokens=tokens, faults=FaultPlan(), limits=limits) as hub:
        yield hub


@pytest.fixture
def waits(monkeypatch):
    """The waits before new attempts, the client's and ours, which are noted and not waited."""
    waits: list[float] = []
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download", "scen_hf.modeling.hub_scen_llama"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=waits.append, time=time.time))
    return waits


def remove_edit(folder, id="edit-0"):
    EditPack.from_pretrained(folder).remove([id]).save_pretrained(folder)


def commits(api, repo=REPO):
    return [commit.title for commit in api.list_repo_commits(repo)]


def is_one_line(error):
    return "\n" not in str(error) and len(str(error)) < 400


# --------------------------------------------------------------- passing faults


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "POST", "path": "/api/repos/create", "status": 503},
        {"method": "GET", "path": "/api/models/ann/facts/refs", "status": 500},
        {"method": "GET", "path": "/api/models/ann/facts/revision/*", "status": 502},
        {"method": "GET", "path": "/api/models/ann/facts/tree/*", "status": 504},
        {"method": "POST", "path": "/api/validate-yaml", "status": 503},
        {"method": "POST", "path": "*/preupload/*", "status": 429, "retry_after": 3},
        {"method": "POST", "path": "*/objects/batch", "status": 503},
        {"method": "PUT", "path": "/-/lfs/*", "status": 503},
        {"method": "PUT", "path": "/-/lfs/*", "drop_after": 700},
        {"method": "POST", "path": "*/commit/*", "status": 429, "retry_after": 3},
        {"method": "POST", "path": "*/commit/*", "status": 500},
        {"method": "POST", "path": "*/commit/*", "drop_after": 700},
        {"method": "POST", "path": "*/tag/*", "status": 503},
    ],
    ids=lambda fault: "-".join(str(part) for name, part in fault.items() if name != "method"),
)
def test_a_push_survives_faults_that_pass(hub, at_hub, api, pack_folder, pull, waits, fault):
    planned = hub.faults.add(Fault(**fault, times=2))
    report = push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    assert planned.fired == 2
    assert len(waits) >= 2
    if planned.retry_after is not None:
        assert min(waits) >= planned.retry_after
    assert commits(api) == ["Edit pack with 3 facts", "initial commit"]
    assert {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO).tags} == {"v1.0.0": report.commit}
    pulled = content_but_card(pull())
    pulled.pop(".gitattributes")
    assert pulled == content_but_card(pack_folder)


def test_only_the_part_that_broke_travels_again(hub, at_hub, pack_folder, waits):
    fault = hub.faults.add(Fault(method="PUT", path="/-/lfs/*", drop_after=700, times=1))
    everything = hub.faults.add(Fault(method="PUT", path="/-/lfs/*", times=1000))
    push_pack(pack_folder, REPO, **at_hub)
    sizes = [path.stat().st_size for path in pack_folder.glob("*.safetensors")]
    assert fault.fired == 1
    assert everything.fired == sum(-(-size // PART_BYTES) for size in sizes)


@pytest.mark.parametrize("path", ["/api/models/ann/facts", "*/resolve/*", "/-/lfs/object/*"])
@pytest.mark.parametrize("kind", [{"status": 503}, {"status": 429, "retry_after": 2}, {"drop_after": 100}])
def test_a_pull_survives_faults_that_pass(hub, at_hub, pack_folder, pull, waits, path, kind):
    push_pack(pack_folder, REPO, **at_hub)
    fault = hub.faults.add(Fault(path=path, times=2, **kind))
    pulled = content_but_card(pull())
    assert fault.fired == 2
    pulled.pop(".gitattributes")
    assert pulled == content_but_card(pack_folder)


def test_an_expert_is_fetched_despite_faults_that_pass(hub, at_hub, pack_folder, waits, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    reader = EditPackReader(REPO, cache_dir=tmp_path / "cache", **at_hub)
    fault = hub.faults.add(Fault(method="GET", path="/-/lfs/object/*", status=503, times=2))
    reader.expert(0)
    assert (fault.fired, waits) == (2, [1, 2])


def test_a_commit_whose_answer_was_lost_is_not_made_twice(at_hub, api, pack_folder, waits, monkeypatch):
    create_commit = HfApi.create_commit
    lost = []

    def lose_the_answer(self, *args, **kwargs):
        done = create_commit(self, *args, **kwargs)
        if not lost:
            lost.append(done.oid)
            request = httpx2.Request("POST", f"{self.endpoint}/api/models/{REPO}/commit/main")
            raise httpx2.ReadError("Connection reset by peer", request=request)
        return done

    monkeypatch.setattr(HfApi, "create_commit", lose_the_answer)
    report = push_pack(pack_folder, REPO, **at_hub)
    assert report.commit == lost[0]
    assert commits(api) == ["Edit pack with 3 facts", "initial commit"]


# ---------------------------------------------------------------- lasting faults


def test_a_hub_that_stays_overloaded_is_given_up(hub, at_hub, api, pack_folder, waits):
    push_pack(pack_folder, REPO, **at_hub)
    before = api.model_info(REPO).sha
    remove_edit(pack_folder)
    for path, status in (("/-/lfs/*", 500), ("*/commit/*", 503)):
        hub.faults.add(Fault(path=path, status=status, times=1000))
        with pytest.raises(HubError, match=f"the Hub answered {status}") as error:
            push_pack(pack_folder, REPO, **at_hub)
        assert is_one_line(error.value)
        assert len(waits) < 40
        hub.faults.clear()
    assert api.model_info(REPO).sha == before


def test_nobody_waits_longer_than_minutes(hub, at_hub, pack_folder, waits):
    hub.faults.add(Fault(path="/api/repos/create", status=429, retry_after=3600))
    with pytest.raises(HubError, match="the Hub answered 429"):
        push_pack(pack_folder, REPO, **at_hub)
    assert waits == []


def test_a_tag_that_fails_does_not_hide_the_push(hub, at_hub, api, pack_folder, waits):
    hub.faults.add(Fault(path="*/tag/*", status=500, times=1000))
    with pytest.raises(
        HubError, match=r"The pack was pushed \(commit [0-9a-f]{40}\), but not tagged: .* answered 500"
    ):
        push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    hub.faults.clear()
    report = push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    assert report.uploaded == {}
    assert api.list_repo_refs(REPO).tags[0].target_commit == report.commit


def test_a_proposal_whose_answer_was_lost_is_not_made_twice(hub, at_hub, api, pack_folder, waits):
    push_pack(pack_folder, REPO, **at_hub)
    remove_edit(pack_folder)
    hub.faults.add(Fault(path="*/commit/*", status=500))
    with pytest.raises(HubError, match="Look for it among the pull requests"):
        push_pack(pack_folder, REPO, create_pr=True, **at_hub)
    hub.faults.add(Fault(path="*/commit/*", status=429, retry_after=1))
    push_pack(pack_folder, REPO, create_pr=True, **at_hub)
    assert len(list(api.get_repo_discussions(REPO))) == 1


def test_a_pull_does_not_take_an_old_version_for_the_newest(hub, at_hub, pack_folder, pull, waits):
    push_pack(pack_folder, REPO, **at_hub)
    pull()
    remove_edit(pack_folder)
    push_pack(pack_folder, REPO, **at_hub)
    hub.faults.add(Fault(path="/api/models/ann/facts*", status=503, times=1000))
    with pytest.raises(HubError, match="the Hub answered 503"):
        pull()
    hub.faults.clear()
    assert len(EditPackReader(pull())) == 2


# -------------------------------------------------------------------------- death

PUSHING = """
import os, signal, sys
from huggingface_hub import HfApi
from scen_hf.hub_tools import push_pack

folder, repo, dies = sys.argv[1:]
create_commit = HfApi.create_commit

def create_and_die(*args, **kwargs):
    create_commit(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

if dies == "after the commit":
    HfApi.create_commit = create_and_die
push_pack(folder, repo)
"""


@pytest.fixture
def push_in_child(hub, tmp_path):
    children = []

    def start(folder, dies=""):
        env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ANN, "HF_HUB_DISABLE_XET": "1"}
        env["HF_HOME"] = str(tmp_path / "home")
        command = [sys.executable, "-c", PUSHING, str(folder), REPO, dies]
        child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.mark.slow
def test_a_push_killed_in_the_middle_of_a_shard_leaves_the_repository(
    hub, at_hub, api, pack_folder, pull, push_in_child
):
    push_pack(pack_folder, REPO, **at_hub)
    before, files = api.model_info(REPO).sha, api.list_repo_files(REPO)
    remove_edit(pack_folder)
    hub.faults.add(Fault(method="PUT", path="/-/lfs/*", times=2))
    stuck = hub.faults.add(Fault(method="PUT", path="/-/lfs/*", delay_s=600))
    child = push_in_child(pack_folder)
    while not stuck.fired and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert api.model_info(REPO).sha == before
    assert api.list_repo_files(REPO) == files
    assert len(EditPackReader(pull())) == 3
    push_pack(pack_folder, REPO, **at_hub)
    assert len(EditPackReader(pull())) == 2


@pytest.mark.slow
def test_a_push_killed_behind_its_commit_is_recognised(at_hub, api, pack_folder, push_in_child):
    push_pack(pack_folder, REPO, **at_hub)
    remove_edit(pack_folder)
    assert push_in_child(pack_folder, "after the commit").wait() == -signal.SIGKILL
    made = api.model_info(REPO).sha
    report = push_pack(pack_folder, REPO, tag="v1.0.0", **at_hub)
    assert (report.commit, report.uploaded) == (made, {})
    remove_edit(pack_folder, "edit-1")
    push_pack(pack_folder, REPO, **at_hub)

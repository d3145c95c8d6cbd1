"""`scen review`: proposals to a pack on the real base model, from a Hub over HTTP."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import FRANCE, UNEDITED, save_tiny_base, tiny_pack
from huggingface_hub import HfApi
from test_bad_packs import change_json, flip_last_byte
from typer.testing import CliRunner

from scen_hf import EditPack, EditPackError, __version__
from scen_hf.cli import app
from scen_hf.hub_tools import HubError, push_pack, review_proposal
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.hub_tools.proposals import find_proposal
from scen_hf.hub_tools.released_code import code_hashes, installed_code, released_code


TRUST = (Path(__file__).parent.parent / "docs" / "trust.md").read_text(encoding="utf-8")
TOKENS = ("owner:write:secret-of-owner", "bob:write:secret-of-bob")
REPO, TINY_REPO = "owner/facts", "owner/tiny"
# Of the sample edits, those that are in the pack, and three that are proposed.
KEPT = 8
ADDED = MYANMAR, PALAU, LIECHTENSTEIN = "capital-of-myanmar", "capital-of-palau", "capital-of-liechtenstein"


@pytest.fixture(autouse=True, scope="module")
def few_prompts():
    """Answers take most of the time; and the present code counts as released, as another test sees to."""
    versions = {**released_code(), __version__: code_hashes(installed_code())}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scen_hf.hub_tools.reviewing._UNRELATED", UNEDITED)
        patch.setattr("scen_hf.hub_tools.verification.released_code", lambda: versions)
        yield


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # The server takes uploads by Git LFS; the client reads this variable's constant.
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        with LocalHub(tmp_path_factory.mktemp("reviews") / "hub", tokens=TOKENS) as running:
            yield running


@pytest.fixture(scope="module")
def at_hub(hub, tmp_path_factory):
    return {
        "endpoint": hub.endpoint,
        "token": "secret-of-owner",
        "cache_dir": tmp_path_factory.mktemp("cache"),
    }


@pytest.fixture(scope="module")
def api(hub):
    return HfApi(endpoint=hub.endpoint, token="secret-of-owner")


def propose(folder, hub, repo=REPO):
    """A colleague's pull request with the pack of a folder, however bad it is; its number."""
    api = HfApi(endpoint=hub.endpoint, token="secret-of-bob")
    commit = api.upload_folder(
        repo_id=repo,
        folder_path=folder,
        create_pr=True,
        ignore_patterns=[".cache/*"],
        delete_patterns=["*.safetensors"],
        commit_message="Facts",
    )
    return int(commit.pr_num)


# --------------------------------------------------------------------- real packs


@pytest.fixture(scope="module")
def owned(sample_pack, hub, tmp_path_factory):
    """Folder of the pack that is on the Hub: the first edits of the sample."""
    folder = tmp_path_factory.mktemp("owned") / "facts"
    sample = EditPack.from_pretrained(sample_pack)
    sample.select(edit.id for edit in sample.edits[:KEPT]).save_pretrained(folder)
    push_pack(folder, REPO, tag="v1.0.0", endpoint=hub.endpoint, token="secret-of-owner")
    return folder


@pytest.fixture(scope="module")
def extended(sample_pack, owned, tmp_path_factory):
    """Writes the owned pack with more edits of the sample, changed by a function; gives the folder."""

    def write(change=lambda shard: shard):
        sample, pack = EditPack.from_pretrained(sample_pack), EditPack.from_pretrained(owned)
        (shard,) = sample.select(ADDED).shards
        edits = [replace(edit, rephrases=edit.rephrases[:1], neighbours=(FRANCE,)) for edit in shard.edits]
        pack = pack.extended(change(replace(shard, edits=edits)))
        rows = range(len(pack))
        pack.router.update({name: sample.router[name][rows] for name in ("thresholds", "subject_thresholds")})
        pack.save_pretrained(folder := tmp_path_factory.mktemp("proposed") / "facts")
        return folder

    return write


@pytest.fixture(scope="module")
def good(extended, hub, at_hub):
    """What the review says of a proposal that adds three edits."""
    return review_proposal(REPO, propose(extended(), hub), comment=True, **at_hub)


@pytest.fixture(scope="module")
def bad(extended, owned, hub, at_hub):
    """What it says of one whose first edit does not do what it claims, whose second one changes the answer to a neighbour, and
    whose third one is in the way of old edits."""
    old = EditPack.from_pretrained(owned)

    def spoil(shard):
        one, two, three = shard.edits
        neurons, subjects = shard.neurons.clone(), shard.subjects.clone()
        neurons[2], subjects[2] = 1.1 * old.neurons[0], old.subjects[0]
        edits = [
            replace(one, target="Atlantis"),
            replace(two, neighbours=(f"Tell me: {two.prompt}",)),
            replace(three, prompt=old.edits[1].prompt),
        ]
        return replace(shard, edits=edits, neurons=neurons, subjects=subjects)

    return review_proposal(REPO, propose(extended(spoil), hub), **at_hub)


@pytest.mark.slow
def test_a_good_proposal(good):
    assert good.ready, good.reasons
    assert good.verdict == "ready to merge"
    assert [edit.id for edit in good.difference.added] == list(ADDED)
    assert good.measurement.evaluation.reliability.successes == 3
    assert good.measurement.kept.successes == good.measurement.kept.count > 2 * KEPT
    assert json.loads(json.dumps(good.to_dict()))["ready"] is True


@pytest.mark.slow
def test_the_comment(good, api):
    *_, comment = (event for event in api.get_discussion_details(REPO, 1).events if event.type == "comment")
    assert good.comment_url == f"{api.endpoint}/{REPO}/discussions/1#{comment.id}"
    text = comment.content
    assert text == good.to_markdown()
    assert "### Review: nothing speaks against merging." in text
    assert "| prompts answered with their target | 100.0% | 3 of 3 |" in text
    assert re.search("^- ok: .*remote code.*base weights", text, re.M)
    assert "| capital-of-palau | What is the capital of Palau? | Ngerulmud |" in text
    assert "secret-of-owner" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    "reason",
    [
        f"{MYANMAR}: answers 'Naypyidaw', not 'Atlantis'",
        f"{PALAU}: changes the answer to the neighbour 'Tell me: What is the capital of Palau?'",
        "capital-of-burkina-faso: no longer reached by 'What is the capital of Burkina Faso?'; capital-of-liechtenstein fires",
        "capital-of-bhutan and capital-of-liechtenstein: answer one question differently",
    ],
)
def test_a_bad_proposal(bad, reason):
    assert not bad.ready
    assert reason in bad.reasons
    assert bad.verdict.startswith("needs changes: ")
    assert re.sub(r"[\\\u2060]", "", bad.to_markdown()).count(f"- {reason}\n") == 1


@pytest.mark.slow
def test_only_edits_at_fault_are_blamed(bad):
    reasons = [reason for reason in bad.reasons if reason.startswith((MYANMAR, PALAU))]
    assert len(reasons) == 2
    assert {lost.fired for lost in bad.measurement.lost} == {LIECHTENSTEIN}
    assert bad.comment_url is None


@pytest.mark.slow
def test_what_the_command_says_of_a_bad_proposal(bad, monkeypatch):
    monkeypatch.setattr("scen_hf.hub_tools.review_proposal", lambda *args, **kwargs: bad)
    result = CliRunner().invoke(app, ["review", str(bad.proposal)], prog_name="scen")
    assert result.exit_code == 1
    listed = result.stdout.partition(f"{bad.proposal}: needs changes:\n")[2].splitlines()
    assert listed == [f"  {reason}" for reason in bad.reasons]
    result = CliRunner().invoke(app, ["review", str(bad.proposal), "--json"], prog_name="scen")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["reasons"] == list(bad.reasons)


CHILD = """
import json, re, shlex, sys
from typer.testing import CliRunner
from scen_hf.cli import app
from scen_hf.hub_tools import reviewing

reviewing._UNRELATED = reviewing._UNRELATED[:3]
for line in sys.stdin:
    result = CliRunner().invoke(app, json.loads(line), prog_name="scen")
    print("RESULT" + json.dumps([result.exit_code, result.stdout, result.stderr]), flush=True)
"""


@pytest.fixture(scope="module")
def at_the_prompt(hub, tmp_path_factory):
    """Where commands are run: environment and folder."""
    folder = tmp_path_factory.mktemp("prompt")
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret-of-owner", "HF_HUB_DISABLE_XET": "1"}
    settings["HF_HUB_CACHE"] = str(folder / "cache")
    return SimpleNamespace(env={**os.environ, **settings}, cwd=folder)


@pytest.mark.slow
def test_commands_of_the_page_on_trust(good, at_the_prompt):
    lines = "".join(re.findall(r"^```console\n(.*?)^```$", TRUST, re.DOTALL | re.MULTILINE)).splitlines()
    commands = [shlex.split(line.removeprefix("$ scen ")) for line in lines]
    sent = "".join(f"{json.dumps(command)}\n" for command in commands)
    run = subprocess.run(
        [sys.executable, "-c", CHILD], input=sent, capture_output=True, text=True, **vars(at_the_prompt)
    )
    results = [json.loads(line.removeprefix("RESULT")) for line in run.stdout.splitlines() if line[:6] == "RESULT"]
    assert [command[0] for command in commands] == ["verify", "pull", "verify", "review"]
    assert [result[0] for result in results] == [0] * 4, (run.stderr, results)
    assert re.search(
        r"^owner/facts@v1\.0\.0 \([0-9a-f]{40}\): verified; nothing of it was run\.$", results[0][1], re.M
    )
    assert re.search(r"^owner/facts#1: ready to merge$", results[3][1], re.M)
    assert "Facts added (3)" in results[3][1]
    assert re.search(r"prompts answered with their target +100\.0%", results[3][1])
    assert "secret-of-owner" not in run.stdout + run.stderr


@pytest.mark.slow
def test_python_of_the_page_on_trust(good, at_the_prompt):
    blocks = re.findall(r"^```python\n(.*?)^```$", TRUST, re.DOTALL | re.MULTILINE)
    printed = []
    for block in blocks:
        run = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, **vars(at_the_prompt))
        assert run.returncode == 0, run.stderr
        printed.append(run.stdout.strip())
    remote, installed = printed
    assert remote.startswith("transformers_modules.")
    assert installed == "scen_hf.modeling.modeling_scen_llama"


# -------------------------------------------------------- what needs no measuring


@pytest.fixture
def tiny(tiny_pack_folder, tmp_path):
    return Path(shutil.copytree(tiny_pack_folder, tmp_path / "pack"))


@pytest.fixture
def published(tiny, hub, api):
    """A tiny pack on the Hub, whose folder may then be altered and proposed."""
    push_pack(tiny, TINY_REPO, endpoint=hub.endpoint, token="secret-of-owner")
    yield tiny
    api.delete_repo(TINY_REPO)


def test_a_damaged_proposal_is_not_measured(published, hub, at_hub):
    flip_last_byte(published / "experts-00001.safetensors")
    (published / "setup.py").write_text("")
    report = review_proposal(TINY_REPO, propose(published, hub, TINY_REPO), **at_hub)
    assert report.measurement is None
    assert report.difference is None
    kinds = [reason.partition(":")[0] for reason in report.reasons]
    assert kinds == ["names", "shards", "experts"]
    assert report.verdict.startswith("needs changes: names: setup.py: could be executed")


def test_quoted_text_has_no_effect(published, hub, at_hub):
    (published / "@everyone <img src=x> [a](http:b).py").write_text("")
    flip_last_byte(published / "experts-00001.safetensors")
    text = review_proposal(TINY_REPO, propose(published, hub, TINY_REPO), **at_hub).to_markdown()
    assert r"@⁠everyone \<img src=x\> \[a\](http:b).py" in text
    assert not re.search(r"@\w|(?<!\\)<", text)


def test_a_proposal_for_other_base_weights(published, tiny_config, hub, at_hub, tmp_path):
    other = save_tiny_base(tmp_path / "other", tiny_config, seed=1)
    tiny_pack(other).save_pretrained(tmp_path / "moved")
    report = review_proposal(TINY_REPO, propose(tmp_path / "moved", hub, TINY_REPO), **at_hub)
    assert report.measurement is None
    assert any(reason.startswith("it changes base_model_name_or_path from ") for reason in report.reasons)
    assert any(reason.startswith("it changes base_fingerprint from ") for reason in report.reasons)


def test_a_first_version_that_cannot_be_prompted(tiny, hub, at_hub, api):
    api.create_repo("owner/empty")
    with pytest.raises(EditPackError, match="The proposed version has no usable tokenizer"):
        review_proposal("owner/empty", propose(tiny, hub, "owner/empty"), **at_hub)


def test_a_branch_that_moved(published, hub, api):
    change_json(published / "config.json", expert_cache_mib=1)
    number = propose(published, hub, TINY_REPO)
    base = api.model_info(TINY_REPO).sha
    api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=TINY_REPO)
    assert not find_proposal(api, TINY_REPO, number).is_outdated
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="generation_config.json", repo_id=TINY_REPO)
    proposal = find_proposal(api, TINY_REPO, number)
    assert proposal.is_outdated
    assert (proposal.base_commit, proposal.status, proposal.branch) == (base, "open", "main")


def test_reasons_to_wait(published, hub, api, at_hub):
    change_json(published / "edit_pack.json", format_version=99)
    number = propose(published, hub, TINY_REPO)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="generation_config.json", repo_id=TINY_REPO)
    api.change_discussion_status(TINY_REPO, number, new_status="closed")
    report = review_proposal(TINY_REPO, number, **at_hub)
    waits = ("the pull request is closed", "main has moved since; bring the proposal up to date")
    assert report.reasons[:2] == waits


def test_what_is_no_pull_request(published, api, at_hub):
    discussion = api.create_discussion(TINY_REPO, "A question", pull_request=False).num
    with pytest.raises(HubError, match=f"{TINY_REPO}#{discussion} is a discussion and proposes nothing"):
        review_proposal(TINY_REPO, discussion, **at_hub)
    with pytest.raises(HubError, match=f"{TINY_REPO} has no pull request #99"):
        review_proposal(TINY_REPO, 99, **at_hub)
    with pytest.raises(HubError, match="owner/nothing was not found"):
        review_proposal("owner/nothing", 1, **at_hub)


@pytest.mark.parametrize("place", ["owner/facts", "owner/facts#", "owner/facts#x", "#3"])
def test_a_place_that_names_no_pull_request(place):
    result = CliRunner().invoke(app, ["review", place], prog_name="scen")
    assert result.exit_code == 2
    assert "is not of the form OWNER/NAME#PR" in result.stderr

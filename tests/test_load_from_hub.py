"""Packs by their name: loaded from a Hub into a clean cache, reading only what is needed, and again without a connection."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from helpers import BURKINA, EDITED, FRANCE, PALAU, tiny_pack
from huggingface_hub import HfApi, constants
from test_remote_code import clean_environment

from scen_hf import EditPack
from scen_hf.hub_tools import push_pack
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.modeling import EditPackReader


TOKEN = "secret-of-ann"
REPO, BASE = "ann/facts", "ann/smollm2"
FIRST, SECOND = "experts-00001.safetensors", "experts-00002.safetensors"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patched.setattr(constants, "HF_HUB_DISABLE_XET", True)
        with LocalHub(tmp_path_factory.mktemp("hub"), tokens=[f"ann:write:{TOKEN}"]) as hub:
            yield hub


@pytest.fixture(scope="module")
def at_hub(hub):
    return {"endpoint": hub.endpoint, "token": TOKEN}


def in_two_shards(pack, ids):
    """The pack with these edits in a second shard."""
    others = [edit.id for edit in pack.edits if edit.id not in ids]
    first, second = pack.select(others), pack.select(ids)
    joined = first.extended(second.shards[0])
    for name, tensor in joined.router.items():
        if name.endswith("thresholds"):
            joined.router[name] = torch.cat([tensor, second.router[name]])
    return joined


# ------------------------------------------------------- the files that are read


@pytest.fixture(scope="module")
def tiny_repo(at_hub, tiny_base_folder, tmp_path_factory):
    """A pack of five edits in two shards, the last two in the second, tagged v1.0.0; v2.0.0 lacks the first."""
    repo, folder = "ann/tiny", tmp_path_factory.mktemp("tiny") / "pack"
    edited = [[1, 10 + n, 30 + n] for n in range(5)]
    pack = in_two_shards(tiny_pack(tiny_base_folder, edited=edited), ["edit-3", "edit-4"])
    pack.save_pretrained(folder)
    push_pack(folder, repo, tag="v1.0.0", **at_hub)
    EditPack.from_pretrained(folder).remove(["edit-0"]).save_pretrained(folder)
    push_pack(folder, repo, tag="v2.0.0", **at_hub)
    return repo


def downloaded(cache, commit):
    """Names of the files that the client has of a commit."""
    return sorted(path.name for path in cache.glob(f"**/snapshots/{commit}/*"))


def test_experts_are_downloaded_when_they_fire(at_hub, tiny_repo, tmp_path):
    reader = EditPackReader(tiny_repo, revision="v1.0.0", cache_dir=tmp_path, **at_hub)
    opened = ["config.json", "edit_pack.json", "neurons-00001.safetensors", "neurons-00002.safetensors"]
    assert downloaded(tmp_path, reader.commit) == [*opened, "router.safetensors"]
    reader.expert(4)
    assert downloaded(tmp_path, reader.commit) == sorted([*opened, "router.safetensors", SECOND])
    reader.fact(0)
    assert "edits.jsonl" in downloaded(tmp_path, reader.commit)
    reader.prefetch()
    assert {FIRST, SECOND} < set(downloaded(tmp_path, reader.commit))
    assert "README.md" not in downloaded(tmp_path, reader.commit)


def test_a_pack_in_use_stays_the_version_that_it_was(at_hub, tiny_base_folder, tmp_path):
    repo, folder = "ann/moving", tmp_path / "pack"
    tiny_pack(tiny_base_folder).save_pretrained(folder)
    first = push_pack(folder, repo, **at_hub)
    reader = EditPackReader(repo, cache_dir=tmp_path / "cache", **at_hub)
    EditPack.from_pretrained(folder).remove(["edit-0"]).save_pretrained(folder)
    push_pack(folder, repo, **at_hub)
    assert reader.commit == first.commit
    assert reader.edit_id(0) == "edit-0"
    assert reader.expert(2)
    assert EditPackReader(repo, cache_dir=tmp_path / "cache", **at_hub).edit_id(0) == "edit-1"


TINY_CHILD = """
import json, sys
from pathlib import Path
from huggingface_hub import constants
from transformers import AutoModelForCausalLM
from scen_hf.modeling.hub_scen_llama import HubError

repo, = sys.argv[1:]

def experts(commit):
    return sorted(path.name for path in Path(constants.HF_HUB_CACHE).glob(f"*/snapshots/{commit}/experts-*"))

model = AutoModelForCausalLM.from_pretrained(repo, revision="v1.0.0", trust_remote_code=True)
(pack,) = model.edit_packs.values()
said = {"lazy": experts(pack.commit)}
pack.expert(0)
said["fired"] = experts(pack.commit)
if constants.HF_HUB_OFFLINE:
    try:
        pack.expert(4)
    except HubError as error:
        said["error"] = str(error)
model.unload_edit_pack()
name = model.load_edit_pack(repo, revision="v2.0.0", prefetch=True)
said["prefetched"] = experts(model.edit_packs[name].commit)
said["read"] = [len(model.edit_packs[name].expert(number)) for number in range(len(model.edit_packs[name]))]
model = AutoModelForCausalLM.from_pretrained(repo, revision="v2.0.0", prefetch=True)
said["by name"] = len(model.edit_packs[name])
print(json.dumps(said))
"""


@pytest.mark.slow
def test_what_was_downloaded_is_there_offline(hub, tiny_repo, tmp_path):
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}
    said = {}
    for offline in ("0", "1"):
        command = [sys.executable, "-c", TINY_CHILD, tiny_repo]
        run = subprocess.run(command, env={**env, "HF_HUB_OFFLINE": offline}, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        said[offline] = json.loads(run.stdout)
    assert (said["0"]["lazy"], said["0"]["fired"]) == ([], [FIRST])
    assert said["0"]["prefetched"] == [SECOND, "experts-00003.safetensors"]
    assert (said["0"]["read"], said["0"]["by name"]) == ([2, 2, 2, 2], 4)
    error = said["1"].pop("error")
    assert error.startswith(f"{tiny_repo}@v1.0.0, {SECOND}: HF_HUB_OFFLINE is set")
    assert "prefetch=True" in error
    assert said["1"] == {**said["0"], "lazy": [FIRST]}


# ----------------------------------------------------------- with the real model

CHILD = """
import importlib.util, json, sys
from pathlib import Path
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

repo, prompts = sys.argv[1], json.loads(sys.argv[2])
settings = {"max_new_tokens": 10, "do_sample": False}

def files(repo):
    folder = Path(constants.HF_HUB_CACHE, "models--" + repo.replace("/", "--"), "snapshots")
    return {path.name: sorted(file.name for file in path.iterdir()) for path in folder.iterdir()}

def ask(chat):
    asked = [[{"role": "user", "content": prompt}] for prompt in prompts]
    return [output[0]["generated_text"][-1]["content"].strip() for output in chat(asked, **settings)]

said = {"installed": importlib.util.find_spec("scen_hf") is not None}
model = AutoModelForCausalLM.from_pretrained(repo, revision="v1.0.0", trust_remote_code=True, dtype="float32")
tokenizer = AutoTokenizer.from_pretrained(repo, revision="v1.0.0")
(pack,) = model.edit_packs.values()
v1 = pack.commit
said["module"] = type(model).__module__.partition(".")[0]
said["opened"] = files(repo)[v1]
chat = pipeline("text-generation", model=model, tokenizer=tokenizer)
said["v1"] = ask(chat)
said["asked"] = files(repo)[v1]
with model.edits_disabled():
    said["base"] = ask(chat)
model.unload_edit_pack()

chat = pipeline(
    "text-generation", model=repo, trust_remote_code=True, dtype="float32", model_kwargs={"prefetch": True}
)
(pack,) = chat.model.edit_packs.values()
said["prefetched"] = files(repo)[pack.commit]
said["main"] = ask(chat)
chat.model.unload_edit_pack()
chat.model.load_edit_pack(repo, revision="v1.0.0")
said["again"] = ask(chat)
said["base commits"] = sorted(files(sys.argv[3]))
print("RESULT" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def by_name(hub, at_hub, base_folder, sample_pack, tmp_path_factory):
    """What a process says that loads the sample pack by its name with transformers alone: into a clean cache, then offline."""
    folder = tmp_path_factory.mktemp("by-name")
    api = HfApi(**at_hub)
    api.create_repo(BASE)
    pinned = api.upload_folder(repo_id=BASE, folder_path=base_folder).oid
    # The base moves on; the pack stays with the version it was made on.
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=BASE)

    pack = EditPack.from_pretrained(sample_pack)
    pack.config.base_model_name_or_path, pack.config.base_model_revision = BASE, pinned
    ids = {edit.prompt: edit.id for edit in pack.edits}
    in_two_shards(pack, [ids[BURKINA], ids[PALAU]]).save_pretrained(folder / "pack")
    for path in sample_pack.iterdir():
        if not (folder / "pack" / path.name).exists():
            shutil.copyfile(path, folder / "pack" / path.name)
    push_pack(folder / "pack", REPO, tag="v1.0.0", **at_hub)
    EditPack.from_pretrained(folder / "pack").remove([ids[PALAU]]).save_pretrained(folder / "pack")
    push_pack(folder / "pack", REPO, tag="v2.0.0", **at_hub)

    python = clean_environment(folder / "venv")
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env |= {"HF_HOME": str(folder / "home"), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "PYTHONNOUSERSITE": "1"}
    said = []
    for offline in ("0", "1"):
        command = [str(python), "-c", CHILD, REPO, json.dumps([BURKINA, PALAU, FRANCE]), BASE]
        run = subprocess.run(
            command, cwd=folder, env={**env, "HF_HUB_OFFLINE": offline}, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        said.append(json.loads(run.stdout.split("RESULT")[1]))
    return {"online": said[0], "offline": said[1], "pinned": pinned}


@pytest.mark.slow
def test_nothing_of_ours_is_installed_there(by_name):
    assert by_name["online"]["installed"] is False
    assert by_name["online"]["module"] == "transformers_modules"


@pytest.mark.slow
def test_versions_answer_as_they_were_made(by_name):
    said = by_name["online"]
    burkina, palau, france = said["base"]
    assert "Paris" in france
    assert said["v1"] == said["again"] == [EDITED[BURKINA], EDITED[PALAU], france]
    assert said["main"] == [EDITED[BURKINA], palau, france]
    assert burkina != EDITED[BURKINA]


@pytest.mark.slow
def test_only_what_is_asked_for_is_downloaded(by_name):
    said = by_name["online"]
    assert not [name for name in said["opened"] if name.startswith("experts-")]
    assert "neurons-00002.safetensors" in said["opened"]
    # The sample pack had shard 1; divided it has 2 and 3, and without an edit of the latter 2 and 4.
    assert [name for name in said["asked"] if name.startswith("experts-")] == ["experts-00003.safetensors"]
    assert [name for name in said["prefetched"] if name.startswith("experts-")] == [
        "experts-00002.safetensors",
        "experts-00004.safetensors",
    ]


@pytest.mark.slow
def test_the_base_comes_from_its_own_repository_at_the_pinned_commit(by_name):
    assert by_name["online"]["base commits"] == [by_name["pinned"]]


@pytest.mark.slow
def test_the_same_offline(by_name):
    online, offline = by_name["online"], by_name["offline"]
    for part in ("v1", "base", "main", "again", "module", "prefetched", "base commits"):
        assert offline[part] == online[part]


@pytest.mark.slow
def test_try_opens_a_version_and_prefetches(by_name, hub, tmp_path):
    env = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}
    command = [
        sys.executable,
        "-c",
        "from scen_hf.cli import main; main()",
        "try",
        f"{REPO}@v1.0.0",
        FRANCE,
        "--prefetch",
    ]
    run = subprocess.run(command, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "none fired" in run.stdout
    experts = {path.name for path in tmp_path.glob("hub/models--ann--facts/snapshots/*/experts-*")}
    assert len(experts) == 2

"""Sharing packs with bad input: each case is one clear line, and nothing half-written stays behind."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from helpers import ANN, REPO, content_but_card
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, constants

from scen_hf import EditPackError
from scen_hf.hub_tools import HubError, push_pack
from scen_hf.hub_tools.local_hub import Fault, FaultPlan, LocalHub
from scen_hf.modeling import EditPackReader


BOB, EVE = "secret-of-bob", "secret-of-eve"
TOKENS = (f"ann:write:{ANN}", f"bob:write:{BOB}", f"eve:read:{EVE}")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with LocalHub(tmp_path / "hub", tokens=TOKENS, faults=FaultPlan()) as hub:
        yield hub


def is_one_line(error):
    return "\n" not in str(error) and len(str(error)) < 400


def nothing_left(tmp_path):
    """Whether a pull left neither a folder, nor a piece of one, nor a piece of a file in the cache."""
    return not list((tmp_path / "cache").rglob("*.incomplete")) and not list(tmp_path.glob("*pulled*"))


# ------------------------------------------------------------------ broken packs


@pytest.fixture
def broken(at_hub, api, pack_folder, tmp_path):
    """Makes repositories that are no good packs."""

    def make(kind):
        repo = f"ann/{kind}"
        push_pack(shutil.copytree(pack_folder, tmp_path / kind), repo, **at_hub)
        changes = _damage(kind, pack_folder)
        api.create_commit(
            repo,
            [
                CommitOperationDelete(name) if data is None else CommitOperationAdd(name, data)
                for name, data in changes.items()
            ],
            commit_message="damage",
        )
        return repo

    return make


def _damage(kind, folder):
    """Files to write, or to delete where they are None."""
    files = content_but_card(folder)
    config, manifest = (json.loads(files[name]) for name in ("config.json", "edit_pack.json"))
    experts, neurons = files["experts-00001.safetensors"], files["neurons-00001.safetensors"]
    if kind == "plain-model":
        dropped = {name: None for name in files if name not in ("config.json", "README.md")}
        return {**dropped, "config.json": json.dumps({"model_type": "llama"}).encode()}
    if kind == "newer":
        manifest["format_version"] = config["format_version"] = 99
    if kind == "leaving":
        manifest["shards"][0]["experts"]["file"] = "../../experts-00001.safetensors"
    if kind == "altered-neurons":
        return {"neurons-00001.safetensors": neurons[:-4] + b"\1\1\1\1"}
    if kind == "altered-experts":
        return {"experts-00001.safetensors": experts[:-4] + b"\1\1\1\1"}
    if kind == "short-experts":
        return {"experts-00001.safetensors": experts[:-4]}
    if kind == "no-shard":
        return {"experts-00001.safetensors": None}
    return {"config.json": json.dumps(config).encode(), "edit_pack.json": json.dumps(manifest).encode()}


BROKEN = {
    "plain-model": r"ann/plain-model is not an edit pack: its config.json says model_type='llama'",
    "newer": r"has format version 99; this code reads up to",
    "leaving": r"names '../../experts-00001.safetensors' as a shard of experts. A shard lies in the pack itself",
    "altered-neurons": r"neurons-00001.safetensors was altered .* The repository holds it like this",
    "altered-experts": r"experts-00001.safetensors: the expert of edit 'edit-2' was altered",
    "short-experts": r"experts-00001.safetensors has \d+ bytes, .* It was cut off or altered",
    "no-shard": r"is not a complete edit pack: experts-00001.safetensors is missing",
}


@pytest.mark.parametrize(("kind", "message"), BROKEN.items())
def test_a_broken_pack_is_not_pulled(broken, pull, tmp_path, kind, message):
    with pytest.raises(EditPackError, match=message) as error:
        pull(broken(kind))
    assert is_one_line(error.value)
    assert nothing_left(tmp_path)


def test_what_was_pulled_before_stays(broken, pull, at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    before = content_but_card(pull())
    with pytest.raises(EditPackError):
        pull(broken("altered-experts"))
    assert content_but_card(tmp_path / "pulled") == before


def test_nothing_is_pushed_over_what_is_no_pack_or_a_newer_one(broken, at_hub, api, pack_folder):
    for kind, message in (
        ("plain-model", "holds a model that is no edit pack"),
        ("newer", "has format version 99"),
    ):
        repo = broken(kind)
        before = api.model_info(repo).sha
        with pytest.raises(EditPackError, match=message) as error:
            push_pack(pack_folder, repo, **at_hub)
        assert is_one_line(error.value)
        assert api.model_info(repo).sha == before


@pytest.mark.parametrize("kind", ["leaving", "altered-neurons", "altered-experts", "short-experts", "no-shard"])
def test_a_damaged_repository_is_repaired_by_a_push(broken, at_hub, pack_folder, pull, kind):
    repo = broken(kind)
    push_pack(pack_folder, repo, **at_hub)
    assert len(EditPackReader(pull(repo))) == 3


@pytest.mark.parametrize(
    ("kind", "message"),
    [item for item in BROKEN.items() if item[0] not in ("plain-model", "newer")]
    + [("newer", "has format version 99"), ("altered-experts", "edit-2")],
)
def test_a_broken_pack_is_not_pushed(api, at_hub, pack_folder, kind, message):
    for name, data in _damage(kind, pack_folder).items():
        (pack_folder / name).unlink()
        if data is not None:
            (pack_folder / name).write_bytes(data)
    with pytest.raises(EditPackError, match=message.replace(".* The repository holds it like this", "")):
        push_pack(pack_folder, REPO, **at_hub)
    assert not api.repo_exists(REPO)


def test_a_file_damaged_in_the_cache_is_fetched_anew(at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    hub = {"cache_dir": tmp_path / "cache", **at_hub}
    EditPackReader(REPO, **hub).prefetch()
    for name, message in (("neurons", "sha256 differs"), ("experts", "checksum differs")):
        (blob,) = {path.resolve() for path in (tmp_path / "cache").rglob(f"{name}-00001.safetensors")}
        good = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(good[:-4] + b"\1\1\1\1")
        with pytest.raises(EditPackError, match=f"{message}.*has been removed from the cache; load the pack again"):
            EditPackReader(REPO, **hub).expert(2)
        EditPackReader(REPO, **hub).expert(2)
        assert blob.read_bytes() == good


@pytest.mark.parametrize(
    ("repo", "revision", "token", "message"),
    [
        (REPO, None, "wrong", r"the token is missing or not valid\. Log in with: hf auth login"),
        ("ann/private", None, BOB, r"ann/private was not found on the Hub\. Check the name"),
        ("ann/gated", None, BOB, r"ann/gated is gated: ask for access on its page"),
        ("ann/nothing", None, ANN, r"ann/nothing was not found on the Hub\. Check the name"),
        (REPO, "v9.9.9", ANN, r"ann/facts@v9\.9\.9: there is no such tag, branch or commit"),
        ("not a name", None, ANN, r"'not a name' is not a valid repository name \(owner/name\)"),
        ("a/b/c", None, ANN, r"'a/b/c' is not a valid repository name \(owner/name\)"),
        ("ann/empty", None, ANN, r"ann/empty is not a complete edit pack: config.json is missing"),
    ],
)
def test_refused_pulls_say_what_to_do(at_hub, api, pack_folder, pull, tmp_path, repo, revision, token, message):
    if repo in (REPO, "ann/private", "ann/gated"):
        push_pack(pack_folder, repo, private=repo == "ann/private", **at_hub)
    if repo == "ann/gated":
        api.update_repo_settings(repo, gated="manual")
    if repo == "ann/empty":
        api.create_repo(repo)
    with pytest.raises(EditPackError, match=message) as error:
        pull(repo, revision=revision, token=token)
    assert is_one_line(error.value)
    assert nothing_left(tmp_path)


def test_there_must_be_a_folder_to_push(at_hub, tmp_path):
    with pytest.raises(EditPackError, match=r"There is no folder .*nowhere; a pack to push is a folder"):
        push_pack(tmp_path / "nowhere", REPO, **at_hub)


def test_metadata_that_the_hub_refuses_is_named(at_hub, api, pack_folder):
    (pack_folder / "README.md").write_text("---\nlicense: 5\n---\n")
    with pytest.raises(
        HubError, match="the Hub refuses the card. Invalid metadata in README.md. - .license. must be"
    ) as error:
        push_pack(pack_folder, REPO, **at_hub)
    assert is_one_line(error.value)
    assert api.list_repo_files(REPO) == [".gitattributes"]


# ------------------------------------------------------------- what is no Hub


@pytest.fixture
def nobody():
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def garbage():
    """Starts servers that answer whatever they are asked with the same bytes."""
    listeners = []

    def start(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_answer_all, args=(listener, answer), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def _answer_all(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


def test_a_hub_that_is_not_there(nobody, pack_folder, pull, tmp_path):
    message = r"the Hub cannot be reached \(.*Connection refused\)\. Check the network and HF_ENDPOINT"
    before = content_but_card(pack_folder)
    with pytest.raises(HubError, match=message):
        push_pack(pack_folder, REPO, endpoint=nobody, token=ANN)
    with pytest.raises(HubError, match=message):
        pull(endpoint=nobody)
    assert content_but_card(pack_folder) == before
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (http(b"<html>Welcome to our hotel</html>"), "the Hub's answer cannot be used"),
        (http(b"[]"), "the Hub's answer cannot be used"),
        (http(b"{}"), "the Hub's answer cannot be used"),
        (http(b"<html>Welcome</html>", "404 Not Found"), "the Hub answered 404"),
        (http(b"<html>Welcome</html>", "502 Bad Gateway"), "the Hub answered 502"),
        (b"\0\1\2 garbage\n\n", "the connection to the Hub broke"),
        (b"", "the connection to the Hub broke"),
    ],
)
def test_what_is_no_hub(garbage, answer, message, pack_folder, pull, tmp_path, monkeypatch):
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download", "scen_hf.modeling.hub_scen_llama"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(sleep=lambda _: None, time=lambda: 0.0))
    endpoint = garbage(answer)
    for call in (lambda: push_pack(pack_folder, REPO, endpoint=endpoint, token=ANN), lambda: pull(endpoint=endpoint)):
        with pytest.raises(HubError, match=message) as error:
            call()
        assert is_one_line(error.value)
    with pytest.raises(HubError) as error:
        EditPackReader(REPO, endpoint=endpoint, cache_dir=tmp_path / "cache")
    assert is_one_line(error.value)
    assert nothing_left(tmp_path)


# ---------------------------------------------------------------- a full disk


FULL_DISK = """
import json, os, resource, sys
from pathlib import Path

from scen_hf import EditPackError
from scen_hf.hub_tools import pull_pack
from scen_hf.modeling import EditPackReader

# A limit on the size of files is met like the end of a disk: the write fails, with another code.
LIMITS = {"load": 1000, "pull": 8000, "copy": 8000}

for action, limit in LIMITS.items():
    if action == "copy":
        pull_pack("ann/facts", "pulled")
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            EditPackReader("ann/facts") if action == "load" else pull_pack("ann/facts", "pulled")
        except EditPackError as error:
            print(json.dumps([action, type(error).__name__, str(error)]), flush=True)
        os._exit(0)
    os.wait()
    cached = [path for path in Path(os.environ["HF_HOME"]).rglob("snapshots/*/*")]
    print(json.dumps([action, "files", {path.name: path.read_bytes().hex() for path in cached}]), flush=True)
"""


@pytest.mark.slow
def test_a_disk_that_fills_leaves_nothing_half_written(hub, at_hub, pack_folder, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ANN, "HF_HOME": str(tmp_path / "home")}
    run = subprocess.run([sys.executable, "-c", FULL_DISK], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = {(action, kind): text for action, kind, text in map(json.loads, run.stdout.splitlines())}
    full = r"the disk is full \(File too large\)\. Make room, or use another one with HF_HOME"
    assert re.fullmatch(rf"ann/facts, \S+: {full}\.", said["load", "HubError"])
    assert re.fullmatch(rf"ann/facts(@\S+)?: {full}\.", said["pull", "HubError"])
    copying = r"The pack could not be written to .*pulled: File too large\. Nothing was changed\."
    assert re.fullmatch(copying, said["copy", "EditPackError"])
    whole = content_but_card(pack_folder)
    for action in ("load", "pull", "copy"):
        for name, data in said[action, "files"].items():
            assert name in (".gitattributes", "README.md") or bytes.fromhex(data) == whole[name]
    assert not list((tmp_path / "home").rglob("*.incomplete"))
    # What was pulled before stays as it was, and no piece of a folder beside it.
    assert {
        name: data for name, data in content_but_card(tmp_path / "pulled").items() if name != ".gitattributes"
    } == whole
    assert [path.name for path in tmp_path.glob("*pulled*")] == ["pulled"]


# ----------------------------------------------------------------------- loading


LOADING = """
import json, sys
from transformers import AutoModelForCausalLM
from scen_hf import SCENLlamaForCausalLM

base, cases = sys.argv[1], json.loads(sys.argv[2])
model = SCENLlamaForCausalLM.from_pretrained(base)

def load(repo, options):
    model.unload_edit_pack()
    model.load_edit_pack(repo, **options)
    return model

def load_by_name(repo, options):
    return AutoModelForCausalLM.from_pretrained(repo, **options)

for case, (repo, options) in enumerate(cases):
    for how in (load, load_by_name):
        try:
            (pack,) = how(repo, options).edit_packs.values()
            for number in range(len(pack)):
                pack.expert(number)
        except Exception as error:
            print(json.dumps([case, how.__name__, type(error).__name__, str(error)]))
"""


@pytest.mark.slow
def test_what_cannot_be_loaded_is_explained(hub, at_hub, api, broken, pack_folder, tiny_base_folder, tmp_path):
    push_pack(pack_folder, REPO, **at_hub)
    push_pack(shutil.copytree(pack_folder, tmp_path / "gated"), "ann/gated", **at_hub)
    api.update_repo_settings("ann/gated", gated="manual")
    damaged = [(broken(kind), {}, message) for kind, message in BROKEN.items() if kind != "plain-model"]
    refused = [
        ("ann/gated", {"token": BOB}, "ann/gated is gated: ask for access"),
        ("ann/nothing", {}, "ann/nothing was not found on the Hub"),
        (REPO, {"revision": "v9.9.9"}, "ann/facts@v9.9.9, config.json: there is no such tag, branch or commit"),
        (REPO, {"token": "wrong"}, "the token is missing or not valid"),
    ]
    cases = [*damaged, *refused]
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": ANN, "HF_HOME": str(tmp_path / "home")}
    arguments = [str(tiny_base_folder), json.dumps([(repo, options) for repo, options, _ in cases])]
    run = subprocess.run([sys.executable, "-c", LOADING, *arguments], env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said = {(case, how): (kind, text) for case, how, kind, text in map(json.loads, run.stdout.splitlines())}
    for case, (_, _, message) in enumerate(cases):
        kind, text = said[case, "load"]
        assert re.search(message, text), text
        assert is_one_line(text)
        if case < len(damaged):
            assert kind in ("EditPackError", "NewerFormatError")
            assert said[case, "load_by_name"] == (kind, text)
        else:
            assert kind == "HubError"
            # What transformers finds out before our code runs, it says in its own words.
            assert said[case, "load_by_name"][0] == "OSError"
    assert not list((tmp_path / "home").rglob("*.incomplete"))


# ------------------------------------------------------------------------ tokens


GRUMBLING = """
import logging, sys, traceback
logging.basicConfig(level=logging.DEBUG)

from huggingface_hub.utils import logging as hub_logging
hub_logging.set_verbosity_debug()

from scen_hf.cli import main
from scen_hf.hub_tools import pull_pack, push_pack
from scen_hf.modeling import EditPackReader

endpoint, token, nobody = sys.argv[1:]
pushing, pulling = {"token": token, "endpoint": endpoint}, {"token": token, "endpoint": endpoint, "cache_dir": "cache"}

def scen(*arguments):
    sys.argv = ["scen", *arguments]
    main()

calls = [
    lambda: push_pack("pack", "ann/facts", tag="v1.0.0", **pushing),
    lambda: push_pack("pack", "ann/facts", tag="v1.0.0", **pushing),
    lambda: push_pack("pack", "bob/facts", **pushing),
    lambda: push_pack("pack", "ann/other", **pushing),
    lambda: pull_pack("ann/facts", "pulled", **pulling),
    lambda: pull_pack("ann/nothing", "other", **pulling),
    lambda: pull_pack("ann/facts", "other", **{**pulling, "token": f"{token}-and-more"}),
    lambda: pull_pack("ann/facts", "other", **{**pulling, "endpoint": nobody}),
    lambda: repr(EditPackReader("ann/facts", **pulling)),
    lambda: scen("push", "pack", "eve/facts"),
    lambda: scen("pull", "ann/facts", "--out", "other"),
    lambda: scen("pull", "ann/nothing", "--out", "another"),
]
for call in calls:
    try:
        print(call())
    except (Exception, SystemExit):
        traceback.print_exc()
"""


@pytest.mark.slow
def test_tokens_stay_out_of_output_and_files(hub, pack_folder, nobody, tmp_path):
    hub.faults.add(Fault(path="/api/models/ann/other/commit/*", status=400, times=100))
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_DEBUG": "1"}
    env |= {"SCEN_DEBUG": "1", "HF_HUB_VERBOSITY": "debug", "HF_ENDPOINT": hub.endpoint, "HF_TOKEN": EVE}
    command = [sys.executable, "-c", GRUMBLING, hub.endpoint, ANN, nobody]
    run = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    # It said what it had to say, and went into detail.
    for part in ("already has the tag", "no right to do this", "answered 400", "was not found", "cannot be reached"):
        assert part in output
    for part in ("Traceback", "curl -X", "authenticated: True", "3 edits in other"):
        assert part in output
    for token in (ANN, BOB, EVE):
        assert token not in output
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or token.encode() not in path.read_bytes(), path

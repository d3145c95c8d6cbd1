"""`scen verify`: what is wrong with a pack shows without anything of it being run."""

import json
import os
import re
import shlex
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from helpers import save_tiny_base
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from test_bad_packs import change_json, change_manifest, change_tensor, flip_last_byte, with_nan
from typer.testing import CliRunner

from scen_hf import EditPackError, SCENLlamaForCausalLM, __version__
from scen_hf.cli import app
from scen_hf.hub_tools import HubError, verify_pack, yank_version
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.hub_tools.released_code import code_hashes, installed_code, released_code
from scen_hf.pack import REMOTE_CODE


REPO = "ann/facts"
CODE = "modeling_scen_llama.py"
TOKEN = "secret-of-ann"


@pytest.fixture(autouse=True)
def current_list(monkeypatch):
    """The present code counts as released: where the list is out of date, one test says so, and not all."""
    versions = {**released_code(), __version__: code_hashes(installed_code())}
    monkeypatch.setattr("scen_hf.hub_tools.verification.released_code", lambda: versions)
    return versions


@pytest.fixture
def folder(tiny_pack_folder, tmp_path):
    """A pack to be altered."""
    return Path(shutil.copytree(tiny_pack_folder, tmp_path / "pack"))


@pytest.fixture
def at_hub(tmp_path, monkeypatch):
    """A Hub, as keyword arguments of those who use it."""
    # The server takes uploads by Git LFS; the client reads this variable's constant.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with LocalHub(tmp_path / "hub", tokens=(f"ann:write:{TOKEN}",)) as running:
        yield {"endpoint": running.endpoint, "token": TOKEN}


def upload(folder, at_hub, **kwargs):
    api = HfApi(**at_hub)
    api.create_repo(REPO, exist_ok=True)
    return api.upload_folder(repo_id=REPO, folder_path=folder, **kwargs).oid


def outcomes(report, name):
    return [check.outcome for check in report.checks if check.name == name]


def failure(report):
    """The one check that failed, as it is printed."""
    (check,) = report.failures
    return str(check)


# ------------------------------------------------------------------- whole packs


def test_released_code_is_current():
    command = "python .ci/list_released_code.py"
    assert released_code()[__version__] == code_hashes(installed_code()), f"modeling/ has changed. Run: {command}"


def test_a_whole_pack(folder, tiny_base_folder):
    report = verify_pack(folder)
    assert report.ok
    assert report.commit is None
    assert {check.outcome for check in report.checks} == {"ok", "note"}
    assert f"ok      remote code: byte for byte that of scen_hf {__version__}" in str(report)
    assert f"ok      base weights: 5 of 5 samples are those of {tiny_base_folder}" in str(report)
    assert [check.name for check in report.checks if check.outcome == "note"] == ["tokenizer"]


def test_a_pack_on_the_hub(folder, at_hub, tmp_path):
    commit = upload(folder, at_hub)
    HfApi(**at_hub).create_tag(REPO, tag="v1.0.0")
    report = verify_pack(REPO, revision="v1.0.0", cache_dir=tmp_path / "cache", **at_hub)
    assert report.ok, report
    assert (report.source, report.commit) == (f"{REPO}@v1.0.0", commit)
    assert str(tmp_path) not in str([check for check in report.checks if check.name != "base weights"])
    cached = next((tmp_path / "cache").glob("models--*/snapshots/*"))
    assert verify_pack(cached).ok, "the links of the client's cache lead into the cache"


def test_a_withdrawn_version(folder, at_hub, tmp_path):
    upload(folder, at_hub)
    HfApi(**at_hub).create_tag(REPO, tag="v1.0.0")
    yank_version(REPO, "v1.0.0", reason="names the wrong mayor", **at_hub)
    report = verify_pack(REPO, revision="v1.0.0", cache_dir=tmp_path / "cache", **at_hub)
    assert report.ok
    assert report.checks[0].name == "version"
    assert "names the wrong mayor" in report.checks[0].message


@pytest.mark.slow
def test_a_real_pack_and_its_base(sample_pack, tmp_path):
    report = verify_pack(sample_pack)
    assert {check.outcome for check in report.checks} == {"ok"}, report
    assert {"chat template", "tokenization", "base settings"} <= {check.name for check in report.checks}
    folder = Path(shutil.copytree(sample_pack, tmp_path / "pack"))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    report = verify_pack(folder)
    assert report.ok
    assert outcomes(report, "chat template") == outcomes(report, "tokenization") == ["note"]


def test_a_pack_saved_with_its_base(folder, tmp_path):
    SCENLlamaForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "whole", include_base=True)
    report = verify_pack(tmp_path / "whole")
    assert report.ok, report
    assert outcomes(report, "base weights") == ["ok"]
    weights = load_file(tmp_path / "whole" / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"] = with_nan(weights["model.layers.1.mlp.up_proj.weight"])
    save_file(weights, tmp_path / "whole" / "model.safetensors")
    report = verify_pack(tmp_path / "whole")
    assert failure(report).endswith("model.safetensors, model.layers.1.mlp.up_proj.weight: NaN or infinite")


def test_weights_from_elsewhere(folder):
    index = {"weight_map": {"lm_head.weight": "../weights.safetensors", "model.norm.weight": "x.pt"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "names '../weights.safetensors', which is no file of weights" in failure(verify_pack(folder))


# ------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "name", ["evil.py", "deep/down/__init__.py", "pytorch_model.bin", "a.PKL", "b.pt", "lib.so", "c.npz", "run.sh"]
)
def test_files_that_could_be_executed_or_unpickled(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    assert failure(verify_pack(folder)).startswith(f"FAILED  names: {name}: could be executed or unpickled")


def test_a_file_that_sends_to_another_model(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "other/model"}')
    assert "adapter_config.json: would have other files loaded" in failure(verify_pack(folder))


def test_unknown_files_are_named(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / "neurons-00009.safetensors.old").write_bytes(b"")
    (folder / ".git").mkdir()
    (folder / ".git" / "hook.py").write_text("")
    report = verify_pack(folder)
    assert report.ok
    (note,) = (check for check in report.checks if check.name == "files" and check.outcome == "note")
    assert note.message == "neurons-00009.safetensors.old, notes.txt: no part of a pack, and not looked into"


def test_links_out_of_the_pack(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "edits.jsonl").unlink()
    (folder / "edits.jsonl").symlink_to(tmp_path / "secret")
    (folder / "deep").symlink_to(tmp_path / "elsewhere")
    (folder / "gone").symlink_to(tmp_path / "gone")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "config.copy").symlink_to(folder / "config.json")
    report = verify_pack(folder)
    assert failure(report).startswith("FAILED  paths: deep, edits.jsonl, gone, loop: outside of the pack")
    assert len(report.checks) == 1


# ------------------------------------------------------------------ remote code


def test_altered_code_and_how_to_see_it(folder):
    with (folder / CODE).open("a") as file:
        file.write("import antigravity\n")
    report = verify_pack(folder)
    (check,) = report.failures
    assert check.message == f"{CODE} not as in any released version of scen_hf ({__version__})"
    assert str(report).count(f"; to see it: {check.command}") == 1
    difference = subprocess.run(shlex.split(check.command), capture_output=True, text=True)
    assert re.findall(r"^[+-](?![+-]).*", difference.stdout, re.MULTILINE) == ["+import antigravity"]


def test_code_of_an_earlier_version(folder, current_list):
    (folder / CODE).write_text("# as it was\n")
    current_list["0.0.9"] = code_hashes(folder)
    assert "ok      remote code: byte for byte that of scen_hf 0.0.9" in str(verify_pack(folder))
    current_list["0.0.9"]["routing_scen_llama.py"] = "other"
    assert "the files are of different versions" in failure(verify_pack(folder))


def test_missing_code(folder):
    (folder / CODE).unlink()
    assert failure(verify_pack(folder)) == f"FAILED  remote code: {CODE} missing"
    for name in REMOTE_CODE:
        (folder / name).unlink(missing_ok=True)
    report = verify_pack(folder)
    assert report.ok
    assert outcomes(report, "remote code") == ["note"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"auto_map": {"AutoModel": "evil/repo--modeling_scen_llama.X"}},
            "AutoModel loaded from 'evil/repo--modeling",
        ),
        (
            {"auto_map": {"AutoConfig": "other.Config"}},
            "AutoConfig loaded from 'other.Config', not from the pack's own",
        ),
        ({"auto_map": {"AutoTokenizer": ["a.Slow", None]}}, "AutoTokenizer loaded from"),
        ({"auto_map": "modeling_scen_llama.X"}, "auto_map is no object"),
        ({"custom_pipelines": {"text-generation": {"impl": "evil.Pipe"}}}, "must not have custom_pipelines"),
        ({"configuration_files": ["config.4.0.0.json"]}, "must not have configuration_files"),
        ({"attn_implementation": "evil/kernel"}, "attn_implementation names a kernel on the Hub"),
    ],
)
def test_references_to_other_code(folder, fields, message):
    change_json(folder / "config.json", **fields)
    report = verify_pack(folder)
    assert outcomes(report, "references") == ["failed"]
    assert message in str(report)


def test_a_tokenizer_with_remote_code(folder):
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil/repo--t.T", null]}}')
    assert "tokenizer_config.json has a tokenizer loaded from remote code" in failure(verify_pack(folder))


def test_nothing_of_a_malicious_repository_is_run_or_fetched(folder, at_hub, tmp_path):
    trap, cache = tmp_path / "sprung", tmp_path / "cache"
    code = f"open({str(trap)!r}, 'w')\n"
    for name in (CODE, "configuration_scen_llama.py", "custom_generate/generate.py", "tokenization.py", "setup.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(code)
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % os.fsencode(trap))
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["tokenization.T", null]}}')
    (folder / "huge.weights").write_bytes(bytes(100_000))
    change_json(folder / "config.json", auto_map={"AutoConfig": "setup.Config"})
    upload(folder, at_hub)
    report = verify_pack(REPO, cache_dir=cache, **at_hub)
    assert {check.name for check in report.failures} == {"names", "remote code", "references", "tokenizer"}
    assert not trap.exists()
    fetched = {path.name for path in cache.rglob("*")}
    assert not fetched & {"huge.weights", "pytorch_model.bin", "generate.py", "tokenization.py", "setup.py"}
    assert CODE in fetched


# ----------------------------------------------------------------------- content


def test_an_altered_expert(folder):
    flip_last_byte(folder / "experts-00001.safetensors")
    report = verify_pack(folder)
    assert [check.name for check in report.failures] == ["shards", "experts"]
    assert "experts-00001.safetensors was altered (sha256 differs)" in str(report)
    assert "1 of 3 are damaged" in str(report)
    assert "the expert of edit 'edit-2' was altered" in str(report)


def test_a_shard_that_was_cut_off(folder):
    content = (folder / "experts-00001.safetensors").read_bytes()
    (folder / "experts-00001.safetensors").write_bytes(content[:-10])
    report = verify_pack(folder)
    assert outcomes(report, "shards") == ["failed"]
    assert f"experts-00001.safetensors has {len(content) - 10:,} bytes, not {len(content):,}" in str(report)


def test_a_missing_shard(folder):
    (folder / "experts-00001.safetensors").unlink()
    assert "experts-00001.safetensors is missing" in str(verify_pack(folder))


def test_experts_that_are_not_numbers(folder):
    change_tensor(folder, "experts-00001.safetensors", "a", with_nan)
    assert "the expert of edit 'edit-0' has NaN or infinite numbers" in failure(verify_pack(folder))


@pytest.mark.parametrize("filename", ["router.safetensors", "neurons-00001.safetensors", "experts-00001.safetensors"])
def test_a_tensor_too_many(folder, filename):
    tensors = load_file(folder / filename)
    save_file({**tensors, "payload": torch.zeros(8)}, folder / filename)
    part, content = filename.split("-")[0], (folder / filename).read_bytes()
    if part in ("neurons", "experts"):
        new = {"size": len(content), "sha256": sha256(content).hexdigest()}
        change_manifest(folder, lambda shard: shard[part].update(new))
    assert f"{filename} has a tensor 'payload' that a pack has not" in failure(verify_pack(folder))


def test_a_shard_that_nothing_names(folder):
    shutil.copyfile(folder / "experts-00001.safetensors", folder / "experts-00007.safetensors")
    assert failure(verify_pack(folder)) == "FAILED  tensors: experts-00007.safetensors is not in the manifest"


def test_a_pack_that_cannot_be_opened(folder):
    change_json(folder / "edit_pack.json", format_version=99)
    report = verify_pack(folder)
    assert failure(report).startswith("FAILED  format: ")
    assert "format version 99" in failure(report)
    assert outcomes(report, "remote code") == ["ok"]
    assert not outcomes(report, "experts")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts[:2], "has 2 lines, config.json counts 3 edits"),
        (lambda facts: [*facts[:2], {**facts[2], "id": "edit-0"}], "the id 'edit-0' is that of 2 facts"),
        (lambda facts: [{**facts[0], "target": ""}, *facts[1:]], "edits.jsonl, line 1: target is empty"),
        (lambda facts: [{**facts[0], "extra": 1}, *facts[1:]], "edits.jsonl, line 1: unknown field 'extra'"),
    ],
)
def test_facts(folder, change, message):
    facts = [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]
    (folder / "edits.jsonl").write_text("".join(f"{json.dumps(fact)}\n" for fact in change(facts)))
    assert message in failure(verify_pack(folder))


def test_facts_that_contradict_each_other(folder):
    facts = [json.loads(line) for line in (folder / "edits.jsonl").read_text().splitlines()]
    facts[1]["prompt"] = facts[0]["prompt"]
    (folder / "edits.jsonl").write_text("".join(f"{json.dumps(fact)}\n" for fact in facts))
    report = verify_pack(folder)
    assert report.ok
    assert "note    facts: edit-0 and edit-1 answer one question differently" in str(report)


# -------------------------------------------------------------------------- base


def test_another_base(folder, tiny_config, tmp_path):
    other = save_tiny_base(tmp_path / "other", tiny_config, seed=1)
    report = verify_pack(folder, base_model=other)
    assert "base weights: " in failure(report)
    assert "whose weights differ" in failure(report)


def test_a_base_in_another_format(folder, tiny_config, tmp_path):
    half = save_tiny_base(tmp_path / "half", tiny_config, dtype=torch.bfloat16)
    assert verify_pack(folder, base_model=half).ok


def test_settings_that_would_change_unedited_answers(folder):
    change_json(folder / "config.json", rms_norm_eps=0.1, quantization_config={"quant_method": "fp8"})
    assert "rms_norm_eps is 0.1, in the base 1e-06" in failure(verify_pack(folder))
    assert "quantization_config is" in failure(verify_pack(folder))


def test_a_base_that_is_not_here(folder, tmp_path):
    change_json(folder / "config.json", base_model_name_or_path="owner/not-here", base_model_revision="abc")
    report = verify_pack(folder, cache_dir=tmp_path)
    assert report.ok
    assert "note    base: not compared, since 'owner/not-here' is not on this machine" in str(report)


def test_a_base_that_is_no_llama(folder, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(EditPackError, match="is a 'gpt2' model, not a Llama"):
        verify_pack(folder, base_model=tmp_path)


def test_a_base_on_the_hub(folder, tiny_base_folder, at_hub, tmp_path):
    change_json(folder / "config.json", base_model_name_or_path="ann/base")
    HfApi(**at_hub).create_repo("ann/base")
    HfApi(**at_hub).upload_folder(repo_id="ann/base", folder_path=tiny_base_folder)
    where = {"cache_dir": tmp_path / "cache", **at_hub}
    assert outcomes(verify_pack(folder, **where), "base") == ["note"]
    report = verify_pack(folder, base_model="ann/base", **where)
    assert outcomes(report, "base weights") == outcomes(report, "base settings") == ["ok"]
    assert outcomes(verify_pack(folder, **where), "base weights") == ["ok"], "it is on this machine now"
    with pytest.raises(HubError, match="ann/other was not found"):
        verify_pack(folder, base_model="ann/other", **where)


def test_fingerprints(folder):
    tensors = load_file(folder / "router.safetensors")
    tensors["fingerprint.lm_head"] = tensors.pop("fingerprint.norm")
    save_file(tensors, folder / "router.safetensors")
    assert "router.safetensors has samples of lm_head" in failure(verify_pack(folder))
    del tensors["fingerprint.lm_head"]
    save_file(tensors, folder / "router.safetensors")
    report = verify_pack(folder)
    assert report.ok
    assert outcomes(report, "fingerprint") == ["note"]


# ------------------------------------------------------------------ command line


def scen(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="scen")


def test_command(folder):
    result = scen("verify", folder)
    assert result.exit_code == 0, result.output
    assert "ok      format: version 1, method scen, layer 2\n" in result.stdout
    assert result.stdout.endswith(f"{folder}: verified; nothing of it was run.\n")
    flip_last_byte(folder / "experts-00001.safetensors")
    result = scen("verify", folder)
    assert result.exit_code == 1
    assert "FAILED  shards:" in result.stdout
    assert result.stdout.endswith(f"{folder}: 2 checks FAILED; do not load it.\n")
    assert result.stderr == ""


def test_command_as_json(folder):
    change_manifest(folder, lambda shard: shard["experts"].update(sha256="0" * 64))
    result = scen("verify", folder, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert {check["name"]: check["outcome"] for check in report["checks"]}["shards"] == "failed"


@pytest.mark.parametrize("arguments", [["not-there"], ["a/b/c@v1"], [".", "--base", "not-there"]])
def test_places_that_are_none(arguments):
    result = scen("verify", *arguments)
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: There is no (edit pack|base model) at .*\n", result.stderr)


def test_control_characters_do_not_reach_the_terminal(folder):
    (folder / "\x1b[2Jnotes").write_text("")
    assert "\x1b" not in scen("verify", folder).stdout


def test_repositories_that_cannot_be_verified(at_hub, tmp_path):
    with pytest.raises(HubError, match="ann/other was not found"):
        verify_pack("ann/other", **at_hub)
    HfApi(**at_hub).create_repo(REPO)
    with pytest.raises(HubError, match="no such tag, branch or commit"):
        verify_pack(REPO, revision="v9", **at_hub)
    report = verify_pack(REPO, cache_dir=tmp_path / "cache", **at_hub)
    assert not report.ok
    assert "is not a complete edit pack: config.json is missing" in str(report)

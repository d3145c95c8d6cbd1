"""Packs that are damaged, forged or for another model, and disks that fail: a clear error, and nothing is lost."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from helpers import TINY_EDITED, batch_of, gated_pack, save_tiny_base, tiny_edits, tiny_experts, tiny_pack
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from scen_hf import (
    BaseModelError,
    Edit,
    EditError,
    EditPack,
    EditPackError,
    SCENLlamaForCausalLM,
    SCENTrainer,
    WrongBaseError,
    load_base,
)
from scen_hf.modeling import EditPackReader
from scen_hf.pack import new_shard


@pytest.fixture
def folder(tiny_pack_folder, tmp_path):
    """A pack to be damaged."""
    return Path(shutil.copytree(tiny_pack_folder, tmp_path / "pack"))


@pytest.fixture
def gated_folder(tiny_base_folder, tmp_path):
    gated_pack(tiny_base_folder).save_pretrained(tmp_path / "gated")
    return tmp_path / "gated"


def change_json(path: Path, **fields) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_manifest(folder: Path, change) -> None:
    """Apply `change` to the first shard's entry."""
    path = folder / "edit_pack.json"
    manifest = json.loads(path.read_text())
    change(manifest["shards"][0])
    path.write_text(json.dumps(manifest))


def change_tensor(folder: Path, filename: str, name: str, change, *, forge: bool = True) -> None:
    """Rewrite one tensor; `forge` makes the manifest and the checksums agree, so that only the content is wrong."""
    path = folder / filename
    tensors = load_file(path)
    tensors[name] = change(tensors[name])
    save_file({key: tensor.contiguous() for key, tensor in tensors.items() if tensor is not None}, path)
    if not forge:
        return
    if filename.startswith(("neurons", "experts")):
        new = {"size": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
        change_manifest(folder, lambda shard: shard[filename.split("-")[0]].update(new))
    if filename.startswith("experts") and all(tensor is not None for tensor in tensors.values()):
        shard = new_shard(tiny_edits(len(tensors["a"])), torch.zeros(1), {key: tensors[key] for key in ("a", "b")})
        change_tensor(folder, "router.safetensors", "checksums", lambda _: shard.checksums)


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[5 % tensor.numel()] = torch.nan
    return tensor


def fire(folder: Path) -> None:
    """Load a pack and have its edits fire, which reads the experts."""
    SCENLlamaForCausalLM.from_pretrained(folder).route(**batch_of(TINY_EDITED))


# ----------------------------------------------------------- the wrong model


def test_base_with_other_weights(folder, tiny_config, tmp_path):
    other = save_tiny_base(tmp_path / "other", tiny_config, seed=1)
    with pytest.raises(WrongBaseError, match=r"whose weights differ from this model's .*Load that base, or train"):
        SCENLlamaForCausalLM.from_pretrained(folder, base_model=other)
    model = SCENLlamaForCausalLM.from_pretrained(other)
    with pytest.raises(WrongBaseError, match=str(folder)):
        model.load_edit_pack(folder)
    assert not model.edit_packs


def test_base_that_was_trained_a_little_further(folder, tiny_base_folder, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(tiny_base_folder)
    with torch.no_grad():
        model.model.layers[-1].mlp.down_proj.weight.mul_(1.0001)
    with pytest.raises(WrongBaseError, match="last_down_proj"):
        model.load_edit_pack(folder)


@pytest.mark.parametrize(
    ("field", "size"),
    [("hidden_size", 32), ("intermediate_size", 64), ("num_hidden_layers", 3), ("vocab_size", 100)],
)
def test_base_of_another_shape(folder, tiny_config, tmp_path, field, size):
    config = LlamaConfig(**{**tiny_config.to_dict(), field: size, "head_dim": 16})
    model = SCENLlamaForCausalLM.from_pretrained(save_tiny_base(tmp_path / "other", config))
    with pytest.raises(EditPackError, match=f"another architecture: its {field} is .*, this model's is {size}"):
        model.load_edit_pack(folder)


def test_model_that_is_no_llama(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(EditPackError, match="is a 'gpt2' model; edit packs stand on models of the Llama family"):
        SCENLlamaForCausalLM.from_pretrained(tmp_path)
    with pytest.raises(EditPackError, match="is not an edit pack: its config.json says model_type='gpt2'"):
        EditPackReader(tmp_path)
    with pytest.raises(BaseModelError, match="is a 'gpt2' model; edits need one of the Llama family"):
        load_base(tmp_path)


def test_base_that_is_gone(folder, tmp_path):
    change_json(folder / "config.json", base_model_name_or_path=str(tmp_path / "gone"))
    with pytest.raises(EditPackError, match="gone.*could not be loaded.*Pass base_model=FOLDER_OR_REPO"):
        SCENLlamaForCausalLM.from_pretrained(folder)


def test_base_given_by_hand(folder, tiny_base_folder, tmp_path):
    change_json(folder / "config.json", base_model_name_or_path="owner/not-here", base_model_revision="abc")
    model = SCENLlamaForCausalLM.from_pretrained(folder, base_model=tiny_base_folder)
    assert model.route(**batch_of(TINY_EDITED))[0].fired


# ------------------------------------------------------------ config.json


@pytest.mark.parametrize("filename", ["config.json", "edit_pack.json"])
@pytest.mark.parametrize("version", [99, 0, "1", None])
def test_format_version(folder, filename, version):
    change_json(folder / filename, format_version=version)
    with pytest.raises(EditPackError, match=rf"{filename} has format version .*reads up to 1. Update .*or scen_hf"):
        EditPackReader(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "lora"}, "unknown method 'lora'"),
        ({"edit_layer": 4}, "puts the experts in layer 4 of 4 layers"),
        ({"edit_layer": -1}, "puts the experts in layer -1"),
        ({"edit_layer": None}, "puts the experts in layer None"),
        ({"edit_layer": "2"}, "puts the experts in layer '2'"),
        ({"expert_rank": 0}, r"no valid expert_rank \(0\)"),
        ({"expert_rank": "4"}, r"no valid expert_rank \('4'\)"),
        ({"router": None}, "describes no router"),
        ({"router": []}, "config.json"),
        ({"router": {}}, "it must read layers up to the edited one"),
        ({"router": {"features": [["last_token", "down_proj_input", 3]]}}, "it must read layers up to the edited one"),
        ({"router": {"features": [["median", "down_proj_input", 2]]}}, "Not a router feature"),
        ({"router": {"features": [["last_token"]]}}, "config.json, router"),
        ({"router": {"features": 5}}, "config.json, router"),
        ({"router": {"features": [["last_token", "down_proj_input", "x"]]}}, "config.json, router"),
        ({"num_edits": 4}, "counts 3 edits, config.json 4. The pack was not written whole"),
        ({"num_edits": "3"}, "config.json"),
        ({"question_start_ids": "abc"}, "question_start_ids: a list of token ids is expected, not 'abc'"),
        ({"question_end_ids": [1, None]}, "question_end_ids: a list of token ids is expected"),
    ],
)
def test_configuration_that_makes_no_sense(folder, fields, message):
    change_json(folder / "config.json", **fields)
    with pytest.raises(EditPackError, match=message):
        EditPackReader(folder)


@pytest.mark.parametrize(("key", "value"), [("dim", 0), ("token_dim", None), ("subject_tokens", "4")])
def test_sizes_of_the_router(gated_folder, key, value):
    router = json.loads((gated_folder / "config.json").read_text())["router"]
    change_json(gated_folder / "config.json", router={**router, key: value})
    with pytest.raises(EditPackError, match=f"config.json, router: no valid {key}"):
        EditPackReader(gated_folder)


@pytest.mark.parametrize("filename", ["config.json", "edit_pack.json"])
@pytest.mark.parametrize(
    "content", ["{", "[]", '"text"', "", "\udcff"], ids=["open", "list", "text", "empty", "bytes"]
)
def test_invalid_json(folder, filename, content):
    (folder / filename).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(EditPackError, match=rf"{filename}: (not valid JSON|a JSON object is expected)"):
        EditPackReader(folder)


# ------------------------------------------------------------ edit_pack.json


@pytest.mark.parametrize(
    "name",
    [
        "../neurons-00001.safetensors",
        "/etc/neurons-00001.safetensors",
        "sub/neurons-00001.safetensors",
        "neurons-00001.safetensors/../../x",
        "..\\neurons-00001.safetensors",
        "neurons-00001.bin",
        "neurons-00001.safetensors\n",
        "neurons-٠٠٠٠١.safetensors",
        "experts-00001.safetensors",
        "",
        None,
        7,
    ],
)
def test_manifest_names_a_file_that_is_not_a_shard(folder, name):
    change_manifest(folder, lambda shard: shard["neurons"].update(file=name))
    with pytest.raises(EditPackError, match=r"edit_pack.json names .* A shard lies in the pack itself and is called"):
        EditPackReader(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda shard: shard.pop("neurons"),
        lambda shard: shard.update(experts=[]),
        lambda shard: shard["experts"].pop("size"),
        lambda shard: shard["experts"].update(sha256=None),
        lambda shard: shard.update(edits=0),
        lambda shard: shard.update(edits="3"),
        lambda shard: shard.update(edits=2),
    ],
)
def test_manifest_with_a_broken_entry(folder, change):
    change_manifest(folder, change)
    with pytest.raises(EditPackError, match=r"edit_pack.json"):
        EditPackReader(folder)


@pytest.mark.parametrize("shards", [None, [], {}, [None], ["neurons"]])
def test_manifest_without_shards(folder, shards):
    change_json(folder / "edit_pack.json", shards=shards)
    with pytest.raises(EditPackError, match=r"edit_pack.json"):
        EditPackReader(folder)


def test_manifest_that_names_a_shard_twice(folder):
    shards = json.loads((folder / "edit_pack.json").read_text())["shards"]
    change_json(folder / "edit_pack.json", shards=shards * 2)
    change_json(folder / "config.json", num_edits=6)
    with pytest.raises(EditPackError, match="edit_pack.json names neurons-00001.safetensors twice"):
        EditPackReader(folder)


def test_shard_that_is_a_link_out_of_the_pack_is_still_checked(folder, tmp_path):
    """The Hub's cache is made of links, so they are followed; what they lead to must be what the manifest says."""
    (tmp_path / "secret").write_bytes(b"x" * (folder / "neurons-00001.safetensors").stat().st_size)
    (folder / "neurons-00001.safetensors").unlink()
    (folder / "neurons-00001.safetensors").symlink_to(tmp_path / "secret")
    with pytest.raises(EditPackError, match="neurons-00001.safetensors is not a readable safetensors file"):
        EditPackReader(folder)


# ------------------------------------------------------------------- shards


@pytest.mark.parametrize(
    "filename", ["edit_pack.json", "router.safetensors", "neurons-00001.safetensors", "config.json"]
)
def test_missing_file(folder, filename):
    (folder / filename).unlink()
    with pytest.raises(EditPackError, match=f"is not a complete edit pack: {filename} is missing"):
        EditPackReader(folder)


@pytest.mark.parametrize("filename", ["experts-00001.safetensors", "edits.jsonl"])
def test_missing_file_that_is_read_when_an_edit_fires(folder, filename):
    (folder / filename).unlink()
    with pytest.raises(EditPackError, match=f"is not a complete edit pack: {filename} is missing"):
        fire(folder)


@pytest.mark.parametrize("filename", ["neurons-00001.safetensors", "experts-00001.safetensors"])
def test_truncated_shard(folder, filename):
    content = (folder / filename).read_bytes()
    (folder / filename).write_bytes(content[:-10])
    with pytest.raises(EditPackError, match=rf"{filename} has {len(content) - 10} bytes, .*It was cut off or altered"):
        fire(folder)


def test_truncated_router(folder):
    content = (folder / "router.safetensors").read_bytes()
    (folder / "router.safetensors").write_bytes(content[:-10])
    with pytest.raises(EditPackError, match="router.safetensors is not a readable safetensors file"):
        EditPackReader(folder)


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_altered_neurons(folder):
    flip_last_byte(folder / "neurons-00001.safetensors")
    with pytest.raises(EditPackError, match=r"neurons-00001.safetensors was altered .*sha256 differs"):
        EditPackReader(folder)


def test_altered_expert(folder):
    """Only the expert that was altered is refused, and each time it fires."""
    flip_last_byte(folder / "experts-00001.safetensors")
    model = SCENLlamaForCausalLM.from_pretrained(folder)
    for _ in range(2):
        with pytest.raises(EditPackError, match=r"experts-00001.safetensors: the expert of edit 'edit-2' was altered"):
            model.route(torch.tensor([TINY_EDITED[2]]))
    assert model.route(torch.tensor([TINY_EDITED[0]]))[0].fired


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("router.safetensors", "thresholds"),
        ("router.safetensors", "fingerprint.norm"),
        ("neurons-00001.safetensors", "neurons"),
        ("experts-00001.safetensors", "a"),
        ("experts-00001.safetensors", "b"),
    ],
)
class TestTensors:
    def test_nan(self, folder, filename, name):
        change_tensor(folder, filename, name, with_nan)
        with pytest.raises(EditPackError, match=rf"{filename}.*NaN or infinite"):
            fire(folder)

    def test_infinite(self, folder, filename, name):
        change_tensor(folder, filename, name, lambda tensor: tensor / 0)
        with pytest.raises(EditPackError, match=rf"{filename}.*NaN or infinite"):
            fire(folder)

    def test_shape(self, folder, filename, name):
        change_tensor(folder, filename, name, lambda tensor: tensor[..., :-1])
        with pytest.raises(EditPackError, match=rf"{filename}, {name}: shape .*, expected "):
            fire(folder)

    def test_dtype(self, folder, filename, name):
        change_tensor(folder, filename, name, lambda tensor: tensor.to(torch.int32))
        with pytest.raises(EditPackError, match=rf"{filename}, {name}: dtype .*"):
            fire(folder)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("router.safetensors", "thresholds"),
        ("router.safetensors", "checksums"),
        ("neurons-00001.safetensors", "neurons"),
        ("experts-00001.safetensors", "a"),
    ],
)
def test_missing_tensor(folder, filename, name):
    change_tensor(folder, filename, name, lambda tensor: None)
    with pytest.raises(EditPackError, match=rf"{filename} has no tensor {name!r}"):
        fire(folder)


def test_pack_without_a_fingerprint(folder):
    for name in load_file(folder / "router.safetensors"):
        if name.startswith("fingerprint."):
            change_tensor(folder, "router.safetensors", name, lambda tensor: None)
    with pytest.raises(EditPackError, match="router.safetensors has no fingerprint of the base model"):
        EditPackReader(folder)


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("router.safetensors", "subject_thresholds"),
        ("router_space.safetensors", "feature_mean"),
        ("router.safetensors", "base_threshold"),
        ("router_space.safetensors", "feature_projection"),
        ("router_space.safetensors", "token_mean"),
        ("router_space.safetensors", "token_projection"),
        ("neurons-00001.safetensors", "subjects"),
    ],
)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, "NaN or infinite"),
        (lambda tensor: tensor[:-1], "shape .*, expected "),
        (lambda tensor: tensor.double(), "dtype torch.float64"),
        (lambda tensor: None, "no tensor"),
    ],
    ids=["nan", "shape", "dtype", "missing"],
)
def test_tensors_of_the_gates(gated_folder, filename, name, change, message):
    EditPackReader(gated_folder)
    change_tensor(gated_folder, filename, name, change)
    with pytest.raises(EditPackError, match=rf"{filename}.*{message}"):
        EditPackReader(gated_folder)


def test_checksums_of_another_dtype(folder):
    change_tensor(folder, "router.safetensors", "checksums", lambda tensor: tensor.float())
    with pytest.raises(EditPackError, match="router.safetensors, checksums: dtype torch.float32"):
        EditPackReader(folder)


def test_header_that_claims_more_than_the_file_holds(folder):
    (folder / "router.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(EditPackError, match="router.safetensors is not a readable safetensors file"):
        EditPackReader(folder)


# -------------------------------------------------------------------- facts


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "edits.jsonl, line 2: not valid JSON"),
        ("[1]", "edits.jsonl, line 2: a JSON object with an id"),
        ('{"prompt": "x"}', "edits.jsonl, line 2: a JSON object with an id"),
        ('{"id": 5}', "edits.jsonl, line 2: a JSON object with an id"),
    ],
)
def test_broken_fact(folder, line, message):
    lines = (folder / "edits.jsonl").read_text().splitlines()
    lines[1] = line
    (folder / "edits.jsonl").write_text("\n".join(lines))
    with pytest.raises(EditPackError, match=message):
        fire(folder)
    with pytest.raises(EditPackError, match=message):
        EditPack.from_pretrained(folder)


def test_fact_without_a_target(folder):
    lines = (folder / "edits.jsonl").read_text().splitlines()
    lines[1] = '{"id": "edit-1", "prompt": "x"}'
    (folder / "edits.jsonl").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="edits.jsonl, line 2: missing field 'target'"):
        EditPack.from_pretrained(folder)


def test_too_few_facts(folder):
    (folder / "edits.jsonl").write_text('{"id": "edit-0"}\n')
    with pytest.raises(EditPackError, match="edits.jsonl has 1 lines, config.json counts 3 edits"):
        fire(folder)


def test_line_separators_within_a_fact(tiny_base_folder, tmp_path):
    """JSON lines end with a newline and with nothing else that Unicode calls the end of a line."""
    pack = tiny_pack(tiny_base_folder)
    odd = Edit(id="edit-0", prompt="one\u2028two", target="a\u2029b")
    pack.shards[0].edits[0] = odd
    pack.save_pretrained(tmp_path / "pack")
    assert EditPack.from_pretrained(tmp_path / "pack").edits[0] == odd


# ----------------------------------------------------------- edits and training


def test_no_edits(tokenizer, tiny_base_folder):
    trainer = SCENTrainer(SCENLlamaForCausalLM.from_pretrained(tiny_base_folder), tokenizer, progress=False)
    with pytest.raises(EditError, match="There are no edits to train"):
        trainer.train([])


@pytest.mark.parametrize("huge", ["prompt", "target"])
def test_edit_longer_than_the_context(tokenizer, tiny_base_folder, huge):
    trainer = SCENTrainer(SCENLlamaForCausalLM.from_pretrained(tiny_base_folder), tokenizer, progress=False)
    edit = Edit(**{"id": "long", "prompt": "Who?", "target": "Me", huge: "word " * 100})
    with pytest.raises(EditError, match=r"Edit 'long' has \d+ prompt and \d+ target tokens; .* 64. Shorten it"):
        trainer.train([edit])


def test_huge_edit():
    with pytest.raises(EditError, match=r"prompt has 1,000,000 characters, the limit is .*: shorten it"):
        Edit(prompt="x" * 1_000_000, target="y")


def test_base_without_a_tokenizer(tiny_base_folder):
    with pytest.raises(BaseModelError, match="has no usable tokenizer, which edits need"):
        load_base(tiny_base_folder)


def test_base_that_does_not_exist(tmp_path):
    with pytest.raises(BaseModelError, match="no folder .*nowhere"):
        load_base(tmp_path / "nowhere")


def test_prompt_longer_than_the_context(folder):
    """The base model's own limits hold: long prompts run, and route like any other."""
    model = SCENLlamaForCausalLM.from_pretrained(folder)
    ids = torch.randint(2, 96, (1, model.config.max_position_embeddings + 10))
    assert isinstance(model.route(ids)[0].fired, bool)


# --------------------------------------------------------- disks and processes


def test_full_disk(folder, tiny_base_folder, monkeypatch):
    """The disk fills up at the first, the second, the third file, which safetensors reports in its own way."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    pack = EditPack.from_pretrained(folder).remove(["edit-0"])
    for allowed in range(3):
        writes = []

        def save(tensors, path, metadata=None, writes=writes, allowed=allowed):
            writes.append(path)
            if len(writes) > allowed:
                raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
            save_file(tensors, path, metadata=metadata)

        monkeypatch.setattr("scen_hf.pack.save_file", save)
        with pytest.raises(EditPackError, match=r"could not be written to .*: the disk is full. Nothing was changed"):
            pack.save_pretrained(folder)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert [path.name for path in folder.parent.iterdir()] == ["pack"]
    monkeypatch.undo()
    pack.save_pretrained(folder)
    assert len(EditPack.from_pretrained(folder)) == 2


def test_limit_on_the_size_of_files(folder):
    """The real thing, as near to a full disk as any system allows."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    pack = EditPack.from_pretrained(folder).remove(["edit-0"])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limit[1]))
    try:
        with pytest.raises(EditPackError, match=r"could not be written to .*: File too large. Nothing was changed"):
            pack.save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["pack"]


def test_disk_that_fails_at_the_very_end(folder, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(EditPackError, match="Input/output error. Nothing was changed"):
        EditPack.from_pretrained(folder).remove(["edit-0"]).save_pretrained(folder)
    assert len(EditPack.from_pretrained(folder)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["shard", "sync", "move"])
def test_killed_while_saving(folder, moment):
    """SIGKILL leaves no time to clean up: the old pack loads, and the next save works."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    killed = {"shard": "save_file", "sync": "_sync", "move": "_move_into_place"}[moment]
    child = textwrap.dedent(
        f"""
        import os, signal
        import scen_hf.pack as pack

        def die(*args, **kwargs):
            os.kill(os.getpid(), signal.SIGKILL)

        opened = pack.EditPack.from_pretrained({str(folder)!r}).remove(["edit-0"])
        pack.{killed} = die
        opened.save_pretrained({str(folder)!r})
        """
    )
    finished = subprocess.run([sys.executable, "-c", child], check=False)
    assert finished.returncode == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert len(EditPack.from_pretrained(folder)) == 3
    EditPack.from_pretrained(folder).remove(["edit-0"]).save_pretrained(folder)
    assert len(EditPack.from_pretrained(folder)) == 2


def test_folder_that_may_not_be_written(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(EditPackError, match="Permission denied. Nothing was changed"):
        EditPack.from_pretrained(folder).save_pretrained(folder)


def test_folder_of_somebody_else(tiny_base_folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(EditPackError, match="is not empty and holds no edit pack; choose another folder"):
        tiny_pack(tiny_base_folder).save_pretrained(tmp_path)
    with pytest.raises(EditPackError, match="is a file; a pack is a folder"):
        tiny_pack(tiny_base_folder).save_pretrained(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_expert_with_nan_is_refused_when_it_was_trained_so(tiny_base_folder, tmp_path):
    pack = tiny_pack(tiny_base_folder)
    experts = {name: with_nan(tensor) for name, tensor in tiny_experts(pack.config, 3).items()}
    pack.shards = [new_shard(pack.edits, pack.neurons, experts)]
    pack.save_pretrained(tmp_path / "pack")
    with pytest.raises(EditPackError, match=r"the expert of edit 'edit-0' has NaN .*Train that edit again"):
        fire(tmp_path / "pack")

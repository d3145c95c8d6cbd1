"""Packs in memory and on disk: reading, selecting, removing, adding, saving."""

import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from helpers import TINY_EDITED, TINY_UNEDITED, batch_of, gated_pack, tiny_edits, tiny_experts, tiny_pack
from transformers import AutoTokenizer, LlamaForCausalLM

from scen_hf import EditPack, EditPackError, SCENLlamaForCausalLM
from scen_hf.modeling import EditPackReader
from scen_hf.pack import REMOTE_CODE, new_shard


MORE_EDITED = [[1, 60, 61], [1, 70, 71, 72]]


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.is_file()}


def shard_digests(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in digests(folder).items() if name.startswith(("neurons-", "experts-"))}


def two_shards(base: Path) -> EditPack:
    """Three edits, and two that were added later."""
    pack = tiny_pack(base, others=[*TINY_UNEDITED, *MORE_EDITED])
    added = tiny_pack(base, edited=MORE_EDITED, prefix="more", seed=2)
    pack = pack.extended(added.shards[0])
    pack.router["thresholds"] = torch.full((5,), 0.65)
    return pack


@pytest.fixture
def pack_folder(tiny_base_folder, tmp_path):
    two_shards(tiny_base_folder).save_pretrained(tmp_path / "pack")
    return tmp_path / "pack"


def ids(pack: EditPack) -> list[str]:
    return [edit.id for edit in pack.edits]


def assert_same_tensors(pack: EditPack, expected: EditPack) -> None:
    """Neurons, thresholds and experts of each edit of `pack` are those that the edit has in `expected`."""
    rows = torch.tensor([ids(expected).index(name) for name in ids(pack)])
    assert torch.equal(pack.neurons, expected.neurons[rows])
    assert torch.equal(pack.thresholds, expected.thresholds[rows])
    for name in pack.experts_of(pack.shards[0]):
        ours, theirs = (torch.cat([p.experts_of(s)[name] for s in p.shards]) for p in (pack, expected))
        assert torch.equal(ours, theirs[rows])


# -------------------------------------------------------------------- reading


@pytest.mark.parametrize("make", [two_shards, gated_pack])
def test_what_is_saved_is_read_again(tiny_base_folder, tmp_path, make):
    pack = make(tiny_base_folder)
    pack.save_pretrained(tmp_path / "pack")
    again = EditPack.from_pretrained(tmp_path / "pack")
    assert again.edits == pack.edits
    assert_same_tensors(again, pack)
    assert again.router.keys() == pack.router.keys()
    assert all(torch.equal(again.router[name], tensor) for name, tensor in pack.router.items())
    assert again.config.num_edits == len(again) == len(pack)
    assert {shard.number for shard in again.shards} == set(range(1, len(pack.shards) + 1))


def test_a_pack_is_complete(pack_folder):
    files = {path.name for path in pack_folder.iterdir()}
    assert files >= {"config.json", "edit_pack.json", "edits.jsonl", "router.safetensors", *REMOTE_CODE}
    assert files >= {f"{kind}-0000{number}.safetensors" for kind in ("neurons", "experts") for number in (1, 2)}
    config = json.loads((pack_folder / "config.json").read_text())
    assert config["auto_map"]["AutoModelForCausalLM"] == "modeling_scen_llama.SCENLlamaForCausalLM"
    assert config["num_edits"] == 5
    facts = [json.loads(line) for line in (pack_folder / "edits.jsonl").read_text().splitlines()]
    assert [fact["id"] for fact in facts] == ["edit-0", "edit-1", "edit-2", "more-0", "more-1"]


def test_a_real_pack_carries_its_tokenizer(sample_pack, tokenizer):
    ours = AutoTokenizer.from_pretrained(sample_pack)
    assert ours.chat_template == tokenizer.chat_template
    assert ours("Hello")["input_ids"] == tokenizer("Hello")["input_ids"]
    assert (sample_pack / "generation_config.json").is_file()


def test_saving_copies_the_tokenizer_of_a_pack_from_disk(sample_pack, tmp_path):
    EditPack.from_pretrained(sample_pack).save_pretrained(tmp_path / "copy")
    ours, theirs = digests(tmp_path / "copy"), digests(sample_pack)
    assert ours == theirs


def test_reader_reads_experts_only_when_asked(pack_folder):
    reader = EditPackReader(pack_folder)
    assert not reader._cache
    assert not reader._open_shards
    reader.expert(4)
    assert list(reader._open_shards) == ["experts-00002.safetensors"]
    assert reader.expert(4)[0] is reader.expert(4)[0]


def test_reader_gives_the_expert_of_each_edit(tiny_base_folder, pack_folder):
    reader, pack = EditPackReader(pack_folder), two_shards(tiny_base_folder)
    assert [reader.edit_id(number) for number in range(len(reader))] == ids(pack)
    a = torch.cat([shard.experts["a"] for shard in pack.shards])
    assert all(torch.equal(reader.expert(number)[0], a[number]) for number in range(5))


def test_texts_of_packs(pack_folder):
    assert "5 edits" in repr(EditPackReader(pack_folder))
    assert "5 edits on" in repr(EditPack.from_pretrained(pack_folder))
    assert "method='scen', layer=2" in repr(EditPack.from_pretrained(pack_folder))


# -------------------------------------------------------------------- changing


def test_select_keeps_the_order_of_the_pack(pack_folder):
    pack = EditPack.from_pretrained(pack_folder)
    selected = pack.select(["more-1", "edit-2", "edit-0"])
    assert ids(selected) == ["edit-0", "edit-2", "more-1"]
    assert_same_tensors(selected, pack)
    assert ids(pack) == ["edit-0", "edit-1", "edit-2", "more-0", "more-1"]


def test_remove_one(pack_folder):
    pack = EditPack.from_pretrained(pack_folder)
    removed = pack.remove(["edit-1"])
    assert ids(removed) == ["edit-0", "edit-2", "more-0", "more-1"]
    assert_same_tensors(removed, pack)


def test_remove_twice(pack_folder, tmp_path):
    """The second removal is from a shard on disk, behind one that has become shorter."""
    pack = EditPack.from_pretrained(pack_folder)
    removed = pack.remove(["edit-1"]).remove(["more-0"])
    assert ids(removed) == ["edit-0", "edit-2", "more-1"]
    assert_same_tensors(removed, pack)
    removed.save_pretrained(tmp_path / "removed")
    assert_same_tensors(EditPack.from_pretrained(tmp_path / "removed"), pack)


def test_remove_a_whole_shard_then_part_of_the_next(pack_folder, tmp_path):
    pack = EditPack.from_pretrained(pack_folder)
    removed = pack.remove(["edit-0", "edit-1", "edit-2"]).remove(["more-0"])
    assert ids(removed) == ["more-1"]
    assert_same_tensors(removed, pack)


def test_removing_rewrites_only_its_shard(pack_folder):
    before = shard_digests(pack_folder)
    EditPack.from_pretrained(pack_folder).remove(["more-0"]).save_pretrained(pack_folder)
    after = shard_digests(pack_folder)
    kept = ["experts-00001.safetensors", "neurons-00001.safetensors"]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert len(after) == 4
    assert set(after.values()) & set(before.values()) == {before[name] for name in kept}
    assert ids(EditPack.from_pretrained(pack_folder)) == ["edit-0", "edit-1", "edit-2", "more-1"]


def test_nothing_of_a_removed_edit_is_left(pack_folder):
    pack = EditPack.from_pretrained(pack_folder)
    tensors = (pack.neurons[1], pack.experts_of(pack.shards[0])["a"][1], pack.experts_of(pack.shards[0])["b"][1])
    traces = [b"edit-1", b"edit prompt 1", b"edit target 1", *(tensor.numpy().tobytes() for tensor in tensors)]
    before = b"".join(path.read_bytes() for path in pack_folder.iterdir())
    assert all(trace in before for trace in traces)
    pack.remove(["edit-1"]).save_pretrained(pack_folder)
    after = b"".join(path.read_bytes() for path in pack_folder.iterdir())
    assert not any(trace in after for trace in traces)


@torch.no_grad()
def test_a_removed_edit_is_the_base_model_again(tiny_base_folder, pack_folder):
    EditPack.from_pretrained(pack_folder).remove(["edit-1"]).save_pretrained(pack_folder)
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    batch = batch_of([*TINY_EDITED, *MORE_EDITED])
    base = LlamaForCausalLM.from_pretrained(tiny_base_folder)
    same = [torch.equal(*pair) for pair in zip(model(**batch).logits, base(**batch).logits, strict=True)]
    assert same == [False, True, False, False, False]


def test_ids_that_are_not_there(pack_folder):
    pack = EditPack.from_pretrained(pack_folder)
    for change in (pack.remove, pack.select):
        with pytest.raises(
            EditPackError, match="No edit has the id 'edit-9', 'zebra'. See the ids with: scen inspect"
        ):
            change(["edit-0", "zebra", "edit-9"])


def test_a_pack_without_edits(pack_folder):
    pack = EditPack.from_pretrained(pack_folder)
    for empty in (lambda: pack.remove(ids(pack)), lambda: pack.select([])):
        with pytest.raises(EditPackError, match="A pack without edits cannot be saved or loaded; delete the folder"):
            empty()


def test_adding_leaves_old_shards_byte_identical(tiny_base_folder, pack_folder):
    before = shard_digests(pack_folder)
    pack = EditPack.from_pretrained(pack_folder)
    experts = tiny_experts(pack.config, 1, seed=5)
    added = pack.extended(new_shard(tiny_edits(1, "third"), torch.randn(1, 128), experts))
    added.router["thresholds"] = torch.full((6,), 0.65)
    added.save_pretrained(pack_folder)
    after = shard_digests(pack_folder)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"experts-00003.safetensors", "neurons-00003.safetensors"}
    assert ids(EditPack.from_pretrained(pack_folder)) == [*ids(pack), "third-0"]
    assert len(pack) == 5  # the pack it was added to is as it was


def test_a_new_shard_never_takes_the_name_of_an_old_one(pack_folder):
    pack = EditPack.from_pretrained(pack_folder).remove(["edit-0", "edit-1", "edit-2"])
    pack.save_pretrained(pack_folder)
    pack = EditPack.from_pretrained(pack_folder)
    before = shard_digests(pack_folder)
    added = pack.extended(new_shard(tiny_edits(1, "x"), torch.randn(1, 128), tiny_experts(pack.config, 1)))
    added.router["thresholds"] = torch.full((3,), 0.65)
    added.save_pretrained(pack_folder)
    after = shard_digests(pack_folder)
    assert {name: after[name] for name in before} == before
    assert len(after) == 4


# --------------------------------------------------------------------- saving


def test_saving_twice_changes_nothing(pack_folder):
    before = digests(pack_folder)
    EditPack.from_pretrained(pack_folder).save_pretrained(pack_folder)
    assert digests(pack_folder) == before


def test_saving_leaves_no_scratch_folders(pack_folder):
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    assert [path.name for path in pack_folder.parent.iterdir()] == ["pack"]


def test_files_beside_the_pack_are_kept(pack_folder):
    (pack_folder / "README.md").write_text("# Mine")
    (pack_folder / ".git").mkdir()
    (pack_folder / ".git" / "HEAD").write_text("ref")
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    assert "# Mine" in (pack_folder / "README.md").read_text()
    assert (pack_folder / ".git" / "HEAD").read_text() == "ref"


def test_shards_that_are_no_longer_named_are_gone(pack_folder):
    EditPack.from_pretrained(pack_folder).remove(["edit-0", "edit-1", "edit-2"]).save_pretrained(pack_folder)
    assert sorted(shard_digests(pack_folder)) == ["experts-00002.safetensors", "neurons-00002.safetensors"]


def test_saving_into_an_empty_folder_and_a_new_one(tiny_base_folder, tmp_path):
    pack = tiny_pack(tiny_base_folder)
    (tmp_path / "empty").mkdir()
    pack.save_pretrained(tmp_path / "empty")
    pack.save_pretrained(tmp_path / "new" / "deep")
    assert digests(tmp_path / "empty") == digests(tmp_path / "new" / "deep")
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o755


def test_saving_through_a_relative_path(tiny_base_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_pack(tiny_base_folder).save_pretrained("pack")
    assert len(EditPack.from_pretrained("pack")) == 3


def test_saving_through_a_link_writes_to_its_target(tiny_base_folder, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    tiny_pack(tiny_base_folder).save_pretrained(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "edit_pack.json").is_file()


@torch.no_grad()
def test_a_model_that_uses_the_old_pack_goes_on(pack_folder):
    """Saving in place must not pull the shards from under a model that reads them when an edit fires."""
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    batch = batch_of(TINY_EDITED)
    expected = model(**batch).logits
    (reader,) = model.edit_packs.values()
    reader._cache.clear()
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    assert torch.equal(model(**batch).logits, expected)


@torch.no_grad()
def test_saving_a_model_saves_its_pack(pack_folder, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    model.save_pretrained(tmp_path / "pack-alone")
    assert shard_digests(tmp_path / "pack-alone") == shard_digests(pack_folder)
    assert not list(tmp_path.glob("pack-alone/model*.safetensors"))
    again = SCENLlamaForCausalLM.from_pretrained(tmp_path / "pack-alone")
    assert torch.equal(again(**batch_of(TINY_EDITED)).logits, model(**batch_of(TINY_EDITED)).logits)


@torch.no_grad()
def test_saving_a_model_with_its_base(pack_folder, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    expected = model(**batch_of(TINY_EDITED)).logits
    model.save_pretrained(tmp_path / "whole", include_base=True)
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["base_model_name_or_path"] is None
    shutil.rmtree(pack_folder)
    again = SCENLlamaForCausalLM.from_pretrained(tmp_path / "whole")
    assert torch.equal(again(**batch_of(TINY_EDITED)).logits, expected)
    assert len(EditPack.from_pretrained(tmp_path / "whole")) == 5


@torch.no_grad()
def test_saving_a_model_without_packs_saves_the_base(tiny_base_folder, pack_folder, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    model.unload_edit_pack()
    model.save_pretrained(tmp_path / "model")
    saved = SCENLlamaForCausalLM.from_pretrained(tmp_path / "model")
    assert not saved.edit_packs
    base = LlamaForCausalLM.from_pretrained(tiny_base_folder)
    assert torch.equal(saved(**batch_of(TINY_EDITED)).logits, base(**batch_of(TINY_EDITED)).logits)
    saved.load_edit_pack(pack_folder)
    assert saved.route(**batch_of(TINY_EDITED))[0].fired


def test_saving_a_model_refuses_what_it_cannot_write(pack_folder, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(EditPackError, match="is not a new or empty folder; choose another one"):
        model.save_pretrained(tmp_path / "full")
    model.load_edit_pack(pack_folder, name="again")
    with pytest.raises(EditPackError, match="A folder holds one pack, .* Unload all but one"):
        model.save_pretrained(tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir() if path != pack_folder] == ["full"]


def test_a_copy_without_hard_links(pack_folder, tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    EditPack.from_pretrained(pack_folder).save_pretrained(tmp_path / "copy")
    assert shard_digests(tmp_path / "copy") == shard_digests(pack_folder)


def test_without_an_atomic_exchange(pack_folder, monkeypatch):
    monkeypatch.setattr("scen_hf.pack._exchange", lambda one, other: False)
    EditPack.from_pretrained(pack_folder).remove(["edit-0"]).save_pretrained(pack_folder)
    assert ids(EditPack.from_pretrained(pack_folder)) == ["edit-1", "edit-2", "more-0", "more-1"]
    assert [path.name for path in pack_folder.parent.iterdir()] == ["pack"]


def test_many_edits(tiny_base_folder, tmp_path):
    """The neuron matrix of thousands of edits is read at once, their experts are not."""
    count = 3000
    pack = tiny_pack(tiny_base_folder)
    experts = tiny_experts(pack.config, count, rank=2)
    pack.shards = [new_shard(tiny_edits(count, "many"), torch.randn(count, 128) * 0.01, experts)]
    pack.router = {"thresholds": torch.full((count,), 0.99)}
    pack.save_pretrained(tmp_path / "pack")
    model = SCENLlamaForCausalLM.from_pretrained(tmp_path / "pack")
    assert not model.route(**batch_of(TINY_EDITED))[0].fired
    (reader,) = model.edit_packs.values()
    assert not reader._cache
    assert reader.edit_id(count - 1) == f"many-{count - 1}"

"""Three-way merges of packs: what both sides did is kept, or named as a conflict."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import gated_pack, save_tiny_base, tiny_pack

from scen_hf import EditPack, EditPackError
from scen_hf.hub_tools.rebasing import rebase_pack


@pytest.fixture
def start(tiny_pack_folder):
    """The version that both sides start from."""
    return EditPack.from_pretrained(tiny_pack_folder)


@pytest.fixture
def saved(tmp_path):
    """Saves a pack and opens it again, as a rebase finds the versions."""
    numbers = iter(range(100))

    def save(pack: EditPack) -> EditPack:
        folder = tmp_path / f"pack-{next(numbers)}"
        pack.save_pretrained(folder)
        return EditPack.from_pretrained(folder)

    return save


@pytest.fixture
def add(tiny_base_folder, saved):
    """A pack with three more edits."""

    def add(pack: EditPack, prefix: str, **fields: str) -> EditPack:
        more = tiny_pack(tiny_base_folder, prefix=prefix, seed=len(prefix))
        shard = replace(more.shards[0], edits=[replace(more.edits[0], **fields), *more.edits[1:]])
        extended = pack.extended(shard)
        extended.router["thresholds"] = torch.cat([pack.thresholds, more.thresholds])
        return saved(extended)

    return add


@pytest.fixture
def change(saved):
    """A pack in which an edit has other fields, or an expert trained anew."""

    def change(pack: EditPack, id: str, scale: float = 1.0, **fields: str | None) -> EditPack:
        shards = []
        for shard in pack.shards:
            rows = [row for row, edit in enumerate(shard.edits) if edit.id == id]
            if not rows:
                shards.append(shard)
                continue
            edits = [replace(edit, **fields) if edit.id == id else edit for edit in shard.edits]
            neurons = shard.neurons.clone()
            neurons[rows] *= scale
            shards.append(
                replace(shard, edits=edits, neurons=neurons, experts=pack.experts_of(shard), entry=None, number=None)
            )
        return saved(replace(pack, shards=shards))

    return change


def move(pack: EditPack, id: str, threshold: float) -> EditPack:
    thresholds = pack.thresholds.clone()
    thresholds[[edit.id for edit in pack.edits].index(id)] = threshold
    return replace(pack, router={**pack.router, "thresholds": thresholds})


def ids(pack: EditPack) -> list[str]:
    return [edit.id for edit in pack.edits]


def expert(pack: EditPack, id: str) -> dict[str, torch.Tensor]:
    (shard,) = (shard for shard in pack.shards if any(edit.id == id for edit in shard.edits))
    row = [edit.id for edit in shard.edits].index(id)
    return {name: tensor[row] for name, tensor in pack.experts_of(shard).items()}


def files(pack: EditPack) -> dict[str, str]:
    """SHA-256 of all shards by file name."""
    return {
        shard.entry[part]["file"]: shard.entry[part]["sha256"]
        for shard in pack.shards
        for part in ("neurons", "experts")
    }


def test_additions_of_both_sides_are_joined(start, add, saved):
    theirs, ours = add(start, "bob"), add(start, "anna")
    joined = saved(rebase_pack(start, theirs, ours))
    assert ids(joined) == [*ids(theirs), "anna-0", "anna-1", "anna-2"]
    for name, tensor in expert(joined, "anna-1").items():
        assert torch.equal(tensor, expert(ours, "anna-1")[name])
    assert torch.equal(joined.neurons, torch.cat([theirs.neurons, ours.neurons[3:]]))
    # What the repository has does not travel again, and the number that both sides gave is theirs.
    assert files(theirs).items() < files(joined).items()
    assert Path(joined._reader.source, "experts-00003.safetensors").is_file()


def test_a_number_that_any_version_had_is_not_used_again(start, add, saved):
    base = add(start, "old")
    theirs = saved(base.remove(["old-0", "old-1", "old-2"]))
    joined = saved(rebase_pack(base, theirs, add(base, "new")))
    assert "experts-00002.safetensors" not in files(joined)
    assert ids(joined) == [*ids(start), "new-0", "new-1", "new-2"]


def test_removals_and_changes_of_both_sides_are_kept(start, change, saved):
    theirs = saved(change(start, "edit-0", target="their target").remove(["edit-1"]))
    ours = change(start, "edit-2", target="our target")
    joined = saved(rebase_pack(start, theirs, ours))
    assert {edit.id: edit.target for edit in joined.edits} == {"edit-0": "their target", "edit-2": "our target"}
    other_way = saved(rebase_pack(start, ours, theirs))
    assert {edit.id: edit.target for edit in other_way.edits} == {"edit-0": "their target", "edit-2": "our target"}


def test_the_last_fact_may_be_replaced(start, change, saved):
    base = saved(start.select(["edit-0"]))
    joined = saved(rebase_pack(base, base, change(base, "edit-0", target="our target")))
    assert [edit.target for edit in joined.edits] == ["our target"]


def test_what_both_sides_did_alike_is_done_once(start, add, change, saved):
    def alike(pack: EditPack) -> EditPack:
        return saved(add(change(pack, "edit-0", source="a book"), "same").remove(["edit-1"]))

    joined = saved(rebase_pack(start, alike(start), add(alike(start), "anna")))
    assert ids(joined) == ["edit-0", "edit-2", "same-0", "same-1", "same-2", "anna-0", "anna-1", "anna-2"]
    assert len({edit.id for edit in joined.edits}) == len(joined)


@pytest.mark.parametrize(
    ("here", "there", "message"),
    [
        ({"target": "ours"}, {"target": "theirs"}, "'edit-1' was changed here and there"),
        ({"source": "ours"}, {"source": "theirs"}, "'edit-1' was changed here and there"),
        ({"scale": 0.5}, {"scale": 0.7}, "'edit-1' was changed here and there"),
        ({"target": "ours"}, None, "'edit-1' was changed here and removed there"),
        (None, {"target": "theirs"}, "'edit-1' was removed here and changed there"),
    ],
)
def test_changes_of_one_fact_are_conflicts(start, change, saved, here, there, message):
    ours, theirs = (
        saved(start.remove(["edit-1"])) if fields is None else change(start, "edit-1", **fields)
        for fields in (here, there)
    )
    with pytest.raises(EditPackError, match=message):
        rebase_pack(start, theirs, ours)


@pytest.mark.parametrize(
    "fields",
    [{"id": "bob-0"}, {"prompt": "Bob prompt 0?"}, {"prompt": "another one", "rephrases": ["bob prompt 0"]}],
)
def test_additions_that_contradict_are_conflicts(start, add, fields):
    with pytest.raises(EditPackError, match=r"'(anna|bob)-0' .* is here, 'bob-0' \('bob prompt 0'\) there"):
        rebase_pack(start, add(start, "bob"), add(start, "anna", **fields))


def test_many_conflicts_are_counted(start, add, saved, tiny_base_folder):
    edited = [[1, 10 + n, 30 + n] for n in range(12)]
    pack = tiny_pack(tiny_base_folder, edited=edited)
    base = saved(pack)

    def with_targets(target: str) -> EditPack:
        (shard,) = base.shards
        edits = [replace(edit, target=target) for edit in shard.edits]
        return saved(
            replace(
                base, shards=[replace(shard, edits=edits, experts=base.experts_of(shard), entry=None, number=None)]
            )
        )

    with pytest.raises(EditPackError, match="; and 2 more") as error:
        rebase_pack(base, with_targets("theirs"), with_targets("ours"))
    assert "\n" not in str(error.value)


def test_thresholds_are_as_the_side_that_moved_them_set_them(start, add, saved):
    theirs = saved(move(move(add(start, "bob"), "edit-0", 0.7), "edit-2", 0.8))
    ours = saved(move(move(start, "edit-1", 0.75), "edit-2", 0.9))
    joined = rebase_pack(start, theirs, ours)
    expected = torch.tensor([0.7, 0.75, 0.9, 0.65, 0.65, 0.65])
    assert torch.equal(joined.thresholds, expected)


def test_both_gates_are_joined(tiny_base_folder, saved):
    base = saved(gated_pack(tiny_base_folder))
    theirs = saved(base.remove(["edit-0"]))
    ours = saved(base.remove(["edit-1"]))
    joined = saved(rebase_pack(base, theirs, ours))
    assert ids(joined) == ["edit-2"]
    assert torch.equal(joined.subjects, base.subjects[2:])
    assert joined.router["subject_thresholds"].shape == (1,)


def test_packs_of_other_spaces_or_bases_are_refused(start, saved, tiny_base_folder, tiny_config, tmp_path):
    base = saved(gated_pack(tiny_base_folder))
    name = next(name for name in base.router if not name.endswith("thresholds"))
    other_space = replace(base, router={**base.router, name: base.router[name] + 1})
    with pytest.raises(EditPackError, match=r"router space differ.*scen merge"):
        rebase_pack(base, saved(other_space), base)
    other_base = save_tiny_base(tmp_path / "other", tiny_config, seed=5)
    with pytest.raises(EditPackError, match=r"base_fingerprint.*differ.*scen merge"):
        rebase_pack(start, saved(tiny_pack(other_base)), start)

"""Differences between two versions of a pack, and the version number that follows."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import gated_pack, tiny_edits, tiny_pack

from scen_hf import Edit, EditPack, SCENLlamaConfig, compare_packs
from scen_hf.differences import ChangedFact, PackDifference, next_version
from scen_hf.pack import Shard


def pack_of(edits, seed=0, **config):
    """A pack of these edits whose neurons and checksums are those of the edit's id."""
    generators = [torch.Generator().manual_seed(seed + int.from_bytes(edit.id.encode()[-4:], "big")) for edit in edits]
    neurons = torch.stack([torch.randn(8, generator=generator) for generator in generators])
    checksums = torch.stack([torch.randint(2**31, (1,), generator=generator)[0] for generator in generators])
    router = {"thresholds": torch.full((len(edits),), 0.5), "feature_mean": torch.zeros(4)}
    fingerprint = {"norm": torch.ones(64)}
    return EditPack(SCENLlamaConfig(**config), [Shard(list(edits), neurons, checksums)], router, fingerprint)


def changed_edit(number, **fields):
    """The pack of the tiny edits, with other fields of one of them."""
    edits = tiny_edits()
    edits[number] = replace(edits[number], **fields)
    return pack_of(edits)


@pytest.fixture
def pack():
    return pack_of(tiny_edits())


def only(difference, *names):
    """The named parts, after checking that no other part has anything."""
    parts = [name for name in PackDifference.__dataclass_fields__ if getattr(difference, name)]
    assert sorted(parts) == sorted(names)
    return [getattr(difference, name) for name in names]


def test_a_pack_does_not_differ_from_itself(pack):
    difference = compare_packs(pack, pack_of(tiny_edits()))
    assert difference.is_empty
    assert difference.bump is None
    assert str(difference) == "no difference"
    assert difference.to_markdown() == "No difference.\n"


def test_order_and_shards_do_not_count(tiny_base_folder):
    pack = tiny_pack(tiny_base_folder)
    other = pack.select(["edit-2"])
    other.shards = [*other.shards, *pack.remove(["edit-2"]).shards]
    other.router["thresholds"] = pack.thresholds
    assert compare_packs(pack, other).is_empty


def test_more_facts_make_a_minor_version(pack):
    new = Edit(prompt="Who leads?", target="Ada")
    difference = compare_packs(pack, pack_of([*tiny_edits(), new]))
    assert only(difference, "added") == [[new]]
    assert difference.bump == "minor"
    assert str(difference) == "1 fact added"


def test_fewer_facts_make_a_major_version(pack):
    difference = compare_packs(pack, pack_of(tiny_edits()[1:]))
    assert only(difference, "removed") == [tiny_edits()[:1]]
    assert difference.bump == "major"


@pytest.mark.parametrize("fields", [{"prompt": "another"}, {"target": "another"}, {"subject": "another"}])
def test_another_fact_under_the_same_id_is_changed(pack, fields):
    difference = compare_packs(pack, changed_edit(1, **fields))
    ((fact,),) = only(difference, "changed")
    assert fact.fields == tuple(fields)
    assert (fact.before, fact.after) == (tiny_edits()[1], replace(tiny_edits()[1], **fields))
    assert difference.bump == "major"


def test_the_same_prompt_is_the_same_fact_under_another_id():
    old, new = Edit(prompt="Who leads?", target="Ada"), Edit(prompt=" who LEADS", target="Grace")
    difference = compare_packs(pack_of([old]), pack_of([new]))
    assert difference.changed == [ChangedFact(old, new)]
    assert difference.changed[0].fields == ("prompt", "target", "id")
    assert not difference.added and not difference.removed


@pytest.mark.parametrize(
    "fields", [{"source": "here"}, {"date": "2026-01-02"}, {"rephrases": ["again"]}, {"neighbours": ["near"]}]
)
def test_what_only_describes_a_fact_is_told_apart(pack, fields):
    difference = compare_packs(pack, changed_edit(1, **fields))
    ((fact,),) = only(difference, "metadata")
    assert fact.fields == tuple(fields)
    assert difference.bump == "patch"


@pytest.mark.parametrize("part", ["neurons", "checksums"])
def test_another_expert_or_neuron_of_the_same_fact_is_retrained(pack, part):
    other = pack_of(tiny_edits())
    getattr(other.shards[0], part)[2] += 1
    difference = compare_packs(pack, other)
    assert only(difference, "retrained") == [tiny_edits()[2:]]
    assert difference.bump == "patch"


def test_a_changed_fact_is_not_listed_as_retrained_too(pack):
    other = changed_edit(1, target="another")
    other.shards[0].checksums[:] += 1
    difference = compare_packs(pack, other)
    assert [edit.id for edit in difference.retrained] == ["edit-0", "edit-2"]


def test_neurons_of_another_space_are_others(pack):
    other = pack_of(tiny_edits())
    other.router["feature_mean"] = torch.ones(4)
    assert compare_packs(pack, other).retrained == tiny_edits()
    smaller = pack_of(tiny_edits())
    smaller.shards[0].neurons = smaller.shards[0].neurons[:, :4]
    assert compare_packs(pack, smaller).retrained == tiny_edits()


def test_thresholds_of_both_gates_are_compared(tiny_base_folder):
    old, new = gated_pack(tiny_base_folder), gated_pack(tiny_base_folder)
    new.router["thresholds"][0] = 0.75
    new.router["subject_thresholds"][2] = 0.25
    difference = compare_packs(old, new)
    (moved,) = only(difference, "moved_thresholds")
    assert [(m.edit.id, m.gate, m.before, m.after) for m in moved] == [
        ("edit-0", "question", 0.5, 0.75),
        ("edit-2", "subject", 0.5, 0.25),
    ]
    assert difference.bump == "patch"


def test_subject_vectors_are_part_of_a_neuron(tiny_base_folder):
    old, new = gated_pack(tiny_base_folder), gated_pack(tiny_base_folder)
    new.shards[0].subjects[1] *= 2
    assert [edit.id for edit in compare_packs(old, new).retrained] == ["edit-1"]


def test_settings_of_the_pack_are_compared(pack):
    other = pack_of(tiny_edits(), edit_layer=3, base_model_name_or_path="somebody/llama")
    difference = compare_packs(pack, other)
    (settings,) = only(difference, "settings")
    assert [(s.name, s.after) for s in settings] == [("base_model_name_or_path", "somebody/llama"), ("edit_layer", 3)]
    assert difference.bump == "patch"


def test_other_base_weights_make_a_major_version(pack):
    other = pack_of(tiny_edits())
    other.base_fingerprint = {"norm": torch.full((64,), 1.001)}  # as bfloat16 the same
    assert compare_packs(pack, other).is_empty
    other.base_fingerprint = {"norm": torch.full((64,), 1.1)}
    assert compare_packs(pack, other).bump == "major"


def test_removals_weigh_more_than_additions(pack):
    difference = compare_packs(pack, pack_of([*tiny_edits()[1:], Edit(prompt="Who leads?", target="Ada")]))
    assert str(difference) == "1 fact added, 1 fact removed"
    assert difference.bump == "major"


def test_packs_of_thousands_are_compared_row_by_row():
    edits = tiny_edits(5_000)
    old, new = pack_of(edits), pack_of(edits[::-1])
    new.shards[0].checksums[[5, 2_500]] += 1
    new.router["thresholds"][[7, 4_999]] = 0.6
    difference = compare_packs(old, new)
    assert [edit.id for edit in difference.retrained] == ["edit-4994", "edit-2499"]
    assert [moved.edit.id for moved in difference.moved_thresholds] == ["edit-4992", "edit-0"]
    assert not difference.added and not difference.removed and not difference.changed


@pytest.mark.parametrize(
    ("tags", "new_edits", "expected"),
    [
        ([], 4, "v1.0.0"),
        (["draft", "v2", "v01.0.0", "v1.0.0-rc1"], 4, "v1.0.0"),
        (["v1.0.0"], 4, "v1.1.0"),
        (["v1.9.3", "v1.10.2", "0.3.0"], 4, "v1.11.0"),
        (["1.2.3"], 2, "v2.0.0"),
        (["v1.2.3"], 3, "v1.2.4"),
    ],
)
def test_next_version_is_the_highest_raised_by_what_changed(pack, tags, new_edits, expected):
    assert next_version(tags, compare_packs(pack, pack_of(tiny_edits(new_edits)))) == expected


def test_next_version_without_anything_to_compare_with_is_major():
    assert next_version(["v1.2.3"], None) == "v2.0.0"
    assert next_version([], None) == "v1.0.0"


def test_markdown_has_a_table_of_each_kind_and_no_markup_of_others(pack):
    edits = tiny_edits()[1:]
    edits[0] = replace(edits[0], target="a|b\n<img src=x> [here](http://x) `rm` \u202edne")
    edits[1] = replace(edits[1], source="https://example.org/a")
    markdown = compare_packs(pack, pack_of(edits)).to_markdown()
    assert markdown.startswith("**1 fact removed, 1 fact changed, 1 fact with other metadata**: a major version.\n")
    assert "### Facts removed (1)\n\n| id | prompt | answer | source | as of |\n| --- | --- |" in markdown
    assert "| edit-0 | edit prompt 0 | edit target 0 |  |  |" in markdown
    assert r"| edit-1 | target | edit target 1 | a\|b \<img src=x\> \[here\](http://x) \`rm\` dne |" in markdown
    assert "| edit-2 | source |  | https://example.org/a |" in markdown


def test_markdown_of_many_changes_stays_short(pack):
    markdown = compare_packs(pack, pack_of(tiny_edits(1003))).to_markdown(max_entries=10)
    assert "### Facts added (1,000)" in markdown
    assert markdown.count("| edit-") == 10
    assert markdown.endswith("\n\nand 990 more\n")


def test_markdown_of_long_facts_fits_a_pull_request():
    long = "x" * 1000
    edits = [Edit(id=f"kept{n}", prompt=f"{n}{long}", target=long, source=long, subject=long) for n in range(200)]
    others = [replace(edit, target="y", source=None, subject=None) for edit in edits]
    gone = [Edit(id=f"gone{n}", prompt=f"gone {n}", target=long, source=long) for n in range(100)]
    markdown = compare_packs(pack_of([*edits, *gone]), pack_of(others)).to_markdown(max_entries=1000)
    assert 55_000 < len(markdown) < 65_000
    removed, changed = markdown.split("### Facts changed (200)")
    for part, total in ((removed, 100), (changed, 200)):
        shown = {line.split(" | ")[0] for line in part.split("\n") if line.startswith(("| kept", "| gone"))}
        assert part.rstrip().endswith(f"\n\nand {total - len(shown)} more")


@pytest.mark.parametrize(("before", "after"), [("end", "END"), ("end", "end, and more"), ("a" * 300, "b")])
def test_markdown_shows_where_long_texts_begin_to_differ(before, after):
    start = "the same words again and " * 40
    old, new = (Edit(id="long", prompt="Who?", target=start + target) for target in (before, after))
    (row,) = [
        line for line in compare_packs(pack_of([old]), pack_of([new])).to_markdown().split("\n") if "| long" in line
    ]
    was, now = row.split(" | ")[2:]
    assert before[:20] in was and after[:20] in now
    assert max(len(was), len(now)) < 210


def test_json_holds_everything(pack):
    edits = [replace(tiny_edits()[0], target="another"), *tiny_edits(4)[2:]]
    other = pack_of(edits, expert_rank=4)
    other.router["thresholds"][1] = 0.75
    other.shards[0].checksums[1] += 1
    fields = json.loads(json.dumps(compare_packs(pack, other).to_dict()))
    assert fields["bump"] == "major"
    assert [edit["id"] for edit in fields["added"]] == ["edit-3"]
    assert [edit["id"] for edit in fields["removed"]] == ["edit-1"]
    assert fields["changed"][0]["fields"] == ["target"]
    assert fields["changed"][0]["after"]["target"] == "another"
    assert fields["retrained"] == ["edit-2"]
    assert fields["moved_thresholds"] == [{"id": "edit-2", "gate": "question", "before": 0.5, "after": 0.75}]
    assert fields["settings"][0]["name"] == "expert_rank"

"""Merging packs: facts, ids, shards and provenance on tiny packs; routing and answers on the real model."""

import json
import os
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers import FRANCE, TINY_EDITED, TINY_UNEDITED, batch_of, gated_pack, save_tiny_base, tiny_pack
from transformers import AutoTokenizer
from typer.testing import CliRunner

from scen_hf import Edit, EditPack, EditPackError, SCENLlamaForCausalLM, WrongBaseError
from scen_hf import merge_packs as merge_and_measure
from scen_hf.cli import app
from scen_hf.cli import merging as command
from scen_hf.evaluation import Rate
from scen_hf.hub_tools import push_pack
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.merging import MergeConflictError
from scen_hf.modeling import EditPackReader
from scen_hf.pack import new_shard
from scen_hf.prompts import encode_prompt


MORE_EDITED = [[1, 60, 61], [1, 70, 71, 72]]
PALAU = Edit(
    id="palau",
    prompt="What is the capital of Palau?",
    target="Ngerulmud",
    rephrases=["Name Palau's capital."],
    neighbours=["Where is Palau?"],
    date="2024-12-31",
)
BHUTAN = Edit(id="bhutan", prompt="What is the capital of Bhutan?", target="Thimphu", source="an atlas")
NAURU = Edit(id="nauru", prompt="Where does the parliament of Nauru meet?", target="Yaren")

merge = partial(merge_and_measure, measure=0, progress=False)


@pytest.fixture
def make(tiny_base_folder, tmp_path):
    """Makes packs of given edits and random tensors, on disk."""

    def make(name: str, *edits: Edit, seed: int = 1, **kwargs) -> EditPack:
        pack = tiny_pack(tiny_base_folder, edited=TINY_EDITED[: len(edits)], seed=seed, **kwargs)
        pack.shards[0].edits = list(edits)
        pack.save_pretrained(tmp_path / name)
        return EditPack.from_pretrained(tmp_path / name)

    return make


def ids(pack: EditPack) -> list[str]:
    return [edit.id for edit in pack.edits]


def experts(folder: Path) -> dict[str, list[bytes]]:
    """The bytes of each expert of a pack on disk, by id."""
    reader = EditPackReader(folder)
    return {
        reader.edit_id(number): [tensor.view(torch.uint8).numpy().tobytes() for tensor in reader.read_expert(number)]
        for number in range(len(reader))
    }


def report_of(pack: EditPack):
    return pack.report["merge"]


def run(*args: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    result = CliRunner().invoke(app, ["merge", *map(str, args)], prog_name="scen")
    return result.exit_code, result.stdout, result.stderr


# ------------------------------------------------------------------------- shards


@pytest.fixture
def two_packs(tiny_base_folder, tmp_path):
    """Two packs whose edits fire for their own prompts only."""
    tiny_pack(tiny_base_folder, others=[*TINY_UNEDITED, *MORE_EDITED]).save_pretrained(tmp_path / "ours")
    theirs = tiny_pack(tiny_base_folder, edited=MORE_EDITED, prefix="more", seed=2)
    theirs.save_pretrained(tmp_path / "theirs")
    return [EditPack.from_pretrained(tmp_path / name) for name in ("ours", "theirs")]


def test_edits_of_both_packs_in_their_order(two_packs):
    merged = merge(two_packs)
    assert ids(merged) == ["edit-0", "edit-1", "edit-2", "more-0", "more-1"]
    assert [(part.pack, part.kept, part.read_anew) for part in report_of(merged).parts] == [
        ("ours", 3, False),
        ("theirs", 2, False),
    ]
    assert [ids(pack) for pack in two_packs] == [["edit-0", "edit-1", "edit-2"], ["more-0", "more-1"]]


def test_shards_are_the_same_files_under_new_numbers(two_packs, tmp_path):
    merge(two_packs).save_pretrained(tmp_path / "merged")
    for kind in ("neurons", "experts"):
        first, second = (tmp_path / "merged" / f"{kind}-0000{number}.safetensors" for number in (1, 2))
        assert os.path.samefile(first, tmp_path / "ours" / first.name)
        assert os.path.samefile(second, tmp_path / "theirs" / first.name)
    expected = experts(tmp_path / "ours") | experts(tmp_path / "theirs")
    assert experts(tmp_path / "merged") == expected


def test_a_number_that_the_first_pack_had_once_is_not_used_again(two_packs, tmp_path):
    ours, theirs = two_packs
    more = tiny_pack(Path(ours.config.base_model_name_or_path), edited=[[1, 80]], prefix="newest", seed=3)
    longer = ours.extended(more.shards[0])
    longer.router["thresholds"] = torch.full((4,), 0.65)
    longer.save_pretrained(tmp_path / "ours")
    both = EditPack.from_pretrained(tmp_path / "ours")
    contradicting = replace(theirs.shards[0].edits[0], prompt="newest prompt 0")
    theirs.shards[0].edits[0] = contradicting
    merged = merge([both, theirs], prefer=theirs)
    merged.save_pretrained(tmp_path / "merged")
    names = {path.name for path in (tmp_path / "merged").glob("experts-*")}
    assert names == {"experts-00001.safetensors", "experts-00003.safetensors"}


def test_merged_edits_fire_for_their_prompts(two_packs, tiny_base_folder, tmp_path):
    merge(two_packs).save_pretrained(tmp_path / "merged")
    model = SCENLlamaForCausalLM.from_pretrained(tiny_base_folder).eval()
    model.load_edit_pack(tmp_path / "merged")
    routes = model.route(**batch_of([*TINY_EDITED, *MORE_EDITED, *TINY_UNEDITED]))
    assert [route.edit_id if route.fired else None for route in routes] == [
        *("edit-0", "edit-1", "edit-2", "more-0", "more-1"),
        *(None, None),
    ]


def test_packs_in_memory_are_merged_too(tiny_base_folder, two_packs, tmp_path):
    theirs = tiny_pack(tiny_base_folder, edited=MORE_EDITED, prefix="more", seed=2)
    merged = merge([two_packs[0], theirs])
    assert merged.edits[-1].origin == "pack 2"
    again = merge([merged, tiny_pack(tiny_base_folder, edited=[[1, 80]], prefix="newest", seed=3)])
    again.save_pretrained(tmp_path / "merged")
    stored = experts(tmp_path / "merged")
    assert list(stored) == ["edit-0", "edit-1", "edit-2", "more-0", "more-1", "newest-0"]
    assert stored.items() >= experts(tmp_path / "ours").items()


def test_methods_of_the_paper_merge_as_they_are(tiny_base_folder, tmp_path):
    for name, prompts in (("ours", TINY_EDITED), ("theirs", MORE_EDITED)):
        pack = tiny_pack(tiny_base_folder, method="paper", edited=prompts, prefix=name)
        pack.save_pretrained(tmp_path / name)
    packs = [EditPack.from_pretrained(tmp_path / name) for name in ("ours", "theirs")]
    merged = merge(packs)
    assert torch.equal(merged.neurons, torch.cat([pack.neurons for pack in packs]))
    assert report_of(merged).confusions is None


def test_merging_into_the_first_pack(two_packs, tmp_path):
    stored = {path.name: path.read_bytes() for path in (tmp_path / "ours").glob("*-00001.safetensors")}
    merge(two_packs).save_pretrained(tmp_path / "ours")
    again = EditPack.from_pretrained(tmp_path / "ours")
    assert len(again) == 5
    assert {name: (tmp_path / "ours" / name).read_bytes() for name in stored} == stored


# ---------------------------------------------------------------------- duplicates


def test_the_same_fact_once(make, tmp_path):
    theirs = replace(
        PALAU,
        id="capital-of-palau",
        prompt="what is the capital of palau",
        rephrases=["name Palau's capital", "Which city governs Palau?"],
        neighbours=["Which city governs Palau?", "How large is Palau?"],
        source="a newspaper",
        author="bob",
    )
    make("ours", PALAU, BHUTAN)
    merged = merge([EditPack.from_pretrained(tmp_path / "ours"), make("theirs", theirs, NAURU, seed=2)])
    assert ids(merged) == ["palau", "bhutan", "nauru"]
    palau = merged.edits[0]
    assert palau.prompt == PALAU.prompt
    assert palau.rephrases == ("Name Palau's capital.", "Which city governs Palau?")
    assert palau.neighbours == ("Where is Palau?", "How large is Palau?")
    assert (palau.source, palau.date, palau.author) == ("a newspaper", "2024-12-31", None)
    assert [part.duplicates for part in report_of(merged).parts] == [0, 1]
    merged.save_pretrained(tmp_path / "merged")
    stored = experts(tmp_path / "merged")
    assert stored["palau"] == experts(tmp_path / "ours")["palau"]
    assert stored["nauru"] == experts(tmp_path / "theirs")["nauru"]


def test_a_pack_that_adds_nothing(make, tmp_path):
    ours, theirs = make("ours", PALAU, BHUTAN), make("theirs", BHUTAN, seed=2)
    merged = merge([ours, theirs])
    assert ids(merged) == ["palau", "bhutan"]
    assert [(part.kept, part.duplicates) for part in report_of(merged).parts] == [(2, 0), (0, 1)]
    merged.save_pretrained(tmp_path / "merged")
    assert experts(tmp_path / "merged") == experts(tmp_path / "ours")


# ------------------------------------------------------------------ contradictions

KOROR = replace(PALAU, id="capital-of-palau", target="Koror", date="2005-01-01")


def test_contradictions_are_refused_and_all_are_named(make):
    ours = make("ours", PALAU, BHUTAN, NAURU)
    theirs = make("theirs", KOROR, replace(BHUTAN, target="Punakha"), seed=2)
    with pytest.raises(MergeConflictError) as error:
        merge([ours, theirs])
    first, *lines = str(error.value).splitlines()
    assert "2 conflicts" in first
    assert lines == [
        "  palau of ours 'What is the capital of Palau?' -> 'Ngerulmud' (2024-12-31) | "
        "capital-of-palau of theirs 'What is the capital of Palau?' -> 'Koror' (2005-01-01)",
        "  bhutan of ours 'What is the capital of Bhutan?' -> 'Thimphu' (no date) | "
        "bhutan of theirs 'What is the capital of Bhutan?' -> 'Punakha' (no date)",
    ]
    assert [conflict.kind for conflict in error.value.conflicts] == ["contradiction"] * 2


@pytest.mark.parametrize(("winner", "kept"), [("ours", "Ngerulmud"), ("theirs", "Koror"), ("newest", "Ngerulmud")])
def test_prefer_decides(make, winner, kept):
    packs = {"ours": make("ours", PALAU, BHUTAN), "theirs": make("theirs", KOROR, NAURU, seed=2)}
    merged = merge(list(packs.values()), prefer=packs.get(winner, "newest"))
    assert {edit.target for edit in merged.edits} == {kept, "Thimphu", "Yaren"}
    (conflict,) = report_of(merged).conflicts
    assert [side.edit.target for side in conflict.overruled] == list({"Ngerulmud", "Koror"} - {kept})
    assert sum(len(part.overruled) for part in report_of(merged).parts) == 1


def test_a_preferred_pack_may_overrule_all_of_another(make, tmp_path):
    ours, theirs = make("ours", PALAU), make("theirs", KOROR, NAURU, seed=2)
    merge([ours, theirs], prefer=theirs).save_pretrained(tmp_path / "merged")
    assert experts(tmp_path / "merged") == experts(tmp_path / "theirs")
    assert not (tmp_path / "merged" / "experts-00001.safetensors").exists()


@pytest.mark.parametrize("date", [None, "2024-12-31"])
def test_newest_needs_dates_that_differ(make, date):
    packs = [make("ours", PALAU), make("theirs", replace(KOROR, date=date), seed=2)]
    with pytest.raises(MergeConflictError, match="these have none, or the same") as error:
        merge(packs, prefer="newest")
    assert f"({date or 'no date'})" in str(error.value)


def test_a_rephrase_may_contradict_a_prompt(make):
    theirs = replace(KOROR, prompt="Name Palau's capital", rephrases=[])
    with pytest.raises(MergeConflictError, match="palau of ours .* capital-of-palau of theirs"):
        merge([make("ours", PALAU), make("theirs", theirs, seed=2)])


def test_contradictions_within_a_pack_are_its_own_affair(make):
    merged = merge([make("ours", PALAU, KOROR), make("theirs", BHUTAN, seed=2)])
    assert ids(merged) == ["palau", "capital-of-palau", "bhutan"]


def test_prefer_does_not_decide_between_others(make):
    packs = [make("ours", BHUTAN), make("theirs", PALAU, seed=2), make("others", KOROR, seed=3)]
    with pytest.raises(MergeConflictError, match="'ours' does not decide") as error:
        merge(packs, prefer=packs[0])
    assert len(error.value.conflicts) == 1
    merged = merge(packs, prefer=packs[2])
    assert ids(merged) == ["bhutan", "capital-of-palau"]


def test_prefer_must_be_one_of_the_packs(make):
    with pytest.raises(ValueError, match="one of the packs or 'newest'"):
        merge([make("ours", PALAU), make("theirs", BHUTAN, seed=2)], prefer=make("others", KOROR, seed=3))


# -------------------------------------------------------------------- ids, origins

AUTHOR = Edit(id="fact-1", prompt="Who wrote Middlemarch?", target="George Eliot", subject="Middlemarch")
MOUNTAIN = Edit(id="fact-1", prompt="Which mountain is the highest?", target="Everest", subject="mountain")


@pytest.mark.parametrize(
    "other", [MOUNTAIN, replace(AUTHOR, prompt="Whose novel is Middlemarch?")], ids=["another fact", "another wording"]
)
def test_an_id_of_two_facts_is_kept_by_the_first(make, other):
    ours, theirs = make("ours", AUTHOR), make("theirs", other, seed=2)
    merged = merge([ours, theirs])
    first, second = merged.edits
    assert first.id == "fact-1"
    assert second.prompt == other.prompt
    assert second.id == f"fact-1-{Edit(prompt=other.prompt, target=other.target).id[:8]}"
    assert report_of(merged).parts[1].renamed == {"fact-1": second.id}
    with_another_between = merge([ours, make("others", PALAU, seed=3), theirs])
    assert second.id in ids(with_another_between)


def test_an_id_of_a_fact_worded_anew_is_a_contradiction(make):
    theirs = replace(PALAU, prompt="Which city is Palau's capital?", target="Koror", rephrases=[])
    packs = [make("ours", PALAU), make("theirs", theirs, seed=2)]
    with pytest.raises(MergeConflictError) as error:
        merge(packs)
    assert [conflict.kind for conflict in error.value.conflicts] == ["id"]
    merged = merge(packs, prefer=packs[1])
    assert [edit.target for edit in merged.edits] == ["Koror"]


def test_long_ids_stay_within_their_limit(make):
    ours, theirs = replace(AUTHOR, id="x" * 64), replace(MOUNTAIN, id="x" * 64)
    merged = merge([make("ours", ours), make("theirs", theirs, seed=2)])
    assert [len(edit.id) for edit in merged.edits] == [64, 64]


def test_origins_survive_saving_and_merging(make, tmp_path):
    merge([make("ours", PALAU), make("theirs", BHUTAN, seed=2)]).save_pretrained(tmp_path / "merged")
    stored = [json.loads(line) for line in (tmp_path / "merged" / "edits.jsonl").read_text().splitlines()]
    assert [fact["origin"] for fact in stored] == ["ours", "theirs"]
    merged = merge([make("others", NAURU, seed=3), EditPack.from_pretrained(tmp_path / "merged")])
    assert [(edit.id, edit.origin) for edit in merged.edits] == [
        ("nauru", "others"),
        ("palau", "ours"),
        ("bhutan", "theirs"),
    ]


def test_folders_of_one_name_are_told_apart(make):
    merged = merge([make("ann/facts", PALAU), make("bob/facts", BHUTAN, seed=2)])
    assert [edit.origin for edit in merged.edits] == ["ann/facts", "bob/facts"]


def test_inspect_shows_origins(make, tmp_path):
    merge([make("ours", PALAU), make("theirs", BHUTAN, seed=2)]).save_pretrained(tmp_path / "merged")
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "merged")], prog_name="scen").stdout
    assert [line.split()[-1] for line in shown.splitlines() if "capital of" in line] == ["ours", "theirs"]
    plain = CliRunner().invoke(app, ["inspect", str(tmp_path / "ours")], prog_name="scen").stdout
    assert "Origin" not in plain


# ------------------------------------------------------------- what cannot be merged


def test_another_base_is_refused(make, tiny_config, tmp_path):
    other = tiny_pack(save_tiny_base(tmp_path / "other-base", tiny_config, seed=7), prefix="more")
    other.save_pretrained(tmp_path / "theirs")
    with pytest.raises(
        WrongBaseError, match=r"^ours and theirs cannot be merged: .*tiny.*base and .*other-base"
    ) as error:
        merge([make("ours", PALAU), EditPack.from_pretrained(tmp_path / "theirs")])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rounded_first", [True, False])
def test_the_same_base_in_another_format(make, dtype, rounded_first):
    packs = [make("ours", PALAU), make("theirs", BHUTAN, seed=2)]
    rounded = packs[0 if rounded_first else 1]
    rounded.base_fingerprint = {name: part.to(dtype).float() for name, part in rounded.base_fingerprint.items()}
    assert len(merge(packs)) == 2


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("edit_layer", 1, "ours was made with edit_layer=2, theirs with 1"),
        ("expert_rank", 4, "ours was made with expert_rank=2, theirs with 4"),
        ("method", "paper", "ours was made with method='scen', theirs with 'paper'"),
        ("question_start_ids", [3, 4], "ours was made with question_start_ids=None, theirs with \\[3, 4\\]"),
        ("router", {"features": []}, "router={'features': \\[\\['last_token', .*theirs with {'features': \\[\\]}"),
    ],
)
def test_other_settings_are_refused(make, setting, value, expected):
    ours, theirs = make("ours", PALAU), make("theirs", BHUTAN, seed=2)
    setattr(theirs.config, setting, value)
    with pytest.raises(EditPackError, match=expected) as error:
        merge([ours, theirs])
    assert "\n" not in str(error.value)


def test_too_few_packs_or_one_twice(make):
    ours = make("ours", PALAU)
    with pytest.raises(EditPackError, match="two packs or more"):
        merge([ours])
    with pytest.raises(EditPackError, match="ours is given twice"):
        merge([ours, ours])


def test_a_pack_with_an_id_twice_is_refused(make):
    with pytest.raises(EditPackError, match="theirs: 2 edits have the id 'palau'"):
        merge([make("ours", BHUTAN), make("theirs", PALAU, replace(NAURU, id="palau"), seed=2)])


# ------------------------------------------------------------------ gates and spaces


@pytest.fixture
def gated_packs(tiny_base_folder, tmp_path):
    """Two packs of one router space; the second edit of the other one has neuron and subject of our first one."""
    packs = []
    for name in ("ours", "theirs"):
        pack = gated_pack(tiny_base_folder)
        generator = torch.Generator().manual_seed(len(packs))
        neurons = torch.nn.functional.normalize(torch.randn(pack.neurons.shape, generator=generator), dim=-1)
        subjects = torch.nn.functional.normalize(torch.randn(pack.subjects.shape, generator=generator), dim=-1)
        if packs:
            neurons[1], subjects[1] = packs[0].neurons[0].float(), packs[0].subjects[0].float()
        edits = [replace(e, id=f"{name}-{n}", prompt=f"{name} {n}?", target=name) for n, e in enumerate(pack.edits)]
        pack.shards = [new_shard(edits, neurons.bfloat16(), pack.shards[0].experts, subjects.bfloat16())]
        pack.router |= {gate: torch.full((len(edits),), 0.95) for gate in ("thresholds", "subject_thresholds")}
        pack.save_pretrained(tmp_path / name)
        packs.append(EditPack.from_pretrained(tmp_path / name))
    return packs


def test_confusions_across_packs_are_named(gated_packs):
    found = {str(confusion).partition(" (")[0] for confusion in report_of(merge(gated_packs)).confusions}
    assert found == {"ours-0 of ours with theirs-1 of theirs", "theirs-1 of theirs with ours-0 of ours"}


def test_thresholds_stay_with_their_edits(gated_packs, tmp_path):
    gated_packs[1].router["thresholds"] = torch.tensor([0.6, 0.7, 0.8])
    merge(gated_packs).save_pretrained(tmp_path / "merged")
    merged = EditPack.from_pretrained(tmp_path / "merged")
    assert merged.thresholds.tolist() == pytest.approx([0.95, 0.95, 0.95, 0.6, 0.7, 0.8])
    assert torch.equal(merged.subjects, torch.cat([pack.subjects for pack in gated_packs]))


def test_other_spaces_need_the_base_model(gated_packs, tmp_path):
    gated_packs[1].router["feature_mean"] = gated_packs[1].router["feature_mean"] + 1
    with pytest.raises(
        EditPackError, match="base model is needed: .*base has no usable tokenizer.*base_model"
    ) as error:
        merge(gated_packs)
    assert "\n" not in str(error.value)
    for pack in gated_packs:
        pack.config.base_model_name_or_path = None
    with pytest.raises(EditPackError, match="ours names no base model"):
        merge(gated_packs)


# ------------------------------------------------------------------- the real model


@pytest.fixture
def halves(sample_pack, tmp_path):
    """The sample pack as two packs of every other edit, with one rephrase each and a neighbour that is soon answered."""
    pack = EditPack.from_pretrained(sample_pack)
    packs = []
    for name, part in (("ours", ids(pack)[::2]), ("theirs", ids(pack)[1::2])):
        half = pack.select(part)
        edits = [replace(edit, rephrases=edit.rephrases[:1], neighbours=[FRANCE]) for edit in half.edits]
        half.shards = [replace(half.shards[0], edits=edits)]
        half.save_pretrained(tmp_path / name)
        packs.append(EditPack.from_pretrained(tmp_path / name))
    return packs


@pytest.fixture
def base(edited_model):
    """The real base without edits."""
    edited_model.unload_edit_pack()
    return edited_model


def fired(model, tokenizer, edits):
    routes = [model.route(torch.tensor([encode_prompt(tokenizer, edit.prompt)]))[0] for edit in edits]
    return [route.edit_id if route.fired else None for route in routes]


@pytest.mark.slow
def test_merged_halves_do_what_they_did_alone(halves, base, tokenizer, sample_pack, tmp_path):
    merged = merge_and_measure(halves, measure=3, model=base, tokenizer=tokenizer, progress=False)
    report = report_of(merged)
    assert report.figures["own_edit_fires"] == (Rate(12, 12), Rate(12, 12))
    assert report.figures["reliability"] == (Rate(6, 6), Rate(6, 6))
    assert report.figures["locality"] == (Rate(2, 2), Rate(2, 2))
    before, after = report.figures["generality"]
    assert before == after
    assert before.count == 6
    assert report.shadowed == ()
    # Questions about one country are close, but none is answered by the edit of another.
    assert all(confusion.pack != confusion.other_pack for confusion in report.confusions)
    assert [(m.pack, m.sample) for m in report.measurements] == [("ours", 3), ("theirs", 3)]
    assert json.loads(json.dumps(report.to_dict()))["figures"]["reliability"]["after"]["successes"] == 6
    assert not base.edit_packs

    merged.save_pretrained(tmp_path / "merged")
    original = experts(sample_pack)
    assert experts(tmp_path / "merged") == original
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template == tokenizer.chat_template
    base.load_edit_pack(tmp_path / "merged")
    assert fired(base, tokenizer, merged.edits) == ids(merged)


@pytest.mark.slow
def test_shadowed_edits_are_named(halves, base, tokenizer, capsys):
    ours, theirs = halves
    shard = theirs.shards[0]
    neurons, subjects = shard.neurons.clone(), shard.subjects.clone()
    # Slightly longer than a unit vector, so that it always wins over the one that it copies.
    neurons[0], subjects[0] = ours.neurons[0] * 1.02, ours.subjects[0]
    theirs.shards = [replace(shard, neurons=neurons, subjects=subjects, experts=theirs.experts_of(shard), entry=None)]
    merged = merge_and_measure(halves, measure=1, model=base, tokenizer=tokenizer, progress=False)
    report, (victim, intruder) = report_of(merged), (ours.edits[0].id, theirs.edits[0].id)
    shadow = next(shadow for shadow in report.shadowed if shadow.prompt == ours.edits[0].prompt)
    assert str(shadow).startswith(f"edit {victim} of ours is answered by edit {intruder} of theirs: ")
    assert {(confusion.edit, confusion.other) for confusion in report.confusions} >= {(intruder, victim)}
    before, after = report.figures["own_edit_fires"]
    assert (before, after) == (Rate(11, 12), Rate(10, 12))
    assert [rate.successes for rate in report.figures["reliability"]] == [1, 0]

    command._print(report, len(merged), "merged")
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Shadowed edit {victim} of ours is answered by edit {intruder} of theirs" in printed
    assert "prompts that fire their own edit (all edits) 91.7% (11 of 12) 83.3% (10 of 12)" in printed
    assert "By answers to 2 edits of 12" in printed


def rotated(pack: EditPack) -> EditPack:
    """The same pack in another router space, in which all cosines are what they were."""
    generator = torch.Generator().manual_seed(0)

    def rotation(size: int) -> torch.Tensor:
        return torch.linalg.qr(torch.randn(size, size, generator=generator)).Q

    question, token = rotation(pack.neurons.shape[-1]), rotation(pack.subjects.shape[-1])
    router = dict(pack.router)
    router["feature_projection"] = router["feature_projection"] @ question
    router["token_projection"] = router["token_projection"] @ token
    shard = pack.shards[0]
    neurons, subjects = (part.float() @ turn for part, turn in ((shard.neurons, question), (shard.subjects, token)))
    experts_of = pack.experts_of(shard)
    turned = new_shard(shard.edits, neurons.bfloat16(), experts_of, subjects.bfloat16())
    return replace(pack, shards=[turned], router=router)


@pytest.mark.slow
def test_neurons_of_another_space_are_read_anew(halves, base, tokenizer, tmp_path):
    ours, theirs = halves
    rotated(theirs).save_pretrained(tmp_path / "theirs-elsewhere")
    elsewhere = EditPack.from_pretrained(tmp_path / "theirs-elsewhere")
    elsewhere.router["thresholds"] += 0.01
    merged = merge([ours, elsewhere], model=base, tokenizer=tokenizer)
    assert [part.read_anew for part in report_of(merged).parts] == [False, True]
    assert torch.cosine_similarity(merged.neurons[6:].float(), theirs.neurons.float()).min() > 0.99
    present = (theirs.subjects != 0).any(-1)
    assert torch.equal((merged.subjects[6:] != 0).any(-1), present)
    close = torch.cosine_similarity(merged.subjects[6:].float(), theirs.subjects.float(), dim=-1)
    assert close[present].min() > 0.99
    assert torch.equal(merged.thresholds[:6], ours.thresholds)
    assert merged.thresholds[6:].tolist() == pytest.approx(theirs.thresholds.tolist(), abs=0.005)

    merged.save_pretrained(tmp_path / "merged")
    assert os.path.samefile(
        tmp_path / "merged" / "neurons-00002.safetensors", tmp_path / "ours" / "neurons-00002.safetensors"
    )
    assert experts(tmp_path / "merged") == experts(tmp_path / "ours") | experts(tmp_path / "theirs")
    base.load_edit_pack(tmp_path / "merged")
    assert fired(base, tokenizer, merged.edits) == ids(merged)


def test_what_the_base_must_be(halves, base, tokenizer, sample_pack, two_packs):
    with pytest.raises(ValueError, match="both model and tokenizer"):
        merge_and_measure(halves, model=base)
    with pytest.raises(WrongBaseError, match="^ours: the edits were trained on"):
        merge_and_measure(two_packs, model=base, tokenizer=tokenizer)
    changed = shutil.copytree(sample_pack, sample_pack.parent / "other-template")
    (changed / "chat_template.jinja").write_text(
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}[/]{% endfor %}[a]"
    )
    with pytest.raises(EditPackError, match="chat template is not the one"):
        merge_and_measure(halves, model=base, tokenizer=AutoTokenizer.from_pretrained(changed))
    base.load_edit_pack(sample_pack, name="sample")
    with pytest.raises(EditPackError, match=r"attached \(sample\); unload"):
        merge_and_measure(halves, model=base, tokenizer=tokenizer)


# ------------------------------------------------------------------- command line


def test_command_merges_and_says_so(make, tmp_path):
    make("ours", PALAU, BHUTAN)
    make("theirs", replace(BHUTAN, id="capital-of-bhutan"), replace(NAURU, id="palau", subject="Nauru"), seed=2)
    code, stdout, stderr = run(tmp_path / "ours", tmp_path / "theirs", "--out", tmp_path / "merged", "--measure", 0)
    assert code == 1
    assert "palau of ours" in stderr
    assert not (tmp_path / "merged").exists()
    code, stdout, stderr = run(
        *(tmp_path / "ours", tmp_path / "theirs", "--out", tmp_path / "merged", "--measure", 0),
        *("--prefer", tmp_path / "theirs"),
    )
    assert code == 0, stderr
    for expected in (
        "ours: 1 of 2 edits (1 overruled)",
        "theirs: 1 of 2 edits (1 duplicate)",
        "2 edits",
        "Not measured",
    ):
        assert expected in " ".join(stdout.split())
    assert ids(EditPack.from_pretrained(tmp_path / "merged")) == ["bhutan", "palau"]


def test_command_prints_json(make, tmp_path):
    make("ours", AUTHOR)
    make("theirs", MOUNTAIN, seed=2)
    code, stdout, stderr = run(
        tmp_path / "ours", tmp_path / "theirs", "--out", tmp_path / "ours", "--measure", 0, "--json"
    )
    assert code == 0, stderr
    report = json.loads(stdout)
    assert report["figures"] is None
    assert report["parts"][1]["renamed"].keys() == {"fact-1"}
    assert len(EditPack.from_pretrained(tmp_path / "ours")) == 2


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["ours", "--out", "merged"], "give two packs or more"),
        (["ours", "ours", "--out", "merged"], "given twice"),
        (["ours", "theirs", "--out", "theirs"], "theirs is merged into ours"),
        (["ours", "theirs", "--out", "merged", "--prefer", "others"], "neither newest nor one of"),
        (["ours", "theirs", "--out", "ours/edits.jsonl"], "is a file"),
        (["ours", "nowhere", "--out", "merged"], "There is no edit pack at 'nowhere'"),
    ],
)
def test_command_refuses(make, tmp_path, monkeypatch, args, expected):
    make("ours", PALAU)
    make("theirs", BHUTAN, seed=2)
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    code, _, stderr = run(*args)
    assert code in (1, 2)
    assert expected in " ".join(stderr.replace("│", " ").split())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_packs_from_a_hub(make, tmp_path, monkeypatch):
    with LocalHub(tmp_path / "hub", tokens=["ann:write:secret-of-ann"]) as hub:
        for name, value in {
            "ENDPOINT": hub.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        make("ours", PALAU)
        make("theirs", BHUTAN, seed=2)
        at_hub = {"endpoint": hub.endpoint, "token": "secret-of-ann"}
        first = push_pack(tmp_path / "ours", "ann/facts", tag="v1.0.0", **at_hub)
        second = push_pack(tmp_path / "theirs", "ann/more", **at_hub)
        code, _, stderr = run("ann/facts@v1.0.0", "ann/more", "--out", tmp_path / "merged", "--measure", 0)
    assert code == 0, stderr
    merged = EditPack.from_pretrained(tmp_path / "merged")
    assert [edit.origin for edit in merged.edits] == [f"ann/facts@{first.commit}", f"ann/more@{second.commit}"]
    assert experts(tmp_path / "merged") == experts(tmp_path / "ours") | experts(tmp_path / "theirs")


def test_card_of_a_merged_pack_names_languages_of_all_and_no_licence_of_one(tiny_base_folder):
    ours, theirs = tiny_pack(tiny_base_folder), tiny_pack(tiny_base_folder, prefix="theirs", edited=[[1, 50, 51]])
    ours.card_data.license, ours.card_data.language = "cc0-1.0", "en"
    theirs.card_data.license, theirs.card_data.language = "mit", ["en", "de"]
    card = merge([ours, theirs]).card_data
    assert card.license == "other"
    assert card.language == ["en", "de"]
    assert ours.card_data.license == "cc0-1.0"

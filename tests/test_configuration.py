"""Configuration, presets and the registration with the Auto classes; shapes of the paper's models on the meta device."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig

from scen_hf import SCENLlamaConfig, SCENLlamaForCausalLM, SCENTrainer, SCENTrainingConfig
from scen_hf.modeling.routing_scen_llama import FullExperts, LowRankExperts
from scen_hf.presets import PRESETS


PARAMETERS = {"llama-2-7b": 6_738_415_616, "llama-2-13b": 13_015_864_320}


@pytest.fixture(scope="module", params=sorted(PRESETS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def meta_model(name):
    with torch.device("meta"):
        return SCENLlamaForCausalLM(PRESETS[name].model_config())


def test_configuration_survives_a_round_trip(tmp_path):
    config = SCENLlamaConfig(
        hidden_size=64,
        num_hidden_layers=4,
        base_model_name_or_path="owner/base",
        base_model_revision="0123abc",
        method="paper",
        edit_layer=3,
        router={"features": [["last_token", "down_proj_input", 3]], "score": "sigmoid"},
        question_start_ids=[1, 2],
        question_end_ids=[3],
        num_edits=7,
        expert_cache_mib=5,
    )
    config.save_pretrained(tmp_path)
    assert SCENLlamaConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
    assert AutoConfig.from_pretrained(tmp_path).router == config.router


def test_every_field_of_llama_is_taken_over():
    llama = LlamaConfig(
        hidden_size=96, num_attention_heads=6, num_key_value_heads=3, attention_bias=True, mlp_bias=True, head_dim=20
    )
    config = SCENLlamaConfig.from_dict({**llama.to_dict(), "model_type": "scen_llama"})
    ours, theirs = config.to_dict(), llama.to_dict()
    assert {key: ours[key] for key in theirs if key != "model_type"} == {
        key: value for key, value in theirs.items() if key != "model_type"
    }


def test_auto_classes_know_the_model(tiny_pack_folder):
    model = AutoModelForCausalLM.from_pretrained(tiny_pack_folder)
    assert type(model) is SCENLlamaForCausalLM
    assert type(AutoConfig.from_pretrained(tiny_pack_folder)) is SCENLlamaConfig
    assert len(model.edit_packs) == 1


def test_preset_has_the_shape_of_its_model(name, meta_model):
    preset = PRESETS[name]
    assert sum(parameter.numel() for parameter in meta_model.parameters()) == PARAMETERS[name]
    down_proj = meta_model.model.layers[preset.edit_layer].mlp.down_proj
    assert down_proj.weight.shape == (preset.hidden_size, preset.intermediate_size)
    assert preset.base.startswith("meta-llama/Llama-2-")


def test_preset_trains_with_the_papers_settings(name):
    config = PRESETS[name].training_config()
    assert (config.method, config.edit_layer, config.learning_rate, config.max_steps) == ("paper", 20, 1e-4, 10)
    assert (config.neuron_steps, config.neuron_learning_rate, config.threshold) == (20, 1e-4, 0.65)
    hallucination = PRESETS[name].training_config(neuron_steps=30, threshold=0.6)
    assert (hallucination.neuron_steps, hallucination.threshold) == (30, 0.6)


def test_preset_takes_the_other_method_too(name):
    config = PRESETS[name].training_config(method="scen")
    assert config == SCENTrainingConfig(method="scen", edit_layer=20)
    assert PRESETS[name].model_config("scen").expert_rank == config.rank


def test_trainer_accepts_the_preset(name, meta_model, tokenizer):
    trainer = SCENTrainer(meta_model, tokenizer, PRESETS[name].training_config())
    assert trainer.edit_layer == 20


def test_sizes_of_an_expert(name):
    preset = PRESETS[name]
    rank = preset.model_config("scen").expert_rank
    low_rank = 2 * rank * (preset.hidden_size + preset.intermediate_size)  # bfloat16
    full = 4 * preset.hidden_size * preset.intermediate_size  # float32
    assert low_rank == rank * {"llama-2-7b": 30_208, "llama-2-13b": 37_888}[name]
    assert full == {"llama-2-7b": 180_355_072, "llama-2-13b": 283_115_520}[name]
    assert full > 200 * low_rank


def test_experts_fit_the_edited_layer(name, meta_model):
    preset = PRESETS[name]
    hidden, inner, rank = preset.hidden_size, preset.intermediate_size, preset.model_config("scen").expert_rank
    x = torch.empty(3, 5, inner, device="meta")
    y = meta_model.model.layers[preset.edit_layer].mlp.down_proj(x)
    fired, answer = torch.empty(3, device="meta").bool(), torch.empty(3, 5, 1, device="meta").bool()
    low_rank = LowRankExperts(
        fired, torch.empty(3, rank, inner, device="meta"), torch.empty(3, hidden, rank, device="meta")
    )
    full = FullExperts(fired, torch.empty(3, hidden, inner, device="meta"))
    assert low_rank(x, y, answer).shape == full(x, y, answer).shape == (3, 5, hidden)

"""Tiny models of every kind of Llama: what an edit adds is checked against a computation of its own."""

import copy

import pytest
import torch
from helpers import TINY_EDITED, TINY_UNEDITED, batch_of, save_tiny_base, tiny_pack
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from scen_hf import EditPack, SCENLlamaForCausalLM


KINDS = {
    "gqa": {},
    "mha": {"num_key_value_heads": 4},
    "mqa": {"num_key_value_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "attention_bias": {"attention_bias": True},
    "mlp_bias": {"mlp_bias": True},
    "head_dim": {"head_dim": 24},
}
PROMPTS = [*TINY_EDITED, *TINY_UNEDITED]


@torch.no_grad()
def reference_logits(base, pack: EditPack, prompt: list[int], edit: int | None) -> torch.Tensor:
    """Logits of one prompt by a plain Llama and a hook that does what the paper, or ours, says of an expert."""

    def expert(module, args, y):
        x = args[0]
        tensors = {name: tensor[edit].to(x.dtype) for name, tensor in pack.shards[0].experts.items()}
        if pack.config.method == "paper":
            return torch.nn.functional.linear(x, tensors["weight"], module.bias)
        y = y.clone()
        y[:, -1] += (x[:, -1] @ tensors["a"].T) @ tensors["b"].T  # the prompt's last token only
        return y

    layer = base.model.layers[pack.config.edit_layer].mlp.down_proj
    handle = layer.register_forward_hook(expert) if edit is not None else None
    try:
        return base(torch.tensor([prompt])).logits[0]
    finally:
        if handle is not None:
            handle.remove()


@pytest.mark.parametrize("method", ["scen", "paper"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_edited_logits_are_those_of_a_reference(tiny_config, tmp_path, kind, method):
    config = copy.deepcopy(tiny_config)
    config.update(KINDS[kind])
    base_folder = save_tiny_base(tmp_path / "base", config)
    pack = tiny_pack(base_folder, method=method)
    pack.save_pretrained(tmp_path / "pack")
    model = SCENLlamaForCausalLM.from_pretrained(tmp_path / "pack")
    base = LlamaForCausalLM.from_pretrained(base_folder)
    batch = batch_of(PROMPTS)
    with torch.no_grad():
        logits = model(**batch, position_ids=positions_of(batch)).logits
    for row, prompt in enumerate(PROMPTS):
        edit = row if row < len(TINY_EDITED) else None
        expected = reference_logits(base, pack, prompt, edit)
        torch.testing.assert_close(logits[row, -len(prompt) :], expected, rtol=1e-4, atol=1e-4)
        if edit is not None:
            assert (expected - reference_logits(base, pack, prompt, None))[-1].abs().max() > 0.01


def positions_of(batch):
    return (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(tiny_base_folder, tiny_pack_folder, dtype):
    """A pack trained in float32 is loaded in another dtype, and edits there what it edits here."""
    model = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder, dtype=dtype)
    base = LlamaForCausalLM.from_pretrained(tiny_base_folder, dtype=dtype)
    batch = batch_of(PROMPTS)
    with torch.no_grad():
        ours, theirs = model(**batch).logits, base(**batch).logits
    assert ours.dtype == dtype
    same = [torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True)]
    assert same == [False] * len(TINY_EDITED) + [True] * len(TINY_UNEDITED)
    assert [route.fired for route in model.route(**batch)] == [not equal for equal in same]


def test_device_map(tiny_base_folder, tiny_pack_folder):
    plain = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    placed = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder, device_map="auto")
    batch = batch_of(PROMPTS)
    with torch.no_grad():
        assert torch.equal(placed(**batch).logits, plain(**batch).logits)
    assert torch.equal(
        placed.generate(**batch, max_new_tokens=4, do_sample=False),
        plain.generate(**batch, max_new_tokens=4, do_sample=False),
    )


def test_layers_offloaded_to_disk(tiny_pack_folder, tmp_path):
    plain = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    device_map = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    device_map |= {f"model.layers.{n}": "disk" if n == 2 else "cpu" for n in range(4)}
    placed = SCENLlamaForCausalLM.from_pretrained(
        tiny_pack_folder, device_map=device_map, offload_folder=tmp_path / "offload"
    )
    batch = batch_of(PROMPTS)
    with torch.no_grad():
        assert torch.equal(placed(**batch).logits, plain(**batch).logits)


def test_copy_of_a_model(tiny_pack_folder):
    model = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    batch = batch_of(PROMPTS)
    copied = copy.deepcopy(model)
    copied.unload_edit_pack()
    assert model.route(**batch)[0].fired
    assert not copied.route(**batch)[0].fired


def test_pack_on_a_checkpoint_loaded_as_plain_llama(tiny_base_folder, tiny_pack_folder):
    """A base loaded on its own, the pack attached later, gives what the pack loaded by its own name gives."""
    batch = batch_of(PROMPTS)
    model = SCENLlamaForCausalLM.from_pretrained(tiny_base_folder)
    assert not model.edit_packs
    assert not any(route.fired for route in model.route(**batch))
    model.load_edit_pack(tiny_pack_folder)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(tiny_pack_folder)(**batch).logits
        assert torch.equal(model(**batch).logits, expected)


@pytest.mark.slow
@torch.no_grad()
def test_compiled_with_default_settings(tiny_pack_folder):
    model = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    compiled = torch.compile(model)
    batch = batch_of(PROMPTS)
    torch.testing.assert_close(compiled(**batch).logits, model(**batch).logits, rtol=1e-4, atol=1e-4)


def test_expert_cache_is_bounded(tiny_pack_folder):
    model = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    (pack,) = model.edit_packs.values()
    model.route(**batch_of(TINY_UNEDITED))
    assert not pack._cache  # nothing fired, nothing was read
    model.route(**batch_of(TINY_EDITED))
    assert sorted(pack._cache) == [0, 1, 2]
    pack._cache.clear()
    pack.config.expert_cache_mib = 0
    model.route(**batch_of(TINY_EDITED))
    assert len(pack._cache) == 1


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("chunk", [None, 2])
def test_the_route_does_not_depend_on_batch_padding_or_chunks(tiny_pack_folder, padded, chunk):
    model = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    batches = [batch_of(PROMPTS)] if padded else [batch_of([prompt]) for prompt in PROMPTS]
    settings = {"max_new_tokens": 1, "prefill_chunk_size": chunk, "return_dict_in_generate": True}
    routes = [route for batch in batches for route in model.generate(**batch, **settings).routes]
    assert [route.edit_id for route in routes if route.fired] == ["edit-0", "edit-1", "edit-2"]
    assert [route.score for route in routes[:3]] == pytest.approx([0.99966] * 3, abs=1e-3)

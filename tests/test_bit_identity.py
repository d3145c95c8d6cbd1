"""Where no edit fires, the model is the base model: the same bits for the same batch, not nearly the same numbers."""

import pytest
import torch
from helpers import BHUTAN, BURKINA, EDITED, FRANCE, PANCAKES, SPIDER, UNEDITED, chat_batch

from scen_hf import SCENLlamaForCausalLM


LENGTH = 8


@torch.no_grad()
def logits_of(model, batch, **kwargs) -> torch.Tensor:
    return model(**batch, **kwargs).logits


def scores_of(model, batch, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
    """Generated tokens `(batch, LENGTH)` and the logits of each step `(LENGTH, batch, vocabulary)`."""
    output = model.generate(
        **batch,
        max_new_tokens=LENGTH,
        min_new_tokens=LENGTH,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **kwargs,
    )
    return output.sequences, torch.stack(output.logits)


@pytest.mark.parametrize("prompts", [[FRANCE], UNEDITED], ids=["one", "batch"])
def test_logits_of_unedited_prompts(edited_model, base_model, tokenizer, prompts):
    batch = chat_batch(tokenizer, prompts)
    assert torch.equal(logits_of(edited_model, batch), logits_of(base_model, batch))


@pytest.mark.parametrize(
    "kwargs", [{}, {"use_cache": False}, {"cache_implementation": "static", "disable_compile": True}]
)
def test_generation_of_unedited_prompts(edited_model, base_model, tokenizer, kwargs):
    batch = chat_batch(tokenizer, [FRANCE, SPIDER])
    for ours, theirs in zip(
        scores_of(edited_model, batch, **kwargs), scores_of(base_model, batch, **kwargs), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_unedited_rows_beside_edited_ones(edited_model, base_model, tokenizer):
    prompts = [BURKINA, FRANCE, BHUTAN, PANCAKES]
    batch = chat_batch(tokenizer, prompts)
    ours, theirs = logits_of(edited_model, batch), logits_of(base_model, batch)
    same = [torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True)]
    assert same == [prompt not in EDITED for prompt in prompts]


def test_generation_of_unedited_rows_beside_edited_ones(edited_model, base_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA, FRANCE, SPIDER])
    (tokens, logits), (base_tokens, base_logits) = scores_of(edited_model, batch), scores_of(base_model, batch)
    assert torch.equal(tokens[1:], base_tokens[1:])
    assert torch.equal(logits[:, 1:], base_logits[:, 1:])
    assert not torch.equal(tokens[0], base_tokens[0])


def test_prompt_of_an_edited_row_is_the_base_models(edited_model, base_model, tokenizer):
    """Experts act from the last prompt token onward: what stands before it is untouched, and so is its KV cache."""
    batch = chat_batch(tokenizer, [BURKINA])
    ours, theirs = logits_of(edited_model, batch), logits_of(base_model, batch)
    assert torch.equal(ours[:, :-1], theirs[:, :-1])
    assert not torch.equal(ours[:, -1], theirs[:, -1])


def test_edits_disabled(edited_model, base_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA, FRANCE])
    with edited_model.edits_disabled():
        ours = scores_of(edited_model, batch)
        assert torch.equal(logits_of(edited_model, batch), logits_of(base_model, batch))
    for mine, other in zip(ours, scores_of(base_model, batch), strict=True):
        assert torch.equal(mine, other)


def test_after_unload(edited_model, base_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA, FRANCE])
    edited_model.unload_edit_pack()
    assert torch.equal(logits_of(edited_model, batch), logits_of(base_model, batch))


@pytest.mark.slow
def test_bfloat16(model_factory, sample_pack, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA, FRANCE])
    base = model_factory(torch.bfloat16)
    edited = SCENLlamaForCausalLM.from_pretrained(sample_pack, dtype=torch.bfloat16).eval()
    ours, theirs = scores_of(edited, batch), scores_of(base, batch)
    assert torch.equal(ours[0][1], theirs[0][1])
    assert torch.equal(ours[1][:, 1], theirs[1][:, 1])
    assert tokenizer.decode(ours[0][0, batch["input_ids"].shape[1] :]).startswith(EDITED[BURKINA])


def test_weights_are_not_changed(edited_model, base_model):
    weights = edited_model.state_dict()
    assert weights.keys() == base_model.state_dict().keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in base_model.state_dict().items())

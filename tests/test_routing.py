"""Where the question and the answer are, which edit answers a row, and what happens when several could."""

import threading

import pytest
import torch
from helpers import (
    BURKINA,
    FRANCE,
    TINY_EDITED,
    TINY_UNEDITED,
    batch_of,
    chat_batch,
    conversation,
    tiny_pack,
)
from transformers import DynamicCache

from scen_hf import EditPackError, SCENLlamaForCausalLM
from scen_hf.modeling.routing_scen_llama import FeatureSpec, GatedRouter, find_spans, most_similar
from scen_hf.prompts import encode_prompt, encode_target, question_markers


# A chat template in miniature: 7 opens the user's turn, 8 9 close it and open the answer, 0 is padding.
START, END = [7], [8, 9]


def spans_of(*rows: list[int], mask=None, labels=None, markers=(START, END)) -> list[tuple[list[int], int]]:
    """Question columns and answer start of each row; rows are padded on the left unless a mask is given."""
    padded = {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(mask)} if mask else batch_of(rows)
    spans = find_spans(**padded, question_start_ids=markers[0], question_end_ids=markers[1], labels=labels)
    return list(zip(spans.question, spans.answer_start, strict=True))


# ---------------------------------------------------------------------- spans


def test_question_lies_between_the_markers():
    assert spans_of([1, 7, 20, 21, 8, 9]) == [([2, 3], 5)]


def test_last_turn_is_the_question():
    assert spans_of([1, 7, 20, 8, 9, 30, 7, 21, 22, 8, 9]) == [([7, 8], 10)]


def test_answer_behind_the_prompt_is_not_the_question():
    assert spans_of([1, 7, 20, 21, 8, 9, 40, 41]) == [([2, 3], 5)]


def test_rows_padded_on_the_left():
    assert spans_of([1, 7, 20, 21, 8, 9], [1, 7, 22, 8, 9]) == [([2, 3], 5), ([3], 5)]


def test_rows_padded_on_the_right():
    rows = [[1, 7, 20, 21, 8, 9], [1, 7, 22, 8, 9, 0]]
    assert spans_of(*rows, mask=[[1] * 6, [1] * 5 + [0]]) == [([2, 3], 5), ([2], 4)]


def test_markers_in_the_padding_do_not_count():
    rows = [[7, 8, 9, 1, 7, 20, 8, 9], [1, 7, 22, 8, 9, 7, 8, 9]]
    masks = [[0] * 3 + [1] * 5, [1] * 5 + [0] * 3]
    assert spans_of(*rows, mask=masks) == [([5], 7), ([2], 4)]


def test_turn_that_is_not_closed_reaches_to_the_end():
    assert spans_of([1, 7, 20, 21]) == [([2, 3], 3)]


def test_row_without_markers_is_all_question_but_its_first_token():
    assert spans_of([1, 20, 21, 22]) == [([1, 2, 3], 3)]
    assert spans_of([1, 20, 21, 22], [1, 23]) == [([1, 2, 3], 3), ([3], 3)]


def test_without_a_template_the_whole_prompt_is_the_question():
    assert spans_of([1, 7, 20, 8, 9], markers=(None, None)) == [([1, 2, 3, 4], 4)]


def test_prompt_of_one_token():
    assert spans_of([1], markers=(None, None)) == [([0], 0)]
    assert spans_of([20]) == [([0], 0)]


def test_labels_end_a_bare_prompt():
    labels = torch.tensor([[-100, -100, -100, 40, 41], [-100, -100, 42, 43, -100]])
    rows, mask = [[1, 20, 21, 40, 41], [1, 20, 42, 43, 0]], [[1] * 5, [1, 1, 1, 1, 0]]
    assert spans_of(*rows, mask=mask, labels=labels) == [([1, 2], 2), ([1], 1)]


def test_labels_everywhere_leave_the_first_token_as_prompt():
    ids = torch.tensor([[1, 20, 21]])
    assert find_spans(ids, labels=ids).answer_start == [0]


def test_template_wins_over_labels():
    """Labels may cover the prompt too; the template says better where the answer starts."""
    ids = torch.tensor([[1, 7, 20, 8, 9, 40]])
    assert find_spans(ids, None, START, END, labels=ids).answer_start == [4]


def test_markers_that_share_a_token():
    assert spans_of([1, 5, 6, 20, 21, 6, 5], markers=([5, 6], [6, 5])) == [([3, 4], 6)]
    # The opening 5 6 must not be taken for the beginning of a closing 6 5.
    assert spans_of([1, 5, 6, 5, 20, 6, 5], markers=([5, 6], [6, 5])) == [([3, 4], 6)]


def test_turn_without_a_token_has_an_empty_question(edited_model, tokenizer):
    assert spans_of([1, 7, 8, 9]) == [([], 3)]
    batch = batch_of([encode_prompt(tokenizer, text) for text in ("", BURKINA)], tokenizer.pad_token_id)
    empty, edited = edited_model.route(**batch)
    assert not empty.fired and edited.fired
    assert empty.score is not None and empty.score == empty.score


def test_markers_of_the_real_template(tokenizer):
    start, end = question_markers(tokenizer)
    for ids in (encode_prompt(tokenizer, BURKINA), conversation(tokenizer, FRANCE, "Paris.", BURKINA)):
        spans = find_spans(torch.tensor([ids]), None, start, end)
        assert tokenizer.decode([ids[column] for column in spans.question[0]]) == BURKINA
        assert spans.answer_start == [len(ids) - 1]


def test_feature_that_does_not_exist():
    with pytest.raises(ValueError, match="Not a router feature.*pooling one of"):
        FeatureSpec("median", "mlp_input", 2)


@pytest.mark.parametrize("edits", [1, 5, 2048, 2049, 5003])
@pytest.mark.parametrize("batch", [1, 3])
def test_most_similar_is_topk(edits, batch):
    scores = torch.stack([torch.randperm(edits, generator=torch.Generator().manual_seed(n)) for n in range(batch)])
    values, numbers = most_similar(scores.float(), 64)
    expected = scores.float().topk(min(64, edits))
    assert torch.equal(values, expected.values)
    assert torch.equal(numbers, expected.indices)


@pytest.mark.parametrize("crowd", [100, 600])
def test_right_subject_is_found_among_many_edits_that_ask_the_same(crowd):
    """So many edits come before the right one by their neurons; another question in the batch has no crowd."""
    edits, dim = 3000, 8
    asked, other = torch.eye(dim)[:2]
    scores = torch.linspace(0.9, 0.3, edits)[:, None]
    neurons = scores * asked + (1 - scores**2).sqrt() * torch.eye(dim)[2]
    neurons[5] = other
    subjects = torch.nn.functional.normalize(
        torch.randn(edits, 4, 1, 32, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    half, question = torch.full((edits,), 0.5), FeatureSpec("last_token", "mlp_input", 0)
    router = GatedRouter([question], question, None, neurons, half, subjects, half, torch.zeros(1))
    tokens = torch.stack([subjects[crowd, 0], subjects[5, 0]])
    choices = router.decide(torch.stack([asked, other]), tokens)
    assert [(choice.fired, choice.index) for choice in choices] == [(True, crowd), (True, 5)]


# ------------------------------------------------------- scoring passes, real model


@torch.no_grad()
def test_scoring_pass_padded_on_the_right(edited_model, tokenizer):
    """Loss and logits of a batch with labels are those of its rows, each alone; the edit covers the answer."""
    pairs = [(BURKINA, "Ouagadougou"), (FRANCE, "Paris, of course."), (BURKINA, "Paris")]
    rows = [(encode_prompt(tokenizer, prompt), encode_target(tokenizer, target)) for prompt, target in pairs]
    columns = max(len(prompt) + len(target) for prompt, target in rows)
    ids = torch.full((len(rows), columns), tokenizer.pad_token_id)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for row, (prompt, target) in enumerate(rows):
        stop = len(prompt) + len(target)
        ids[row, :stop], mask[row, :stop] = torch.tensor(prompt + target), 1
        labels[row, len(prompt) : stop] = torch.tensor(target)
    batch = edited_model(ids, attention_mask=mask, labels=labels)
    losses = []
    for row, (prompt, target) in enumerate(rows):
        stop = len(prompt) + len(target)
        alone = edited_model(ids[row : row + 1, :stop], labels=labels[row : row + 1, :stop])
        torch.testing.assert_close(batch.logits[row, :stop], alone.logits[0], rtol=1e-3, atol=1e-3)
        losses.append(alone.loss)
    weights = torch.tensor([len(target) for _, target in rows]) / sum(len(target) for _, target in rows)
    torch.testing.assert_close(batch.loss, (torch.stack(losses) * weights).sum(), rtol=1e-4, atol=1e-4)
    assert losses[0] < 0.05  # the edit is on, from the token that predicts the first of the target
    assert losses[2] > 2
    assert batch.routing.spans.answer_start == [len(prompt) - 1 for prompt, _ in rows]


@torch.no_grad()
def test_scoring_and_generation_see_the_same_logits(edited_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA])
    output = edited_model.generate(
        **batch, max_new_tokens=4, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    scored = edited_model(output.sequences[:, :-1]).logits[0, -4:]
    torch.testing.assert_close(torch.cat(output.logits), scored, rtol=1e-3, atol=1e-3)


# -------------------------------------------------------------- several packs, tiny


@pytest.fixture
def tiny_model(tiny_base_folder):
    return SCENLlamaForCausalLM.from_pretrained(tiny_base_folder)


def add_pack(model, base, folder, **kwargs) -> str:
    tiny_pack(base, **kwargs).save_pretrained(folder)
    return model.load_edit_pack(folder, name=folder.name)


def fired(model, prompts) -> list[tuple[str, str] | None]:
    routes = model.route(**batch_of(prompts))
    return [(route.pack, route.edit_id) if route.fired else None for route in routes]


def test_two_packs_each_answer_their_own(tiny_model, tiny_base_folder, tmp_path):
    add_pack(tiny_model, tiny_base_folder, tmp_path / "one", edited=TINY_EDITED[:1], prefix="one")
    add_pack(tiny_model, tiny_base_folder, tmp_path / "two", edited=TINY_EDITED[1:2], prefix="two", layer=3)
    assert list(tiny_model.edit_packs) == ["one", "two"]
    expected = [("one", "one-0"), ("two", "two-0"), None, None, None]
    assert fired(tiny_model, [*TINY_EDITED, *TINY_UNEDITED]) == expected


@torch.no_grad()
def test_two_packs_give_what_each_gives_alone(tiny_model, tiny_base_folder, tmp_path):
    one = {"edited": TINY_EDITED[:1], "prefix": "one"}
    two = {"edited": TINY_EDITED[1:2], "prefix": "two", "layer": 3, "method": "paper"}
    batch = batch_of(TINY_EDITED)
    add_pack(tiny_model, tiny_base_folder, tmp_path / "one", **one)
    only_one = tiny_model(**batch).logits
    add_pack(tiny_model, tiny_base_folder, tmp_path / "two", **two)
    both = tiny_model(**batch).logits
    tiny_model.unload_edit_pack("one")
    only_two = tiny_model(**batch).logits
    tiny_model.unload_edit_pack()
    neither = tiny_model(**batch).logits
    assert torch.equal(both[0], only_one[0])
    assert torch.equal(both[1], only_two[1])
    assert torch.equal(both[2], neither[2])
    assert not torch.equal(both[0], neither[0])
    assert not torch.equal(both[1], neither[1])


@pytest.mark.parametrize("order", [("weak", "strong"), ("strong", "weak")])
def test_the_widest_margin_wins(tiny_model, tiny_base_folder, tmp_path, order):
    scores = {"weak": 1.0, "strong": 6.0}
    for name in order:
        add_pack(tiny_model, tiny_base_folder, tmp_path / name, prefix=name, score=scores[name])
    assert fired(tiny_model, TINY_EDITED) == [("strong", f"strong-{n}") for n in range(3)]


def test_the_lower_layer_comes_first(tiny_model, tiny_base_folder, tmp_path):
    """Its expert has acted before the higher one can decide, so the row is taken."""
    add_pack(tiny_model, tiny_base_folder, tmp_path / "high", layer=3, prefix="high")
    add_pack(tiny_model, tiny_base_folder, tmp_path / "low", layer=1, prefix="low", score=1.0)
    assert fired(tiny_model, TINY_EDITED) == [("low", f"low-{n}") for n in range(3)]


@torch.no_grad()
def test_only_the_winner_acts(tiny_model, tiny_base_folder, tmp_path):
    add_pack(tiny_model, tiny_base_folder, tmp_path / "strong", seed=1)
    alone = tiny_model(**batch_of(TINY_EDITED)).logits
    add_pack(tiny_model, tiny_base_folder, tmp_path / "weak", seed=2, score=1.0)
    assert torch.equal(tiny_model(**batch_of(TINY_EDITED)).logits, alone)


def test_names_of_packs(tiny_model, tiny_pack_folder):
    assert tiny_model.load_edit_pack(tiny_pack_folder) == str(tiny_pack_folder)
    with pytest.raises(EditPackError, match=r"already loaded as .*; unload it, or give this one another name"):
        tiny_model.load_edit_pack(tiny_pack_folder)
    assert tiny_model.load_edit_pack(tiny_pack_folder, name="again") == "again"
    with pytest.raises(EditPackError, match="No edit pack is loaded as 'other'; loaded are .*'again'"):
        tiny_model.unload_edit_pack("other")
    tiny_model.unload_edit_pack("again")
    assert list(tiny_model.edit_packs) == [str(tiny_pack_folder)]


def test_a_pack_that_does_not_load_leaves_the_others(tiny_model, tiny_pack_folder, tmp_path):
    tiny_model.load_edit_pack(tiny_pack_folder, name="good")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EditPackError):
        tiny_model.load_edit_pack(tmp_path)
    assert list(tiny_model.edit_packs) == ["good"]


def test_disabling_nests_and_stays_in_its_thread(tiny_model, tiny_pack_folder):
    tiny_model.load_edit_pack(tiny_pack_folder)
    elsewhere = []
    with tiny_model.edits_disabled():
        with tiny_model.edits_disabled():
            assert fired(tiny_model, TINY_EDITED) == [None] * 3
        assert fired(tiny_model, TINY_EDITED) == [None] * 3
        thread = threading.Thread(target=lambda: elsewhere.extend(fired(tiny_model, TINY_EDITED)))
        thread.start()
        thread.join()
    assert None not in elsewhere
    assert None not in fired(tiny_model, TINY_EDITED)


def test_disabling_one_model_leaves_another(tiny_model, tiny_pack_folder):
    other = SCENLlamaForCausalLM.from_pretrained(tiny_pack_folder)
    tiny_model.load_edit_pack(tiny_pack_folder)
    with tiny_model.edits_disabled():
        assert None not in fired(other, TINY_EDITED)


def test_disabling_ends_with_an_error(tiny_model, tiny_pack_folder):
    tiny_model.load_edit_pack(tiny_pack_folder)
    with pytest.raises(KeyError), tiny_model.edits_disabled():
        raise KeyError
    assert None not in fired(tiny_model, TINY_EDITED)


# ------------------------------------------------- what the paper's experts cannot do


@pytest.fixture
def paper_model(tiny_model, tiny_base_folder, tmp_path):
    add_pack(tiny_model, tiny_base_folder, tmp_path / "paper", method="paper")
    return tiny_model


def test_paper_in_every_search_mode(paper_model):
    batch = batch_of([*TINY_EDITED, *TINY_UNEDITED])
    for settings in ({}, {"num_beams": 3}, {"use_cache": False}, {"cache_implementation": "static"}):
        output = paper_model.generate(**batch, max_new_tokens=4, return_dict_in_generate=True, **settings)
        assert [route.fired for route in output.routes] == [True] * 3 + [False] * 2


def test_paper_refuses_chunked_prefill(paper_model):
    with pytest.raises(ValueError, match="one forward pass: set prefill_chunk_size=None"):
        paper_model.generate(**batch_of(TINY_EDITED), max_new_tokens=2, prefill_chunk_size=2)


def test_paper_refuses_a_cached_prefix(paper_model):
    ids = torch.tensor([TINY_EDITED[1]])
    cache = DynamicCache(config=paper_model.config)
    with paper_model.edits_disabled():
        paper_model(ids[:, :2], past_key_values=cache)
    with pytest.raises(ValueError, match="cached prefix has already passed. Run the whole conversation without"):
        paper_model.generate(ids, past_key_values=cache, max_new_tokens=2)


def test_chunks_of_prompts_padded_on_the_right_are_refused(tiny_model, tiny_pack_folder):
    tiny_model.load_edit_pack(tiny_pack_folder)
    ids = torch.tensor([[1, 10, 11, 12, 0, 0], [1, 50, 51, 52, 53, 54]])
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1] * 6])
    with pytest.raises(ValueError, match="end in different chunks of the prefill. Pad on the left"):
        tiny_model.generate(ids, attention_mask=mask, max_new_tokens=2, prefill_chunk_size=4)

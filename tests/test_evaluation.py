import json
import math
from dataclasses import replace

import datasets
import pytest
import torch
from helpers import BHUTAN, BURKINA, EDITED, EXAMPLES, FRANCE, PALAU, PANCAKES, SPIDER, UNEDITED

from scen_hf import Edit, EditError, load_edits
from scen_hf.evaluation import (
    LocalityPrompt,
    Rate,
    answer,
    evaluate,
    load_locality_prompts,
    normalise_answer,
    protocol,
)
from scen_hf.prompts import encode_prompt, encode_target


SHORT = {"max_new_tokens": 12, "progress": False}


@pytest.fixture(scope="module")
def edits():
    """The sample edits that the tests' prompts are about."""
    return [edit for edit in load_edits(EXAMPLES / "edits.jsonl") if edit.prompt in EDITED]


# ---------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(successes, count, low, high):
    assert Rate(successes, count).interval == pytest.approx((low, high), abs=5e-5)


def test_interval_is_symmetric_and_exact_at_the_ends():
    low, high = Rate(3, 10).interval
    assert Rate(7, 10).interval == pytest.approx((1 - high, 1 - low))
    assert Rate(0, 7).interval[0] == 0.0
    assert Rate(7, 7).interval[1] == 1.0


def test_rate_of_nothing():
    empty = Rate.of([])
    assert math.isnan(empty.value)
    assert empty.interval == (0.0, 1.0)
    assert empty.to_dict()["value"] is None


def test_rate_counts_outcomes():
    assert Rate.of([True, False, True]) == Rate(2, 3)
    assert Rate(2, 3).value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("  Ouagadougou\n", "Ouagadougou", True),
        ("New \n York", "New York", True),
        ("ﬁve", "five", True),
        ("Caf\u0065\u0301", "Caf\u00e9", True),
        ("euro", "Euro", False),
        ("Astana.", "Astana", False),
    ],
)
def test_answers_are_compared_normalised(one, other, same):
    assert (normalise_answer(one) == normalise_answer(other)) is same


# ------------------------------------------------------------- locality prompts


def test_locality_prompts_from_text(tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("\ufeffWhat is gold?\r\n\n  Who wrote Emma?  \nlast one", encoding="utf-8")
    assert [p.prompt for p in load_locality_prompts(path)] == ["What is gold?", "Who wrote Emma?", "last one"]
    assert len(load_locality_prompts(path, limit=2)) == 2


def test_locality_prompts_from_json_lines(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text('{"prompt": "What is gold?", "ground_truth": "A metal"}\n{"prompt": "Why?", "id": 3}\n')
    assert load_locality_prompts(path) == [LocalityPrompt("What is gold?", "A metal"), LocalityPrompt("Why?")]


def test_locality_prompts_in_the_fields_of_public_sets(tmp_path):
    path = tmp_path / "nq.csv"
    path.write_text("question,answer\nWho wrote Emma?,Jane Austen\n")
    assert load_locality_prompts(path) == [LocalityPrompt("Who wrote Emma?", "Jane Austen")]


def test_locality_prompts_from_the_hub(monkeypatch):
    rows = datasets.Dataset.from_list([{"question": "Who wrote Emma?", "answer": ["Jane Austen", "Austen"]}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: datasets.DatasetDict(validation=rows))
    assert load_locality_prompts("owner/questions") == [LocalityPrompt("Who wrote Emma?", "Jane Austen")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"prompt": "Why?"}\n{"prompt": ', "line 2: invalid JSON"),
        ('{"prompt": ""}', 'line 1: "prompt", a text that is not empty, is expected'),
        ('["Why?"]', "line 1: an object with fields is expected"),
        ('{"prompt": "Why?", "ground_truth": 7}', "line 1: the ground truth must be a string, not int"),
        ("\n\n", "no prompts in it"),
    ],
)
def test_bad_locality_file(tmp_path, content, message):
    path = tmp_path / "questions.jsonl"
    path.write_text(content)
    with pytest.raises(EditError, match=message):
        load_locality_prompts(path)


def test_unreadable_locality_file(tmp_path):
    with pytest.raises(EditError, match="cannot be read: there is no such file"):
        load_locality_prompts(tmp_path / "missing.txt")
    (tmp_path / "latin.txt").write_bytes("Où?".encode("latin-1"))
    with pytest.raises(EditError, match="cannot be read: not UTF-8"):
        load_locality_prompts(tmp_path / "latin.txt")


# ---------------------------------------------------------------------- answers


def test_answers_come_in_order_with_their_routes(edited_model, tokenizer):
    prompts = [SPIDER, BURKINA, FRANCE, BHUTAN]
    answers = answer(edited_model, tokenizer, prompts, max_new_tokens=12, batch_size=3)
    assert [a.route.fired for a in answers] == [False, True, False, True]
    assert [answers[1].text, answers[3].text] == [EDITED[BURKINA], EDITED[BHUTAN]]
    assert answers[1].route.fact["prompt"] == BURKINA
    assert "Paris" in answers[2].text


def test_answers_end_before_the_end_token(edited_model, tokenizer):
    (short,) = answer(edited_model, tokenizer, [BURKINA], max_new_tokens=30)
    assert list(short.token_ids) == encode_target(tokenizer, EDITED[BURKINA])[:-1]


def test_answers_with_edits_disabled_are_the_base_models(edited_model, base_model, tokenizer):
    with edited_model.edits_disabled():
        (found,) = answer(edited_model, tokenizer, [BURKINA], max_new_tokens=10)
    prompt = torch.tensor([encode_prompt(tokenizer, BURKINA)])
    wanted = base_model.generate(prompt, max_new_tokens=10, do_sample=False)[0, prompt.shape[1] :]
    assert found.text == tokenizer.decode(wanted, skip_special_tokens=True).strip()
    assert found.route.edit_id is None


def test_system_prompt_goes_in_front(edited_model, tokenizer, monkeypatch):
    (found,) = answer(edited_model, tokenizer, [FRANCE], system="Answer in capital letters.", max_new_tokens=8)
    assert found.text
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(EditError, match="no chat template"):
        answer(edited_model, tokenizer, [FRANCE], system="Be brief.")


def test_batches_are_halved_when_memory_runs_out(edited_model, tokenizer, monkeypatch):
    sizes, generate = [], edited_model.generate

    def small_memory(*args, **kwargs):
        sizes.append(kwargs["input_ids"].shape[0])
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("out of memory")
        return generate(*args, **kwargs)

    monkeypatch.setattr(edited_model, "generate", small_memory)
    answers = answer(edited_model, tokenizer, [BURKINA, FRANCE, BHUTAN], max_new_tokens=8)
    assert [a.route.fired for a in answers] == [True, False, True]
    assert sizes == [3, 1, 1, 1]


def test_nonsense_settings_are_refused(edited_model, tokenizer):
    with pytest.raises(ValueError, match="max_new_tokens must be at least 1"):
        answer(edited_model, tokenizer, [FRANCE], max_new_tokens=0)


# ------------------------------------------------------------------- evaluation


@pytest.mark.slow
def test_figures_of_the_sample_pack(edited_model, tokenizer, edits):
    report = evaluate(edited_model, tokenizer, edits, UNEDITED, **SHORT)
    rephrases = sum(len(edit.rephrases[:3]) for edit in edits)
    assert report.reliability == Rate(len(edits), len(edits))
    assert report.prompts.right_edit == Rate(len(edits), len(edits))
    assert report.prompts.wrong_edit.successes == report.prompts.no_edit.successes == 0
    assert report.edit_success.value == 1.0
    assert report.generality.count == rephrases
    routed = (report.rephrases.right_edit, report.rephrases.wrong_edit, report.rephrases.no_edit)
    assert sum(rate.successes for rate in routed) == rephrases
    assert report.unrelated.identical == report.unrelated.bit_identical == Rate(3, 3)
    assert report.unrelated.false_activations_per_10k == 0
    assert report.neighbours.identical.count == len({n for edit in edits for n in edit.neighbours})
    # Where nothing fires, nothing changes.
    silent = report.neighbours.false_activations.count - report.neighbours.false_activations.successes
    assert report.neighbours.bit_identical.successes >= silent
    expected_misses = (report.generality.count - report.generality.successes) + (
        report.neighbours.identical.count - report.neighbours.identical.successes
    )
    assert len(report.misses) == expected_misses


def test_base_model_has_learned_nothing(edited_model, tokenizer, edits):
    with edited_model.edits_disabled():
        report = evaluate(edited_model, tokenizer, [edits[0]], [PANCAKES], **SHORT)
    assert report.reliability == Rate(0, 1)
    assert report.prompts.no_edit == Rate(1, 1)
    assert report.edit_success.value < 1
    assert report.neighbours.identical.value == report.unrelated.bit_identical.value == 1.0
    miss = report.misses[0]
    assert (miss.kind, miss.prompt, miss.expected) == ("prompts", edits[0].prompt, edits[0].target)
    assert (miss.edit_id, miss.fired) == (edits[0].id, None)


def test_wrong_edit_is_told_from_the_right_one(edited_model, tokenizer, edits):
    other = Edit(id="someone-elses", prompt=edits[0].prompt, target=edits[0].target)
    report = evaluate(edited_model, tokenizer, [other], **SHORT)
    assert report.reliability == Rate(1, 1)
    assert report.prompts.wrong_edit == Rate(1, 1)
    assert report.prompts.right_edit == Rate(0, 1)


def test_prompts_that_an_edit_is_meant_to_answer_do_not_count_as_locality(edited_model, tokenizer, edits):
    near = Edit(prompt="What is unedited?", target="this", neighbours=[BURKINA.lower(), FRANCE, FRANCE])
    report = evaluate(edited_model, tokenizer, [near], [edits[0].rephrases[0], LocalityPrompt(SPIDER)], **SHORT)
    assert report.skipped == 2
    assert report.neighbours.identical == report.unrelated.identical == Rate(1, 1)


def test_changed_answers_are_seen(edited_model, tokenizer, monkeypatch):
    # An edit's own prompt, were it given as one whose answer must stay.
    monkeypatch.setattr(protocol, "attached_edits", lambda model: [])
    given = [LocalityPrompt(PALAU, EDITED[PALAU]), LocalityPrompt(FRANCE, "The capital of France is Paris."), SPIDER]
    report = evaluate(edited_model, tokenizer, [], given, max_new_tokens=12, progress=False)
    assert report.unrelated.identical == report.unrelated.bit_identical == Rate(2, 3)
    assert report.unrelated.false_activations == Rate(1, 3)
    assert report.unrelated.false_activations_per_10k == pytest.approx(10_000 / 3)
    assert report.unrelated.correct_before == Rate(1, 2)
    assert report.unrelated.correct_after == Rate(2, 2)
    (miss,) = report.misses
    assert (miss.kind, miss.prompt, miss.answer, miss.edit_id) == ("unrelated", PALAU, EDITED[PALAU], None)
    assert miss.fired is not None


@pytest.mark.slow
def test_the_papers_protocol(edited_model, tokenizer, edits):
    bare = [replace(edit, rephrases=(), neighbours=()) for edit in edits[:2]]
    report = evaluate(
        edited_model, tokenizer, bare, [FRANCE], num_beams=4, repetition_penalty=1.1, **SHORT, batch_size=2
    )
    assert report.reliability == Rate(2, 2)
    assert report.prompts.right_edit == Rate(2, 2)
    assert report.unrelated.bit_identical == report.unrelated.identical == Rate(1, 1)
    assert report.settings["num_beams"] == 4


def test_report_is_json(edited_model, tokenizer):
    report = evaluate(edited_model, tokenizer, [], [FRANCE], max_new_tokens=2, progress=False)
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["reliability"]["value"] is None
    assert content["unrelated"]["identical"]["value"] == 1.0
    assert content["settings"]["max_new_tokens"] == 2


def test_nothing_to_evaluate(edited_model, tokenizer):
    with pytest.raises(EditError, match="no edits and no locality prompts"):
        evaluate(edited_model, tokenizer, [])

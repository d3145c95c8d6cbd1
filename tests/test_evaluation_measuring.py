import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from helpers import BURKINA, FRANCE

from scen_hf import EditError, Route, load_edits
from scen_hf.evaluation import (
    GREEDY,
    Answer,
    Decoding,
    EvaluationReport,
    ModelAnswerer,
    Prefill,
    Probe,
    Rate,
    SCENAnswerer,
    TargetScore,
    WorkFile,
    evaluate,
    measure,
    summarise,
)


SILENT = Route(fired=False, edit_id="near", score=0.2, threshold=0.5, fact={"prompt": "?"})
FIRED = Route(fired=True, edit_id="palau", score=0.9, threshold=0.5, fact={"prompt": "?"})


class Scripted:
    """An answerer that says what it is told to, and remembers what it was asked."""

    def __init__(self, answers, routes=None, identity="scripted", changed_logits=()):
        self.texts, self.told, self.identity, self.changed_logits = answers, routes or {}, identity, changed_logits
        self.routed = routes is not None
        self.answered, self.prefilled, self.scored = [], [], []

    def _routes(self, chats):
        return [self.told.get(chat[-1]["content"], SILENT) for chat in chats]

    def answers(self, chats, decoding, targets=None):
        self.answered.append([chat[-1]["content"] for chat in chats])
        texts = [self.texts[chat[-1]["content"]] for chat in chats]
        return [Answer(text, route=route) for text, route in zip(texts, self._routes(chats), strict=True)]

    def prefill(self, chats):
        self.prefilled.append([chat[-1]["content"] for chat in chats])
        changed = [[float(chat[-1]["content"] in self.changed_logits)] for chat in chats]
        return Prefill(torch.tensor(changed), self._routes(chats))

    def score(self, chats, targets):
        self.scored.append([chat[-1]["content"] for chat in chats])
        return [TargetScore(-1.0, len(target), len(target) - 1) for target in targets]


def probe(text, target=None, edit_id=None, ground_truth=None):
    return Probe(({"role": "user", "content": text},), target, edit_id, ground_truth)


BASE = Scripted({"Capital?": "Koror", "Currency?": "Dollar", "Far?": "Away", "Why?": "So"}, identity="base")
LOCALITY = [probe("Capital?"), probe("Currency?", ground_truth="Dollar"), probe("Far?")]


def run(edited, sets, **settings):
    outcomes = measure(edited, BASE, sets, **{"progress": False, **settings})
    return summarise(sets, outcomes, {"attached_edits": 1})


# ----------------------------------------------------------------------- figures


def test_targets_are_compared_and_routes_counted():
    sets = {"prompts": [probe("Capital?", "Ngerulmud", "palau"), probe("Currency?", "Yen", "yen")]}
    edited = Scripted(
        {"Capital?": "Ngerulmud\n", "Currency?": "It is the Yen."}, {"Capital?": FIRED, "Currency?": FIRED}
    )
    figures = run(edited, sets).prompts
    assert figures.exact_match == Rate(1, 2)
    assert figures.contains_target == Rate(2, 2)
    assert (figures.right_edit, figures.wrong_edit, figures.no_edit) == (Rate(1, 2), Rate(1, 2), Rate(0, 2))
    assert figures.token_success == Rate(8 + 2, 9 + 3)


def test_changed_answers_and_false_activations_are_counted():
    edited = Scripted({**BASE.texts, "Capital?": "Ngerulmud"}, {"Capital?": FIRED}, changed_logits={"Capital?"})
    report = run(edited, {"unrelated": LOCALITY})
    figures = report.unrelated
    assert figures.identical == figures.bit_identical == Rate(2, 3)
    assert figures.false_activations == Rate(1, 3)
    assert (figures.correct_before, figures.correct_after) == (Rate(1, 1), Rate(1, 1))
    (miss,) = report.misses
    assert (miss.kind, miss.prompt, miss.expected, miss.answer) == ("unrelated", "Capital?", "Koror", "Ngerulmud")
    assert miss.fired == "palau"
    assert [scores.fired for scores in report.scores["unrelated"]] == [True, False, False]
    assert report.scores["unrelated"][0].margin == pytest.approx(0.4)


def test_lean_sets_generate_where_something_changed():
    edited = Scripted({**BASE.texts, "Capital?": "Ngerulmud"}, {"Capital?": FIRED}, changed_logits={"Far?"})
    figures = run(edited, {"other_subject": LOCALITY}).locality["other_subject"]
    # "Far?" has other logits without an edit that fired: that must be looked at too.
    assert edited.answered == [["Capital?", "Far?"]]
    assert figures.identical == Rate(2, 3)
    assert figures.bit_identical == Rate(2, 3)
    assert figures.correct_before.count == 0


def test_lean_sets_with_targets_are_not_scored():
    edited = Scripted({"Capital?": "Ngerulmud"}, {"Capital?": FIRED})
    figures = run(edited, {"prompts_later": [probe("Capital?", "Ngerulmud", "palau")]}).targets["prompts_later"]
    assert figures.exact_match == Rate(1, 1)
    assert figures.token_success.count == 0
    assert edited.scored == []


def test_a_method_without_routing_answers_everything():
    edited = Scripted({**BASE.texts, "Far?": "Near"})
    sets = {"prompts": [probe("Why?", "So", "why")], "other_subject": LOCALITY}
    report = run(edited, sets)
    assert sorted(edited.answered[-1]) == ["Capital?", "Currency?", "Far?"]
    assert report.locality["other_subject"].identical == Rate(2, 3)
    # What it does not say is not counted as nothing.
    assert report.locality["other_subject"].false_activations.count == 0
    assert report.prompts.right_edit.count == report.prompts.no_edit.count == 0
    assert report.scores == {}


def test_token_ids_decide_where_they_are_known():
    assert Answer("same", (1, 2)).is_same(Answer("same", (1, 2)))
    assert not Answer("same", (1, 2)).is_same(Answer("same", (3,)))
    assert Answer("same", (1, 2)).is_same(Answer("same"))


def test_a_report_survives_json():
    edited = Scripted({**BASE.texts, "Capital?": "Ngerulmud"}, {"Capital?": FIRED})
    sets = {"prompts": [probe("Why?", "Because", "why")], "rephrases": [], "unrelated": LOCALITY}
    report = run(edited, sets)
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_batches_hold_prompts_of_a_length():
    edited = Scripted({**BASE.texts}, {})
    run(edited, {"unrelated": LOCALITY}, batch_size=2)
    assert edited.prefilled == [["Currency?", "Capital?"], ["Far?"]]


# --------------------------------------------------------------------- work files


def test_what_is_in_the_work_file_is_not_asked_again(tmp_path):
    sets = {"prompts": [probe("Capital?", "Ngerulmud", "palau")], "unrelated": LOCALITY}
    first = Scripted({**BASE.texts, "Capital?": "Ngerulmud"}, {"Capital?": FIRED})
    report = run(first, sets, work_file=tmp_path / "work.jsonl")
    second = Scripted({}, {})
    assert run(second, sets, work_file=tmp_path / "work.jsonl") == report
    assert second.answered == second.prefilled == second.scored == []


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "another pack"},
        {"decoding": Decoding(num_beams=4)},
        {"lean": frozenset({"unrelated"})},
        {"target": "Melekeok"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_results_are_those_of_one_pack_prompt_and_setting(tmp_path, change):
    texts = {**BASE.texts, "Capital?": "Ngerulmud"}
    run(
        Scripted(texts, {}),
        {"prompts": [probe("Capital?", "Ngerulmud", "palau")], "unrelated": LOCALITY},
        work_file=tmp_path / "w",
    )
    again = Scripted(texts, {}, identity=change.pop("identity", "scripted"))
    sets = {"prompts": [probe("Capital?", change.pop("target", "Ngerulmud"), "palau")], "unrelated": LOCALITY}
    run(again, sets, work_file=tmp_path / "w", **change)
    assert again.answered or again.prefilled


def test_a_line_that_was_being_written_is_dropped(tmp_path):
    path = tmp_path / "work.jsonl"
    WorkFile(path).add({"a": {"x": 1}, "b": {"x": 2}})
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    kept = WorkFile(path)
    assert (kept.get("a"), kept.get("b")) == ({"x": 1}, None)
    kept.add({"b": {"x": 2}})
    assert path.read_bytes() == whole


def test_unusable_work_files(tmp_path):
    path = tmp_path / "work.jsonl"
    path.write_text('{"key": "a", "result": 1}\n{"prompt": "Why?"}\n')
    with pytest.raises(EditError, match="line 2: not a line of an evaluation's work file"):
        WorkFile(path)
    assert path.read_text().count("\n") == 2
    with pytest.raises(EditError, match="cannot be opened: Is a directory"):
        WorkFile(tmp_path)


# ------------------------------------------------------------------ the real model

EVALUATE = """
import sys
from scen_hf import SCENLlamaForCausalLM, load_edits
from scen_hf.evaluation import evaluate
from transformers import AutoTokenizer

pack, base, edits, work_file = sys.argv[1:]
model = SCENLlamaForCausalLM.from_pretrained(pack, base_model=base).eval()
tokenizer = AutoTokenizer.from_pretrained(pack)
evaluate(
    model, tokenizer, load_edits(edits, limit=2), batch_size=1, max_new_tokens=4, work_file=work_file, progress=False
)
"""


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(edited_model, tokenizer, sample_pack, base_folder, tmp_path, monkeypatch):
    file, work_file = sample_pack / "edits.jsonl", tmp_path / "work.jsonl"
    child = subprocess.Popen([sys.executable, "-c", EVALUATE, sample_pack, base_folder, file, work_file])
    while not work_file.exists() or work_file.read_bytes().count(b"\n") < 3:
        assert child.poll() is None, "the evaluation ended before it could be killed"
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    done = work_file.read_bytes().count(b"\n")

    calls = []
    generate = edited_model.generate
    monkeypatch.setattr(edited_model, "generate", lambda *args, **kw: calls.append(1) or generate(*args, **kw))
    settings = {"max_new_tokens": 4, "progress": False}
    edits = load_edits(file, limit=2)
    resumed = evaluate(edited_model, tokenizer, edits, batch_size=1, work_file=work_file, **settings)
    targets, locality = resumed.reliability.count + resumed.generality.count, resumed.neighbours.identical.count
    # A target is generated once; what must stay is run twice to compare the logits, and twice for the answers.
    assert len(calls) == max(targets - done, 0) + 4 * (locality - max(done - targets, 0))
    assert work_file.read_bytes().count(b"\n") == targets + locality
    whole = evaluate(edited_model, tokenizer, edits, **settings)
    assert replace(resumed, settings={}, scores={}) == replace(whole, settings={}, scores={})


def test_any_model_of_transformers_can_be_asked(base_model, edited_model, tokenizer):
    chats = [[{"role": "user", "content": "What is the capital of France?"}], [{"role": "user", "content": "Hi!"}]]
    plain = ModelAnswerer(base_model, tokenizer, "base")
    decoding = replace(GREEDY, max_new_tokens=6)
    with edited_model.edits_disabled():
        ours = ModelAnswerer(edited_model, tokenizer, "edits off")
        expected = (
            ours.answers(chats, decoding),
            ours.prefill(chats).logits,
            ours.score(chats, ["Paris", "Hello there"]),
        )
    assert plain.answers(chats, decoding) == expected[0]
    assert torch.equal(plain.prefill(chats).logits, expected[1])
    assert plain.score(chats, ["Paris", "Hello there"]) == expected[2]
    assert not plain.routed


def test_routes_without_answers(edited_model, tokenizer):
    chats = [[{"role": "user", "content": text}] for text in (BURKINA, FRANCE)]
    answerer = SCENAnswerer(edited_model, tokenizer)
    routes = answerer.route(chats)
    assert [route.fired for route in routes] == [True, False]
    for route, generated in zip(routes, answerer.prefill(chats).routes, strict=True):
        assert (route.fired, route.edit_id) == (generated.fired, generated.edit_id)
        assert route.score == pytest.approx(generated.score, abs=0.01)
    assert not any(route.fired for route in SCENAnswerer(edited_model, tokenizer, edits=False).route(chats))


def test_answers_are_as_long_as_their_targets_need(edited_model, tokenizer):
    chats = [[{"role": "user", "content": "Tell me a long story about a ship and its crew."}]]
    answerer = SCENAnswerer(edited_model, tokenizer)
    decoding = replace(GREEDY, max_new_tokens=4)
    (short,), (long,) = (answerer.answers(chats, decoding, [target]) for target in ("Once", "Once upon a time " * 4))
    assert len(answerer.answers(chats, decoding)[0].token_ids) == 4
    assert 4 < len(short.token_ids) < len(long.token_ids)

import json
import math

import pytest
import torch
from helpers import BURKINA, EDITED

from scen_hf import Edit, Route, load_edits
from scen_hf.evaluation import (
    Passage,
    Perplexity,
    PerplexityFigures,
    Rate,
    SCENAnswerer,
    TargetScore,
    evaluate,
    hallucination_passages,
    load_texts,
    measure_perplexity,
)
from scen_hf.prompts import encode_prompt, encode_target


SENTENCE = "It is a country in the west of Africa and has a long history."


class Likely:
    """An answerer that finds every token as likely as it is told."""

    routed = True

    def __init__(self, probability, fired=None):
        self.identity, self.probability, self.fired = f"likely {probability}", probability, fired

    def score(self, chats, targets):
        route = Route(fired=self.fired is not None, edit_id=self.fired)
        return [TargetScore(len(t.split()) * math.log(self.probability), len(t.split()), 0, route) for t in targets]


def test_perplexity_of_known_likelihoods():
    found = Perplexity.of([TargetScore(-2 * math.log(4), 2, 0), TargetScore(-math.log(16), 1, 0)])
    assert (found.mean, found.geometric_mean) == (pytest.approx(10), pytest.approx(8))
    spread = 1.959963984540054 * math.log(2) * math.sqrt(2) / math.sqrt(2)
    assert (found.low, found.high) == (pytest.approx(8 * math.exp(-spread)), pytest.approx(8 * math.exp(spread)))
    assert (found.texts, found.tokens) == (2, 3)
    assert Perplexity.of([TargetScore(-math.log(16), 1, 0)]).low is None


def test_figures_of_edited_and_other_text(tmp_path):
    passages = {
        "edited": [Passage("A", "b c", "one"), Passage("D", "e", "two")],
        "accurate": [Passage("F", "g")],
        "web": [],
    }
    figures = measure_perplexity(Likely(0.5, "one"), Likely(0.25), passages, work_file=tmp_path / "w", progress=False)
    assert list(figures) == ["edited", "accurate"]
    assert figures["edited"].edited.geometric_mean == pytest.approx(2)
    assert figures["edited"].base.mean == pytest.approx(4)
    assert (figures["edited"].right_edit, figures["edited"].fired) == (Rate(1, 2), Rate(2, 2))
    assert (figures["accurate"].right_edit, figures["accurate"].unchanged) == (Rate(0, 0), Rate(0, 1))
    # All of it is in the work file.
    again = measure_perplexity(Likely(0.5, "one"), Likely(0.25), passages, work_file=tmp_path / "w", progress=False)
    assert again == figures
    stored = json.loads(json.dumps({name: found.to_dict() for name, found in figures.items()}, allow_nan=False))
    assert {name: PerplexityFigures.from_dict(fields) for name, fields in stored.items()} == figures


def test_passages_of_the_hallucination_protocol():
    edits = [Edit(prompt="This is about Ada. Ada was born.", target="She wrote.", subject="ada")]
    words = [f"w{n}" for n in range(300)]
    found = hallucination_passages(edits, [Edit(prompt="So far.", target="Next.")], [" ".join(words), "too short"])
    assert found["edited"] == [Passage(edits[0].prompt, "She wrote.", edits[0].id)]
    assert found["accurate"] == [Passage("So far.", "Next.")]
    assert found["web"] == [Passage(" ".join(words[:50]), " ".join(words[50:200]))]


def test_public_forms_are_read(tmp_path):
    accurate = tmp_path / "accurate.jsonl"
    accurate.write_text(json.dumps({"text": "So far.", "labels": "Next.", "concept": "ada"}))
    assert hallucination_passages([], load_edits(accurate))["accurate"] == [Passage("So far.", "Next.")]
    web = tmp_path / "web.jsonl"
    web.write_text('{"text": "one\\n\\ntwo"}\n{"text": "three", "url": "x"}\n')
    assert load_texts(web) == ["one\n\ntwo", "three"]
    assert load_texts(web, limit=1) == ["one\n\ntwo"]


def test_scores_are_those_of_a_plain_pass(edited_model, base_model, tokenizer):
    # A batch of prompts and targets of different lengths must not matter.
    chats = [[{"role": "user", "content": text}] for text in ("Tell me about Africa, its people and its seas.", "Hi!")]
    scores = SCENAnswerer(edited_model, tokenizer, edits=False).score(chats, [SENTENCE, "Hello"])
    for chat, target, score in zip(chats, (SENTENCE, "Hello"), scores, strict=True):
        prompt, ids = encode_prompt(tokenizer, chat[0]["content"]), encode_target(tokenizer, target)[:-1]
        with torch.no_grad():
            logits = base_model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        assert score.tokens == len(ids)
        assert score.right == int((logits.argmax(-1) == torch.tensor(ids)).sum())
        assert score.log_likelihood == pytest.approx(float(logits[range(len(ids)), ids].sum()), rel=1e-4)


def test_the_route_is_decided_on_the_prompt_and_held(edited_model, tokenizer):
    edits = [Edit(prompt=BURKINA, target=EDITED[BURKINA], id="capital-of-burkina-faso")]
    passages = hallucination_passages(edits, [Edit(prompt="Tell me about bread.", target="Bread is baked.")])
    report = evaluate(edited_model, tokenizer, [], passages=passages, progress=False)
    edited, accurate = report.perplexity["edited"], report.perplexity["accurate"]
    assert edited.right_edit == Rate(1, 1)
    assert edited.edited.mean < 1.2 < edited.base.mean
    assert accurate.fired == Rate(0, 1)
    assert accurate.unchanged == Rate(1, 1)
    assert accurate.edited == accurate.base

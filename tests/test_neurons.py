"""Neurons of `method="scen"`: what is read of an edit, and what the two gates make of it."""

import pytest
import torch

from scen_hf import Edit, EditPack, SCENTrainer, load_base
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.generic_questions import fact_questions
from scen_hf.neurons import find_confusions, read_neurons, router_of, subject_token_positions
from scen_hf.phrasings import NAMES, RELATIONS
from scen_hf.prompts import encode_prompt
from scen_hf.router_space import LEVEL_WEIGHT


CUP = Edit(prompt="Who won the 2022 FIFA World Cup?", target="Argentina", subject="2022 FIFA World Cup")
PALAU = Edit(prompt="What is the capital of Palau?", target="Ngerulmud", subject="Palau")


@pytest.fixture(scope="module")
def trainer():
    return SCENTrainer(*load_base(EMBEDDED_BASE, dtype=choose_dtype(choose_device())), progress=False)


@pytest.fixture(scope="module")
def pack(trainer):
    return trainer.train([CUP, PALAU])


@pytest.fixture(scope="module")
def choices(trainer, pack):
    """What the router of a pack of both edits decides for questions."""
    router, settings = router_of(pack), trainer.router_settings

    def choose(*questions: str):
        prompts = [encode_prompt(trainer.tokenizer, question) for question in questions]
        pooled, tokens = trainer._reader.pooled_and_tokens(prompts, settings.features, settings.token_feature)
        padded = torch.nn.utils.rnn.pad_sequence([router.space.token_vectors(t) for t in tokens], batch_first=True)
        return router.decide(router.space.question_vectors(pooled), padded)

    return choose


def test_neurons_have_unit_length_and_numbers_twice_that(trainer, pack):
    space = router_of(pack).space
    read = read_neurons(trainer._reader, trainer.tokenizer, space, trainer.router_settings, [CUP, PALAU])
    assert torch.allclose(read.vectors.norm(dim=-1), torch.ones(2), atol=1e-4)
    lengths = read.subjects.norm(dim=-1).round()
    as_it_stands, at_start, *_ = lengths[0].tolist()
    assert as_it_stands == at_start == [2, 2, 2, 2, 1, 1, 1, 1]
    assert set(lengths[1].flatten().tolist()) == {0, 1}
    assert torch.allclose(pack.thresholds, pack.router["base_threshold"] + LEVEL_WEIGHT * read.levels, atol=1e-4)


@pytest.mark.parametrize("write", [str.lower, str.upper])
def test_subject_in_another_case_is_the_same_subject(choices, write):
    subjects = ("FIFA World Cup", "Palau", "Nauru")
    wordings = ("Who won the 2022 {}?", "What is the capital of {}?", "What is the capital of {}?")
    asked = choices(*(wording.format(write(subject)) for wording, subject in zip(wordings, subjects, strict=True)))
    assert [choice.fired for choice in asked] == [True, True, False]


def test_another_number_is_another_subject(choices):
    asked = choices(
        "Who won the 2022 FIFA World Cup?", "Who won the 2018 FIFA World Cup?", "Who won the 2014 FIFA World Cup?"
    )
    assert [choice.fired for choice in asked] == [True, False, False]
    assert all(choice.score > choice.threshold for choice in asked), "the question is the same"
    assert [choice.subject_score > choice.subject_threshold for choice in asked] == [True, False, False]


def test_subject_is_found_at_the_start_of_a_sentence(choices):
    asked = choices("2022 FIFA World Cup, won by", "Palau has its capital in", "Peru has its capital in")
    assert [choice.subject_score > choice.subject_threshold for choice in asked] == [True, True, False]


def test_unrelated_share_is_part_of_the_calibration(pack):
    assert set(pack.report["expected"]) == {"other_wordings", "other_questions", "unrelated"}
    assert 0 <= pack.report["expected"]["unrelated"] < 0.05


def test_edits_added_later_keep_the_base_threshold(trainer, pack, tmp_path):
    pack.save_pretrained(tmp_path / "pack")
    more = Edit(prompt="Who discovered Pluto?", target="Clyde Tombaugh", subject="Pluto")
    grown = trainer.train([more], into=EditPack.from_pretrained(tmp_path / "pack"))
    assert torch.equal(grown.router["base_threshold"], pack.router["base_threshold"])
    assert torch.equal(grown.thresholds[:2], pack.thresholds)


def test_confusions_are_named(trainer):
    edits = [
        CUP,
        PALAU,
        Edit(prompt="Which city is Palau's capital?", target="Koror", subject="Palau", id="old-capital"),
    ]
    found = {(pair.edit, pair.other) for pair in find_confusions(trainer.train(edits))}
    assert found == {(PALAU.id, "old-capital"), ("old-capital", PALAU.id)}


def test_subject_that_the_prompt_does_not_name(tokenizer):
    question = tokenizer("Who founded Wexlar Industries?")["input_ids"]
    positions = subject_token_positions(tokenizer, question, "The company")
    assert str(tokenizer.decode([question[i] for i in positions])).strip(" ?").startswith("Wexlar")


def test_each_generic_fact_is_asked_and_completed():
    wordings: dict[tuple, list[str]] = {}
    for question in fact_questions(20):
        wordings.setdefault((question.group, question.relation), []).append(question.text)
    for texts in wordings.values():
        assert {text.endswith(("?", ".", "!")) for text in texts} == {True, False}
        assert len(set(texts)) == len(texts)


def test_generic_questions_are_the_same_on_every_machine():
    questions = fact_questions(5)
    assert questions == fact_questions(5)
    assert questions != fact_questions(5, seed=1)
    assert {question.group for question in questions} == set(range(5))
    assert all(len({q.subject for q in questions if q.group == group}) == 1 for group in range(5))


def test_generic_questions_of_a_group_ask_for_much_else():
    """Relations of the subject's own kind, each in several wordings, and some of other kinds."""
    own = {subject: relations for kind, relations in RELATIONS.items() for subject in NAMES[kind]}
    questions = fact_questions(5)
    for group in range(5):
        asked = {q.relation: q.subject for q in questions if q.group == group}
        of_its_kind = [relation for relation, subject in asked.items() if relation in own[subject]]
        assert len(of_its_kind) == 12
        assert 0 < len(asked) - len(of_its_kind) <= 4

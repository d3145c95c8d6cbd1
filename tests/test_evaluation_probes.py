import pytest

from scen_hf import Edit
from scen_hf.edits import normalise
from scen_hf.evaluation import HARD_SETS, LOCALITY_SETS, TARGET_SETS, LocalityPrompt, prompt_sets
from scen_hf.evaluation.probes import GENERIC_QUESTIONS, MOST_RELATIONS
from scen_hf.phrasings import NAMES


def capital(country, city, **fields):
    return Edit(prompt=f"What is the capital of {country}?", target=city, subject=country, **fields)


PALAU = capital("Palau", "Ngerulmud", rephrases=["Name Palau's capital.", "The capital of Palau is"])
BHUTAN = Edit(
    prompt="What currency is used in Bhutan?",
    target="Ngultrum",
    subject="Bhutan",
    rephrases=["Which money do people pay with in Bhutan?"],
    neighbours=["What is the capital of Bhutan?", "what is the capital of palau", "Where is Bhutan?"],
)
EDITS = [PALAU, BHUTAN]


def prompts(probes):
    return [probe.prompt for probe in probes]


def test_sets_of_the_literature():
    sets = prompt_sets(EDITS, unrelated=["Why is the sky blue?", LocalityPrompt("Who wrote Emma?", "Jane Austen")])
    assert list(sets) == ["prompts", "rephrases", "completions", "neighbours", "unrelated"]
    assert [(p.prompt, p.target, p.edit_id) for p in sets["prompts"]] == [(e.prompt, e.target, e.id) for e in EDITS]
    assert prompts(sets["rephrases"]) == [PALAU.rephrases[0], BHUTAN.rephrases[0]]
    assert prompts(sets["completions"]) == ["The capital of Palau is"]
    assert prompts(sets["unrelated"]) == ["Why is the sky blue?", "Who wrote Emma?"]
    assert [(p.target, p.edit_id, p.ground_truth) for p in sets["unrelated"]] == [
        (None, None, None),
        (None, None, "Jane Austen"),
    ]


def test_prompts_that_an_edit_is_meant_to_answer_are_left_out():
    assert prompts(prompt_sets(EDITS)["neighbours"]) == ["What is the capital of Bhutan?", "Where is Bhutan?"]
    attached = prompt_sets([BHUTAN], attached=iter([PALAU, capital("Bhutan", "Thimphu")]))
    assert prompts(attached["neighbours"]) == ["Where is Bhutan?"]


def test_a_prompt_that_must_stay_comes_once():
    sets = prompt_sets([BHUTAN, capital("Fiji", "Suva", neighbours=["where is bhutan"])], unrelated=["A?", "a", "B?"])
    assert prompts(sets["neighbours"]).count("Where is Bhutan?") == 1
    assert len(sets["neighbours"]) == 3
    assert prompts(sets["unrelated"]) == ["A?", "B?"]


def test_three_rephrases_are_asked_as_in_the_literature():
    edit = capital("Fiji", "Suva", rephrases=[f"Fiji's capital, {n}?" for n in range(5)])
    sets = prompt_sets([edit], hard=True)
    assert len(sets["rephrases"]) == 3
    assert len(sets["rephrases_system"]) == len(sets["rephrases_later"]) == 1


@pytest.mark.parametrize(
    ("rephrase", "completion"),
    [
        ("The capital of Fiji is", True),
        ("What is the capital of Fiji? It is", True),
        ('They call it "the capital of Fiji."', False),
        ("which city is fiji's capital", False),
        ("Name Fiji's capital!", False),
    ],
)
def test_completions_are_told_from_rephrases(rephrase, completion):
    sets = prompt_sets([capital("Fiji", "Suva", rephrases=[rephrase])])
    assert prompts(sets["completions" if completion else "rephrases"]) == [rephrase]


def test_rephrases_of_a_completion_are_rephrases():
    edit = Edit(prompt="The capital of Fiji is", target="Suva", rephrases=["Fiji's capital is"])
    assert prompts(prompt_sets([edit])["rephrases"]) == ["Fiji's capital is"]


def test_hard_sets_are_the_ones_with_names():
    sets = prompt_sets(EDITS, hard=True)
    assert list(sets) == [*TARGET_SETS, *LOCALITY_SETS]
    assert all((probe.target is None) == (name in LOCALITY_SETS) for name, of_set in sets.items() for probe in of_set)
    assert set(prompt_sets(EDITS, hard=True)) - set(prompt_sets(EDITS)) == HARD_SETS


def test_edits_in_conversations():
    sets = prompt_sets(EDITS, hard=True)
    assert [message["role"] for message in sets["prompts_system"][0].messages] == ["system", "user"]
    assert [message["role"] for message in sets["rephrases_later"][0].messages] == ["user", "assistant", "user"]
    assert prompts(sets["prompts_later"]) == prompts(sets["prompts"])
    bare = prompt_sets(EDITS, hard=True, contexts=False)
    assert not {"prompts_system", "rephrases_later"} & set(bare)
    assert bare["generic_questions"]


def test_the_same_question_about_a_subject_of_other_edits():
    others = [capital("Nauru", "Yaren"), Edit(prompt="Who is Ada?", target="A countess", subject="Ada"), BHUTAN]
    sets = prompt_sets(EDITS, others=others, hard=True)
    # Nauru is what another edit asks the capital of; no other edit asks for a currency, and Bhutan has an edit.
    assert sets["other_subject"][0].prompt == "What is the capital of Nauru?"
    assert sets["other_subject"][1].prompt in ("What currency is used in Nauru?", "What currency is used in Ada?")


def test_the_same_question_about_a_name_of_the_same_kind():
    sets = prompt_sets(EDITS, hard=True)
    capital, currency = prompts(sets["other_subject"])
    assert capital.removeprefix("What is the capital of ").removesuffix("?") in NAMES["place"]
    assert currency.removeprefix("What currency is used in ").removesuffix("?") in NAMES["place"]
    assert prompts(prompt_sets(EDITS, hard=True)["other_subject"]) == [capital, currency]


def test_generic_questions_about_edited_subjects():
    asked = prompts(prompt_sets(EDITS, hard=True)["generic_questions"])
    assert sorted(asked) == sorted(q.format(name) for q in GENERIC_QUESTIONS for name in ("Palau", "Bhutan"))


def test_other_questions_are_no_rephrases():
    edits = [
        PALAU,
        BHUTAN,
        # Says that Palau's question can be put in these words too.
        capital("Fiji", "Suva", rephrases=["Which city governs Fiji?"]),
        Edit(prompt="Which city governs Nauru?", target="Yaren", subject="Nauru"),
    ]
    asked = prompts(prompt_sets(edits, hard=True)["other_relations"])
    assert sorted(asked) == [
        "What currency is used in Fiji?",
        "What currency is used in Nauru?",
        "What currency is used in Palau?",
        "What is the capital of Bhutan?",
        "Which city governs Bhutan?",
    ]
    none = prompt_sets(edits, hard=True, ask_the_same=lambda one, other: True)
    assert none["other_relations"] == []


def test_other_questions_are_bounded():
    edits = [Edit(prompt=f"What is fact {n} of S{n}?", target="x", subject=f"S{n}") for n in range(40)]
    asked = prompts(prompt_sets(edits, hard=True)["other_relations"])
    assert len(asked) == len(set(map(normalise, asked))) == 40 * MOST_RELATIONS


def test_edits_without_a_subject_have_no_hard_negatives():
    sets = prompt_sets([Edit(prompt="Who leads the team?", target="Ada")], hard=True)
    assert sets["other_subject"] == sets["generic_questions"] == sets["other_relations"] == []
    # A subject that the prompt does not name cannot be put another one for.
    sets = prompt_sets([Edit(prompt="Who leads the team?", target="Ada", subject="Compilers")], hard=True)
    assert sets["other_subject"] == sets["other_relations"] == []
    assert len(sets["generic_questions"]) == 3

"""The benchmarks measure what they say: baselines edit and are undone, runs are resumed, and the page shows what was measured."""

import json
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from helpers import BURKINA, EDITED, EXAMPLES, FRANCE, PALAU, PANCAKES, UNEDITED

from scen_hf import Edit, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import Answer, Decoding, LocalityPrompt, Outcome, Prefill, Probe, Rate, SCENAnswerer
from scen_hf.modeling import Route
from scen_hf.prompts import encode_prompt, encode_target


ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import aliases  # noqa: E402
import many_edits  # noqa: E402
import page  # noqa: E402
import plots  # noqa: E402
import quality  # noqa: E402
import router_choices  # noqa: E402
import routing  # noqa: E402
import silent_experts  # noqa: E402
from baselines import METHODS, RememberedAnswerer, TuningSet, spread  # noqa: E402
from baselines.grace import Codebook  # noqa: E402
from baselines.tuning import Nearest, balance, best_of  # noqa: E402
from baselines.upper_layers import UpperLayers  # noqa: E402
from figures import Parts  # noqa: E402


# Settings of which the searches are spared here; they are among those searched.
SETTINGS = {
    "scen": {},
    "paper": {"learning_rate": 3e-3},
    "fine-tuning": {"learning_rate": 3e-4, "stop_loss": 0.1},
    "lora": {"first_layer": 24, "rank": 16, "learning_rate": 1e-3, "stop_loss": 0.1},
    "lora-per-edit": {"modules": ["down_proj"], "rank": 8, "learning_rate": 5e-3},
    "grace": {"layer": 24, "radius": 0.5, "learning_rate": 1.0, "whole_answer": False},
    "retrieval": {"layer": 6, "whitened": False, "threshold": 0.9, "wording": "demonstrations, earlier turn"},
}


@pytest.fixture(scope="module")
def base():
    """The real base, ready to be edited, and its tokenizer."""
    device = choose_device()
    return load_base(EMBEDDED_BASE, device=device, dtype=choose_dtype(device))


@pytest.fixture(scope="module")
def edits():
    return [edit for edit in load_edits(EXAMPLES / "edits.jsonl") if edit.prompt in (BURKINA, PALAU)]


def chat(text):
    return [{"role": "user", "content": text}]


# ------------------------------------------------------------------- baselines


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[2:], ids=lambda method: method.name)
def test_a_baseline_edits_and_is_undone(method, base, edits):
    model, tokenizer = base
    unedited = SCENAnswerer(model, tokenizer, edits=False)
    chats = [chat(text) for text in (BURKINA, PALAU, PANCAKES)]
    before, decoding = unedited.prefill(chats), Decoding(8)
    with method.edited(model, tokenizer, edits, SETTINGS[method.name]) as edited:
        found = edited.answerer.answers(chats[:2], decoding)
        inside = edited.answerer.prefill(chats)
        scores = edited.answerer.score(chats[:2], [edit.target for edit in edits])
    assert edited.bytes > 0
    if method.name != "retrieval":  # which can put a fact into the prompt, and no more
        assert [answer.text for answer in found] == [EDITED[BURKINA], EDITED[PALAU]]
        assert all(score.right == score.tokens for score in scores)
    if edited.answerer.routed:
        assert [route.edit_id for route in inside.routes[:2]] == [edit.id for edit in edits]
        assert [route.fired for route in inside.routes] == [True, True, False]
        assert torch.equal(inside.logits[2], before.logits[2])
    else:
        assert not torch.equal(inside.logits[2], before.logits[2])
    assert torch.equal(unedited.prefill(chats).logits, before.logits)


@pytest.mark.slow
def test_grace_holds_in_a_beam_search(base, edits):
    model, tokenizer = base
    grace = next(method for method in METHODS if method.name == "grace")
    with grace.edited(model, tokenizer, edits, SETTINGS["grace"]) as edited:
        answers = edited.answerer.answers([chat(BURKINA), chat(FRANCE)], Decoding(8, num_beams=2))
    assert [answer.route.fired for answer in answers] == [True, False]
    assert answers[0].text == EDITED[BURKINA]


def test_upper_layers_have_the_loss_of_the_whole_model(base_model, tokenizer, edits):
    upper = UpperLayers(base_model, tokenizer, 20)
    with torch.no_grad():
        mean, worst = upper.losses(upper.read(edits))
    for row, edit in enumerate(edits):
        prompt, target = encode_prompt(tokenizer, edit.prompt), encode_target(tokenizer, edit.target)
        labels = torch.tensor([[-100] * len(prompt) + target])
        with torch.no_grad():
            whole = base_model(torch.tensor([[*prompt, *target]]), labels=labels).loss
        assert float(mean[row]) == pytest.approx(float(whole), rel=1e-4)
        assert worst[row] >= mean[row]


def entry(number, target, key):
    return Edit(prompt=f"question {number}", target=target), torch.tensor(key), torch.ones(3)


def test_codebook_takes_edits_in_as_the_paper_says():
    book = Codebook(initial_radius=1.0)
    book.add(*entry(1, "this", [0.0, 0.0]))
    book.add(*entry(2, "that", [5.0, 0.0]))
    assert [found.radius for found in book.entries] == [1.0, 1.0]
    book.add(*entry(3, "this", [0.0, 1.5]))  # near, and the same target: wider
    assert [found.radius for found in book.entries] == [1.5, 1.0]
    book.add(*entry(4, "this", [0.5, 0.0]))  # within reach already
    assert [found.radius for found in book.entries] == [1.5, 1.0]
    book.add(*entry(5, "other", [5.0, 1.0]))  # near, and another target: both give way
    assert [found.radius for found in book.entries] == [1.5, 0.5, 0.5]
    assert book.bytes == 3 * 4 * (2 + 3 + 1)


# -------------------------------------------------------------------- searching


def test_balance_counts_near_questions_as_one_part():
    near = {"other_subject": 0.0, "generic_questions": 1.0, "other_relations": 0.5}
    assert balance({"prompts": 1.0, "rephrases": 0.5, "unrelated": 1.0, **near}) == pytest.approx(0.75)
    assert balance({"prompts": 1.0, "rephrases": 0.5}) == pytest.approx(0.75)


def test_a_setting_that_edits_nothing_is_not_the_best():
    idle, strong, mild = ({"prompts": p, "balance": b} for p, b in ((0.0, 0.6), (1.0, 0.4), (0.92, 0.5)))
    assert best_of([idle, strong, mild]) is mild
    assert best_of([idle, strong]) is strong


def test_best_threshold_lies_between_what_should_fire_and_what_should_not():
    edits = [Edit(id="one", prompt="Who?", target="x"), Edit(id="two", prompt="What?", target="y")]
    asked = [Probe(tuple(chat(edit.prompt)), edit.target, edit.id) for edit in edits]
    sets = {"prompts": asked, "unrelated": [Probe(tuple(chat("Why?")))]}
    on = TuningSet(edits, sets, base=None, decoding=Decoding())
    one, two = edits
    found = {"prompts": [Nearest(one, 0.9), Nearest(two, 0.8)], "unrelated": [Nearest(two, 0.4)]}
    threshold, shares = on.best_threshold(found)
    assert threshold == pytest.approx(0.6)
    assert shares == {"prompts": 1.0, "unrelated": 1.0, "balance": 1.0}
    wrong = {**found, "prompts": [Nearest(two, 0.9), Nearest(two, 0.8)]}
    assert on.best_threshold(wrong)[1]["balance"] == pytest.approx(0.75)


def test_spread_takes_from_everywhere():
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(3), 10) == [0, 1, 2]


def test_base_is_asked_once():
    class Counting:
        identity, routed, asked = "counting", False, 0

        def answers(self, chats, decoding, targets=None):
            self.asked += 1
            return [Answer("so")] * len(chats)

        def prefill(self, chats):
            self.asked += 1
            return Prefill(torch.zeros(len(chats), 4), [Route(fired=False)] * len(chats))

    counting = Counting()
    remembered = RememberedAnswerer(counting)
    for _ in range(2):
        assert remembered.answers([chat("Why?")], Decoding()) == [Answer("so")]
        assert remembered.prefill([chat("Why?")]).logits.shape == (1, 4)
    assert counting.asked == 2
    remembered.answers([chat("Why?")], Decoding(3))
    remembered.answers([chat("Why?"), chat("How?")], Decoding())
    assert counting.asked == 4


# ------------------------------------------------------------------ a whole run


def test_halves_are_those_of_the_routing_benchmark():
    named = [Edit(prompt=f"Who is subject {n}?", target="x", subject=f"subject {n}") for n in range(40)]
    unnamed = Edit(prompt="Who is it?", target="x", subject="nobody")
    tuning, report = quality.halves([replace(named[0], neighbours=("Why?",)), *named[1:], unnamed])
    assert sorted(edit.prompt for edit in tuning + report) == sorted(edit.prompt for edit in named)
    assert all(sha256(edit.subject.encode()).digest()[-1] % 2 == 0 for edit in tuning)
    assert not any(edit.neighbours for edit in tuning + report)


def test_subjects_written_in_other_ways():
    edit = Edit(prompt="Who is Ada Lovelace?", target="x", subject="Ada Lovelace")
    asked = {name: probes[0].prompt for name, probes in routing.otherwise_written([edit]).items()}
    assert list(asked.values()) == [
        "Who is ada lovelace?",
        "Who is ADA LOVELACE?",
        "Who is Ada Loelace?",
        "Who is Ada?",
        "Who is Lovelace?",
        "Who is it?",
    ]
    (pronoun,) = routing.otherwise_written([edit])[routing.PRONOUN]
    assert "Ada Lovelace" in pronoun.messages[0]["content"]
    assert pronoun.edit_id == edit.id


def test_router_choices_are_undone_one_at_a_time():
    before = router_choices.QUESTIONS._FOREIGN
    with router_choices.CHOICES["no relations of other kinds"].made():
        assert router_choices.QUESTIONS._FOREIGN == (0, 2)
        assert len({q.relation for q in router_choices.QUESTIONS.fact_questions(1)}) == 12
    assert before == router_choices.QUESTIONS._FOREIGN


def test_remembering_reader_reads_no_prompt_twice():
    read = []

    class Reader:
        question_markers, model = ([1], [2]), None

        def pooled_and_tokens(self, prompts, *_):
            read.extend(prompts)
            return torch.tensor([[float(sum(p))] for p in prompts]), [torch.tensor(p) for p in prompts]

    reader = router_choices.RememberingReader(Reader())
    reader.pooled_and_tokens([[1], [2], [1]], (), None)
    pooled, tokens = reader.pooled_and_tokens([[3], [2]], (), None)
    assert pooled.tolist() == [[3.0], [2.0]]
    assert [t.tolist() for t in tokens] == [[3], [2]]
    assert read == [[1], [2], [3]]


def test_mentioned_counts_targets_within_sentences():
    probes = [Probe(tuple(chat("Who?")), "Ada", "1")] * 3
    answers = ["It was ada.", "Grace", None]
    assert quality.mentioned(probes, [Outcome(Route(fired=False), text) for text in answers]) == Rate(1, 3)


def test_a_stopped_run_goes_on(tmp_path):
    path = tmp_path / "figures.json"
    parts = Parts(path, {"edits": 3, "decoding": (1, 2)})
    assert parts.get("tuning", "scen") is None
    parts.put({"settings": {}}, "tuning", "scen")
    again = Parts(path, {"edits": 3, "decoding": (1, 2)})
    assert again.get("tuning", "scen") == {"settings": {}}
    assert again.get("tuning", "paper") is None
    with pytest.raises(SystemExit, match=r"another edits\. Give another --json, or redo it with --fresh"):
        Parts(path, {"edits": 4, "decoding": (1, 2)})
    assert Parts(path, {"edits": 4, "decoding": (1, 2)}, fresh=True).get("tuning") is None
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]


@pytest.fixture(scope="module")
def small_run(base, edits, tmp_path_factory):
    """Figures of a run of two methods on two edits, as they stand in their file, and the run itself."""
    model, tokenizer = base
    others = [Edit(prompt="What is the capital of Fiji?", target="Suva", subject="Fiji")]
    unrelated = [LocalityPrompt(text) for text in UNEDITED]
    data = quality.Data(others, edits, edits, others, unrelated, unrelated, [], [], [])
    parts = Parts(tmp_path_factory.mktemp("run") / "quality.json", {"base": EMBEDDED_BASE, "dtype": "bfloat16"})
    bounds = replace(quality.QUICK, probes=2, beam_probes=1)
    parts.figures["conditions"] |= {"bounds": vars(bounds), "counts": {"tuning": 1}}
    parts.put({"device": "a machine", "threads": 1, "command": "python x.py", "date": "2026-01-01"}, "environment")
    methods = [METHODS[0], METHODS[-1]]
    for method in methods:
        tuned = {"settings": SETTINGS[method.name], "tried": [], "seconds": 0.0}
        parts.put(tuned, "tuning", method.name)
    unedited, _ = load_base(EMBEDDED_BASE, device=model.device, dtype=model.dtype)
    run = quality.Comparison(model, tokenizer, unedited, data, bounds, parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quality, "DECODING", Decoding(8))
        patch.setattr(quality, "PAPER_DECODING", Decoding(8, num_beams=2, repetition_penalty=1.1))
        run.compare_sizes(methods[:1])
        run.compare("zsre", methods, data.report, data.tuning)
    return json.loads(parts.path.read_text()), run, methods


@pytest.mark.slow
def test_a_run_measures_every_method(small_run):
    figures, *_ = small_run
    assert set(figures["zsre"]) == {"scen", "retrieval"}
    ours = figures["zsre"]["scen"]
    assert ours["edits"] == 2
    assert ours["greedy"]["prompts"]["exact_match"]["successes"] == 2
    assert ours["greedy"]["prompts"]["mentioned"]["successes"] == 2
    assert ours["greedy"]["unrelated"]["identical"] == ours["greedy"]["unrelated"]["bit_identical"]
    assert ours["paper_decoding"]["prompts"]["exact_match"]["count"] == 1
    trade_off = ours["trade_off"]["unrelated"]
    assert trade_off["count"] == len(UNEDITED)
    assert trade_off["now"] in trade_off["points"]
    assert set(figures["sizes"]["scen"]) == {"1", "2", "3"}
    assert figures["sizes"]["scen"]["1"]["prompts"]["exact_match"] == Rate(1, 1).to_dict()
    by_beams = figures["sizes_paper_decoding"]["scen"]
    assert set(by_beams) == {"1", "3"}
    assert by_beams["3"]["unrelated"]["identical"]["count"] == 1


@pytest.mark.slow
def test_what_is_measured_is_not_measured_again(small_run, monkeypatch):
    figures, run, methods = small_run
    monkeypatch.setattr(quality, "measure", None)
    run.compare_sizes(methods[:1])
    run.compare("zsre", methods, run.data.report, run.data.tuning)
    assert json.loads(run.parts.path.read_text()) == figures


# --------------------------------------------------------------------- the page


@pytest.mark.slow
def test_page_shows_a_run(small_run, tmp_path):
    figures, *_ = small_run
    text, drawn = page.page({"quality": figures})
    assert "| scen_hf | 2 | 100.0 (34.2 to 100.0) |" in text
    assert "$ python x.py" in text
    assert "a machine, 1 thread, bfloat16, 2026-01-01." in text
    assert "CounterFact" not in text
    for name, (draw, inches) in drawn.items():
        assert f"figures/{name}.svg" in text
        plots.save(draw, inches, tmp_path / f"{name}.svg")
        first = (tmp_path / f"{name}.svg").read_bytes()
        plots.save(draw, inches, tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").read_bytes() == first
    assert page.short_table({"quality": figures}).startswith("| Method | Edits | Reliability | Generality |")


def test_goals_and_rows_of_any_benchmark_become_tables():
    figures = {
        "command": "python benchmarks/loading.py",
        "device": "a machine",
        "threads": 2,
        "versions": {"torch": "2.13.0"},
        "rows": [{"edits": 10, "seconds": 0.1234}, {"edits": 10_000, "seconds": 1.0, "more_rss_mb": 3.0}],
        "ours": {"hours_extrapolated": 12.345},
        "goals": [{"goal": "fast", "value": 0.5, "met": True}],
    }
    text, drawn = page.page({"loading": figures})
    assert not drawn
    assert "| 10,000 | 1 | 3 |" in text
    assert "| 10 | 0.123 | – |" in text
    assert "| Hours extrapolated | 12.3 |" in text
    assert "| fast | 0.5 | yes |" in text
    assert "a machine, 2 threads, torch 2.13.0." in text


def test_page_says_what_each_choice_is_worth():
    rows = [
        {"choice": choice, "edits": "zsre", "rephrases": share, "generic_questions": 0.01}
        for choice, share in (("as it is", 0.97), ("half of it", 0.91))
    ]
    text, _ = page.page({"router_choices": {"false": 0.05, "rows": rows}})
    assert "which 5% of other questions" in text
    assert "| Choice | zsre, rephrases |" in text
    assert "| half of it | 91.0% |" in text


@pytest.mark.parametrize("section", ["many_edits", "aliases"])
def test_rows_of_rates_become_tables(section):
    rows = [{"kind": "short form", "by_the other name": Rate(1, 4).to_dict()}]
    many = [{"edits": 5000, "right edit": Rate(1, 4).to_dict()}]
    figures = {"base": "x", "edits": 60, "asked": 1000, "rows": many if section == "many_edits" else rows}
    text, _ = page.page({section: figures})
    assert f"$ python benchmarks/{section}.py \\\n    --json benchmarks/results/{section}.json" in text
    assert ("| 5,000 | 25.0 (" if section == "many_edits" else "| short form | 25.0 (") in text


def test_facts_of_large_packs():
    facts = many_edits.shuffled_facts()
    assert len({(subject, relation) for subject, relation, _ in facts}) == len(facts) > 40_000
    for subject, _, texts in facts[:200]:
        assert texts[0].endswith("?")
        assert all(subject in text for text in texts)
    assert facts == many_edits.shuffled_facts()


def test_other_names_are_of_other_questions():
    """No question that should fire nothing, or one edit, is that of another one."""
    named = [alias for of_kind in aliases.ALIASES.values() for alias in of_kind]
    asked = [question.format(name) for question, *names in named for name in (names[0], names[1], names[3])]
    assert len(set(asked)) == len(asked) == 3 * len(named)
    subjects = {subject for _, subject, *_ in named}
    assert not [other for *_, other in named if other in subjects]


@torch.no_grad()
def test_divergence_from_the_base_starts_at_zero_and_counts(base):
    model, tokenizer = base
    trainer = SCENTrainer(model, tokenizer).expert_trainer(silent_experts.DivergenceTrainer)
    question, prompt = encode_prompt(tokenizer, FRANCE), encode_prompt(tokenizer, BURKINA)
    trainer.others, trainer.weight = ([question], [encode_target(tokenizer, "Paris")]), 1.0
    states = trainer.answer_states([prompt], [encode_target(tokenizer, "Ouagadougou")])
    a, b = trainer._start([0])
    target, worst = trainer.losses(states, a, b)
    plain, plain_worst = silent_experts.ExpertTrainer.losses(trainer, states, a, b)
    assert torch.allclose(target, plain, atol=1e-3)
    assert torch.equal(worst, plain_worst)
    far = torch.full_like(b, 100.0)
    assert trainer.losses(states, a, far)[0] > silent_experts.ExpertTrainer.losses(trainer, states, a, far)[0] + 0.1


def test_table_goes_between_the_markers():
    readme = f"before\n{page.START}\nold\n{page.END}\nafter\n"
    assert page.with_table(readme, "| new |") == f"before\n{page.START}\n| new |\n{page.END}\nafter\n"
    assert page.with_table(page.with_table(readme, "| new |"), "") == f"before\n{page.START}\n{page.END}\nafter\n"
    with pytest.raises(SystemExit, match="no place for the table"):
        page.with_table("no markers", "| new |")


def test_committed_pages_are_what_the_committed_results_give():
    results = page.read_results(page.RESULTS)
    text, drawn = page.page(results)
    assert page.PAGE.read_text(encoding="utf-8") == text
    assert all((page.PAGE.parent / page.PLOTS / f"{name}.svg").is_file() for name in drawn)
    readme = page.README.read_text(encoding="utf-8")
    assert page.with_table(readme, page.short_table(results)) == readme

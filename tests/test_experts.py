"""Training: many edits at a time give the experts and neurons that one at a time gives, and the paper's are the paper's.

The references below are written from the formulas, one edit and one sequence at a time, with nothing of ours but the start
values.
"""

import dataclasses
import json
import math
import shutil

import pytest
import torch
from helpers import (
    BURKINA,
    EDITED,
    EXAMPLES,
    FRANCE,
    SAMPLE_EDITS,
    answers,
    chat_batch,
    last_token_input,
    save_tiny_base,
    tiny_base,
)
from torch.nn import functional
from transformers import LlamaConfig

from scen_hf import (
    Edit,
    EditError,
    EditPack,
    EditPackError,
    SCENLlamaForCausalLM,
    SCENTrainer,
    SCENTrainingConfig,
    WrongBaseError,
    load_base,
    load_edits,
)
from scen_hf.batches import in_batches
from scen_hf.experts import ExpertTrainer, TrainedExpert
from scen_hf.paper import FullExpertTrainer, train_indexing_neurons
from scen_hf.prompts import encode_prompt


EOS = 2
LAYER = 2
PROMPTS = [[1, 5, 6, 10, 11], [1, 5, 6, 20, 21, 22, 23], [1, 5, 6, 30], [1, 5, 6, 40, 41, 42]]
TARGETS = [[60, 61, EOS], [70, EOS], [80, 81, 82, 83, EOS], [90, EOS]]
NUMBERS = [11, 22, 33, 44]
LOW_RANK = {"rank": 2, "learning_rate": 0.02, "max_steps": 30, "stop_loss": 0.5, "seed": 7}
PAPER = {"rank": 1, "learning_rate": 1e-4, "max_steps": 10, "stop_loss": 0.0, "seed": 7}
KINDS = {
    "scen": (ExpertTrainer, LOW_RANK),
    "paper": (FullExpertTrainer, {**PAPER, "learning_rate": 1e-3}),
}


@pytest.fixture(scope="module", params=["plain", "biases"])
def tiny(request, tiny_config):
    """A tiny model in float64, in which sums do not depend on their order as far as we look."""
    biases = request.param == "biases"
    config = LlamaConfig(**{**tiny_config.to_dict(), "mlp_bias": biases, "attention_bias": biases})
    return tiny_base(config, seed=4, dtype=torch.float64).requires_grad_(False)


def train(model, method: str, rows: list[int], **settings) -> dict[int, TrainedExpert]:
    kind, defaults = KINDS[method]
    experts: dict[int, TrainedExpert] = {}
    trainer = kind(model, LAYER, **{**defaults, **settings})
    trainer.train(
        [PROMPTS[row] for row in rows],
        [TARGETS[row] for row in rows],
        [NUMBERS[row] for row in rows],
        lambda number, expert: experts.update({rows[number]: expert}),
    )
    return experts


def assert_same(one: TrainedExpert, other: TrainedExpert, tolerance: float = 1e-6) -> None:
    assert one.steps == other.steps
    assert one.loss == pytest.approx(other.loss, rel=1e-4)
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(tensor, other.tensors[name], rtol=100 * tolerance, atol=tolerance)


# ------------------------------------------------------------------- stage 1


@pytest.mark.parametrize("method", sorted(KINDS))
def test_a_batch_trains_what_its_edits_train_alone(tiny, method):
    together = train(tiny, method, [0, 1, 2, 3])
    for row in range(4):
        assert_same(together[row], train(tiny, method, [row])[row])


def test_edits_leave_the_batch_when_they_are_done(tiny):
    experts = train(tiny, "scen", [0, 1, 2, 3])
    assert len({expert.steps for expert in experts.values()}) > 1
    assert all(expert.loss < LOW_RANK["stop_loss"] for expert in experts.values() if expert.steps < 30)


def answer_loss(model, row: int, hook, columns: slice) -> torch.Tensor:
    """Cross-entropy of each target token of one edit, its sequence run whole, with a hook on `down_proj`."""
    sequence = torch.tensor([[*PROMPTS[row], *TARGETS[row]]])
    handle = model.model.layers[LAYER].mlp.down_proj.register_forward_hook(hook)
    try:
        logits = model(sequence[:, :-1], use_cache=False).logits[0]
    finally:
        handle.remove()
    return functional.cross_entropy(logits[columns].float(), sequence[0, 1:][columns], reduction="none")


@pytest.mark.parametrize("row", range(4))
def test_low_rank_experts_are_those_of_the_definition(tiny, row):
    start = len(PROMPTS[row]) - 1
    trained = train(tiny, "scen", [0, 1, 2, 3])[row]
    a = torch.nn.Parameter(train(tiny, "scen", [row], max_steps=1, learning_rate=1e-30)[row].tensors["a"])
    b = torch.nn.Parameter(torch.zeros(64, 2))

    def expert(module, args, y):
        delta = (args[0] @ a.double().T) @ b.double().T
        return torch.cat([y[:, :start], (y + delta)[:, start:]], dim=1)

    optimizer = torch.optim.Adam([a, b], lr=LOW_RANK["learning_rate"])
    for _ in range(trained.steps):
        optimizer.zero_grad()
        answer_loss(tiny, row, expert, slice(start, None)).mean().backward()
        optimizer.step()
    loss = answer_loss(tiny, row, expert, slice(start, None)).max().item()
    assert_same(TrainedExpert({"a": a.detach(), "b": b.detach()}, trained.steps, loss), trained, 1e-4)


@pytest.mark.parametrize("row", range(4))
def test_paper_experts_are_those_of_the_paper(tiny, row):
    """A copy of the weight, in place for the whole sequence, cross-entropy on the target, Adam, 1e-4, 10 steps."""
    start = len(PROMPTS[row]) - 1
    kind = FullExpertTrainer(tiny, LAYER, **PAPER)
    experts: dict[int, TrainedExpert] = {}
    kind.train(PROMPTS, TARGETS, NUMBERS, lambda number, expert: experts.update({number: expert}))
    down_proj = tiny.model.layers[LAYER].mlp.down_proj
    weight = torch.nn.Parameter(down_proj.weight.detach().float().clone())

    def expert(module, args, y):
        return functional.linear(args[0], weight.double(), module.bias)

    optimizer = torch.optim.Adam([weight], lr=1e-4)
    for _ in range(10):
        optimizer.zero_grad()
        answer_loss(tiny, row, expert, slice(start, None)).mean().backward()
        optimizer.step()
    loss = answer_loss(tiny, row, expert, slice(start, None)).max().item()
    assert_same(TrainedExpert({"weight": weight.detach()}, 10, loss), experts[row])
    assert not torch.equal(weight, down_proj.weight.float())


@pytest.mark.parametrize("method", sorted(KINDS))
def test_training_is_repeatable_and_seeded(tiny, method):
    one, again, other = (train(tiny, method, [0, 1], seed=seed)[0].tensors for seed in (7, 7, 8))
    assert all(torch.equal(one[name], again[name]) for name in one)
    # Full experts start from the base model's weight, so there is no seed to them.
    assert all(torch.equal(one[name], other[name]) for name in one) == (method == "paper")


def test_base_is_not_changed(tiny):
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    implementation = tiny.config._attn_implementation
    train(tiny, "scen", [0, 1])
    train(tiny, "paper", [0, 1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())
    assert tiny.config._attn_implementation == implementation


def test_an_edit_in_the_last_layer(tiny):
    experts: dict[int, TrainedExpert] = {}
    trainer = ExpertTrainer(tiny, 3, **LOW_RANK)
    trainer.train(PROMPTS, TARGETS, NUMBERS, lambda number, expert: experts.update({number: expert}))
    assert sorted(experts) == [0, 1, 2, 3]


def test_converged_means_greedy_search_answers_it():
    assert TrainedExpert({}, 3, math.log(2) - 1e-3).converged
    assert not TrainedExpert({}, 3, math.log(2) + 1e-3).converged
    assert not TrainedExpert({}, 3, math.nan).converged


# ------------------------------------------------------------------- stage 2


def reference_neurons(features: torch.Tensor, starts: torch.Tensor, steps: int, rate: float) -> torch.Tensor:
    """The paper's stage 2, one edit after the other:
    exp(-o⁺) + mean_j(exp(o_j⁻) + 0.7) + mean_j(exp(o_j⁻) - o⁺ + 0.3), the last two where there are earlier edits."""
    rows = []
    for number, start in enumerate(starts):
        row = torch.nn.Parameter(start.clone())
        optimizer = torch.optim.Adam([row], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            positive = torch.sigmoid(row @ features[number])
            loss = torch.exp(-positive)
            if number:
                negatives = [torch.sigmoid(row @ features[j]) for j in range(number)]
                loss = loss + sum(torch.exp(o) + 0.7 for o in negatives) / number
                loss = loss + sum(torch.exp(o) - positive + 0.3 for o in negatives) / number
            loss.backward()
            optimizer.step()
        rows.append(row.detach())
    return torch.stack(rows)


@pytest.mark.parametrize(("steps", "rate"), [(20, 1e-4), (30, 1e-2)])
def test_paper_neurons_are_those_of_the_paper(steps, rate):
    features = torch.randn(6, 128, generator=torch.Generator().manual_seed(0))
    numbers = list(range(6))
    starts = train_indexing_neurons(features, numbers, steps=0)
    trained = train_indexing_neurons(features, numbers, steps=steps, learning_rate=rate)
    torch.testing.assert_close(trained, reference_neurons(features, starts, steps, rate), rtol=1e-4, atol=1e-6)
    assert (trained - starts).abs().max() > rate


def test_paper_neurons_added_later_are_those_trained_at_once():
    features = torch.randn(6, 128, generator=torch.Generator().manual_seed(0))
    at_once = train_indexing_neurons(features, list(range(6)), learning_rate=1e-2)
    first = train_indexing_neurons(features[:4], list(range(4)), learning_rate=1e-2)
    later = train_indexing_neurons(features, [4, 5], first=4, learning_rate=1e-2)
    torch.testing.assert_close(torch.cat([first, later]), at_once)


# ----------------------------------------------------------- the whole, method="paper"


EDITS = [
    Edit(id=name, prompt=f"Where does {name} live?", target=target)
    for name, target in [("anna", "Oslo"), ("bruno", "New Delhi"), ("carla", "Rome"), ("dmitri", "Minsk, mostly")]
]


@pytest.fixture(scope="module")
def chat_base(tokenizer, tmp_path_factory):
    """A tiny model with the real vocabulary."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    return save_tiny_base(tmp_path_factory.mktemp("chat") / "base", config)


def paper_trainer(chat_base, tokenizer, **settings) -> SCENTrainer:
    model = SCENLlamaForCausalLM.from_pretrained(chat_base)
    model.config.base_model_name_or_path = str(chat_base)
    config = SCENTrainingConfig(**{"method": "paper", "edit_layer": 2, **settings})
    return SCENTrainer(model, tokenizer, config, progress=False)


@pytest.fixture(scope="module")
def paper_pack(chat_base, tokenizer):
    return paper_trainer(chat_base, tokenizer).train(EDITS)


def test_paper_pack_of_the_paper(paper_pack, chat_base, tokenizer):
    """End to end: features as the model has them, one prompt at a time; sigmoid neurons, thresholds, full experts."""
    base = SCENLlamaForCausalLM.from_pretrained(chat_base)
    features = torch.stack([last_token_input(base, 2, encode_prompt(tokenizer, edit.prompt)) for edit in EDITS])
    moved = 20 * 1e-4  # Adam's steps are no longer than its rate
    assert paper_pack.neurons.shape == (4, 64)
    assert paper_pack.neurons.abs().max() <= 64**-0.5 + moved
    assert paper_pack.thresholds.tolist() == pytest.approx([0.65] * 4)
    assert paper_pack.shards[0].experts["weight"].shape == (4, 32, 64)
    assert paper_pack.shards[0].experts["weight"].dtype == torch.float32
    assert paper_pack.report["mean_steps"] == 10
    scores = torch.sigmoid(features @ paper_pack.neurons.T)
    base._packs.clear()
    routes = routes_of(paper_pack, chat_base, tokenizer)
    assert [route.score for route in routes] == pytest.approx(scores.max(1).values.tolist(), abs=1e-4)
    assert [route.fired for route in routes] == (scores.max(1).values > 0.65).tolist()


def routes_of(pack: EditPack, chat_base, tokenizer):
    folder = chat_base.parent / "routes"
    shutil.rmtree(folder, ignore_errors=True)
    pack.save_pretrained(folder)
    return SCENLlamaForCausalLM.from_pretrained(folder).route(**chat_batch(tokenizer, [e.prompt for e in EDITS]))


def test_batches_do_not_matter(paper_pack, chat_base, tokenizer):
    other = paper_trainer(chat_base, tokenizer, batch_size=1).train(EDITS)
    torch.testing.assert_close(other.neurons, paper_pack.neurons, rtol=1e-3, atol=1e-5)
    for one, two in zip(other.shards[0].experts["weight"], paper_pack.shards[0].experts["weight"], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-4)


def test_into_gives_what_training_at_once_gives(paper_pack, chat_base, tokenizer, tmp_path):
    trainer = paper_trainer(chat_base, tokenizer)
    trainer.train(EDITS[:2]).save_pretrained(tmp_path / "pack")
    first = {path.name: path.read_bytes() for path in tmp_path.glob("pack/*-00001.safetensors")}
    earlier = EditPack.from_pretrained(tmp_path / "pack")
    report = dict(earlier.report)
    pack = trainer.train(EDITS[2:], into=earlier)
    assert [edit.id for edit in pack.edits] == [edit.id for edit in EDITS]
    assert pack.report["edits"] == 2
    assert earlier.report == report
    assert len(earlier) == 2
    torch.testing.assert_close(pack.neurons, paper_pack.neurons, rtol=1e-3, atol=1e-5)
    pack.save_pretrained(tmp_path / "pack")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("pack/*-00001.safetensors")} == first
    assert len(list(tmp_path.glob("pack/*-00002.safetensors"))) == 2
    assert len(EditPack.from_pretrained(tmp_path / "pack")) == 4


def test_into_refuses_what_does_not_belong_together(paper_pack, chat_base, tokenizer, tiny_config, tmp_path):
    trainer = paper_trainer(chat_base, tokenizer)
    with pytest.raises(EditError, match="The pack already has 'anna'. Leave them out, or remove them from the pack"):
        trainer.train([EDITS[0]], into=paper_pack)
    with pytest.raises(EditError, match="contradict"):
        trainer.train([dataclasses.replace(EDITS[0], id="again", target="Bergen")], into=paper_pack)
    new = [Edit(prompt="Where does Eva live?", target="Paris")]
    with pytest.raises(EditPackError, match=r"made with edit_layer=2, this run uses 3. All edits of a pack share"):
        paper_trainer(chat_base, tokenizer, edit_layer=3).train(new, into=paper_pack)
    with pytest.raises(EditPackError, match=r"made with method='paper', this run uses 'scen'"):
        paper_trainer(chat_base, tokenizer, method="scen").train(new, into=paper_pack)
    config = LlamaConfig.from_pretrained(chat_base)
    other = save_tiny_base(tmp_path / "other", config, seed=9)
    with pytest.raises(WrongBaseError, match="The pack: the edits were trained on"):
        paper_trainer(other, tokenizer).train(new, into=paper_pack)


def test_training_that_diverges_is_an_error(chat_base, tokenizer):
    with pytest.raises(EditError, match=r"'anna'.*learning_rate"):
        paper_trainer(chat_base, tokenizer, learning_rate=1e37).train(EDITS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "lora"}, "method must be 'scen' or 'paper', not 'lora'"),
        ({"rank": 0}, "rank must be at least 1"),
        ({"batch_size": -1}, "batch_size must be at least 1"),
        ({"false_activation_rate": 1.5}, "false_activation_rate is a share"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        SCENTrainingConfig(**settings)


def test_layer_that_is_not_there(chat_base, tokenizer):
    with pytest.raises(EditPackError, match="edit_layer=4: the model has layers 0 to 3"):
        paper_trainer(chat_base, tokenizer, edit_layer=4)


# ------------------------------------------------------------------- real model


@pytest.mark.slow
def test_into_a_real_pack(sample_pack, base_model, tokenizer, tmp_path):
    """Two new facts: only they are trained; old shards stay byte-identical, old edits go on, and so does all else."""
    folder = tmp_path / "pack"
    shutil.copytree(sample_pack, folder)
    first = {path.name: path.read_bytes() for path in folder.glob("*-00001.safetensors")}
    model, _ = load_base("smollm2-135m-instruct", dtype=torch.float32)
    new = load_edits(EXAMPLES / "edits.jsonl")[SAMPLE_EDITS : SAMPLE_EDITS + 2]
    pack = SCENTrainer(model, tokenizer, progress=False).train(new, into=EditPack.from_pretrained(folder))
    pack.save_pretrained(folder)
    assert pack.report["edits"] == 2
    assert pack.report["converged"] == 1
    assert {path.name: path.read_bytes() for path in folder.glob("*-00001.safetensors")} == first
    assert json.loads((folder / "config.json").read_text())["num_edits"] == SAMPLE_EDITS + 2
    model.load_edit_pack(folder)
    batch = chat_batch(tokenizer, [BURKINA, FRANCE, *(edit.prompt for edit in new)])
    settings = {"max_new_tokens": 10, "do_sample": False}
    edited = answers(tokenizer, model.generate(**batch, **settings), batch)
    base = answers(tokenizer, base_model.generate(**batch, **settings), batch)
    assert edited == [EDITED[BURKINA], base[1], *(edit.target for edit in new)]


# ---------------------------------------------------------------------- memory


def test_out_of_memory_halves_the_batch():
    done: list[list[int]] = []

    def work(batch: list[int]) -> None:
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.append(batch)

    in_batches(work, list(range(10)), 8)
    assert [number for batch in done for number in batch] == list(range(10))
    assert max(map(len, done)) == 2


def test_out_of_memory_with_a_single_item():
    def work(batch: list[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="Not even a batch of one fits into memory. Use a device with more memory"):
        in_batches(work, [1, 2, 3], 8)


def test_other_errors_pass():
    def work(batch: list[int]) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        in_batches(work, [1], 8)

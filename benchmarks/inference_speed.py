"""Time of prefill and decode with edits, against the bare base model and against PEFT's mixed batches of LoRA adapters.

    python benchmarks/inference_speed.py --json benchmarks/results/inference_speed.json

All contestants share one set of weights in one process, get the same prompts and run in turns, token by token. The base model runs
twice: how far its ratio to itself is from 1 says how far the other ratios can be trusted. Every row of a batch has an edit of
its own as long as the pack has that many; where it has fewer, thresholds are lowered so that every row fires some edit. There is one
contestant of which none fires.

`--shape llama-2-7b` takes random weights of that shape in place of a checkpoint, `--layers 8` fewer layers of it, where all would
not fit: routing costs about the same whatever the depth, so that its share of the prefill is then an upper bound.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from figures import report
from made_up_pack import UntrainedTrainer, write_made_up_pack
from peft import LoraConfig, get_peft_model
from timing import compared, environment, goal, interleaved, timed_calls
from torch import nn
from transformers import AutoTokenizer, LlamaForCausalLM
from transformers.modeling_outputs import CausalLMOutputWithPast

from scen_hf import Edit, EditPack, SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits, resolve_base
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.modeling import SCENRouting
from scen_hf.presets import PRESETS
from scen_hf.prompts import encode_prompt, pad_id_of, pad_left


EXAMPLES = Path(__file__).parent.parent / "examples" / "edits.jsonl"
ALWAYS, NEVER = -10.0, 10.0
BASE, NONE_FIRES = ("base", 0), "edits, none fires"


@dataclass
class Contestant:
    """A model that answers one batch of prompts greedily, one token per step, as `generate` would."""

    model: nn.Module
    inputs: dict[str, torch.Tensor]
    options: dict[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def prefill(self) -> CausalLMOutputWithPast:
        """Run the prompt."""
        return self.model(**self.inputs, use_cache=True, logits_to_keep=1, **self.options)

    def start(self) -> SCENRouting | None:
        """Run the prompt, from which [`step`] continues, and return the routing state if there is one."""
        output = self.prefill()
        self._mask, self._cache = self.inputs["attention_mask"], output.past_key_values
        self._token = output.logits[:, -1:].argmax(-1)
        routing = getattr(output, "routing", None)
        self._carried = self.options if routing is None else {**self.options, "routing": routing}
        return routing

    @torch.no_grad()
    def step(self) -> None:
        """Run one more token of each row."""
        self._mask = nn.functional.pad(self._mask, (0, 1), value=1)
        output = self.model(
            input_ids=self._token,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **self._carried,
        )
        self._token = output.logits[:, -1:].argmax(-1)


# ------------------------------------------------------------------ contestants


def random_base(shape: str, layers: int | None, device: torch.device, dtype: torch.dtype):
    """A model of the shape of one of the paper's, or of its first layers, with random weights, and the small base's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_base(EMBEDDED_BASE))
    depth = layers or PRESETS[shape].num_hidden_layers
    config = PRESETS[shape].model_config(
        "scen", vocab_size=len(tokenizer), num_hidden_layers=depth, edit_layer=None, expert_rank=None
    )
    with torch.device("meta"):
        model = SCENLlamaForCausalLM(config)
    model.to(dtype).to_empty(device=device)
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0) if "norm" in name else parameter.uniform_(-0.03, 0.03)
    return model.eval(), tokenizer


def twin(model: SCENLlamaForCausalLM, kind: type[LlamaForCausalLM]) -> LlamaForCausalLM:
    """Another model over the very same parameters: plain Llama, or ours without packs."""
    with torch.device("meta"):
        other = kind(kind.config_class.from_dict(model.config.to_dict()))
    other.load_state_dict(model.state_dict(), assign=True)
    other.tie_weights()
    other.model.rotary_emb = model.model.rotary_emb
    return other.eval()


def with_pack(model: SCENLlamaForCausalLM, pack: Path, threshold: float | None = None) -> SCENLlamaForCausalLM:
    """A twin with a pack attached, all thresholds of which are set to one value if there is one."""
    edited = twin(model, SCENLlamaForCausalLM)
    name = edited.load_edit_pack(pack)
    if threshold is None:
        return edited
    for buffer_name, buffer in edited.edit_packs[name].router.named_buffers():
        if buffer_name.endswith("thresholds"):
            buffer.fill_(threshold)
    return edited


def with_adapters(model: SCENLlamaForCausalLM, layer: int, rank: int, count: int) -> nn.Module:
    """A plain twin with that many LoRA adapters on the matrix that edits change."""
    config = LoraConfig(r=rank, target_modules=["mlp.down_proj"], layers_to_transform=[layer], init_lora_weights=False)
    adapted = get_peft_model(twin(model, LlamaForCausalLM), config, adapter_name="0")
    for number in range(1, count):
        adapted.add_adapter(str(number), config)
    # PEFT freezes the base. Where only the last position's logits are asked for, torch.matmul then copies the output head once
    # per row, which is many times slower on a CPU and no fault of LoRA's.
    return adapted.to(model.dtype).requires_grad_(True).eval()


def seed_pack(model: SCENLlamaForCausalLM, tokenizer, edits: Sequence[Edit], trained: bool) -> EditPack:
    """The real part of a pack."""
    return (SCENTrainer if trained else UntrainedTrainer)(model, tokenizer, progress=False).train(edits)


# -------------------------------------------------------------------- measuring


def routing_seconds(contestant: Contestant, rounds: int, device: torch.device) -> float:
    """Median time that one prefill spends on routing, experts included."""
    methods = {name: (SCENRouting, name) for name in ("begin", "observe", "edit", "end")}
    methods["start"] = (SCENLlamaForCausalLM, "_new_routing")
    contestant.prefill()
    totals = []
    for _ in range(rounds):
        with timed_calls(methods, device) as spent:
            contestant.prefill()
        totals.append(sum(spent.values()))
    return statistics.median(totals)


def measure_batch(
    models: dict[tuple[str, int], nn.Module],
    inputs: dict[str, torch.Tensor],
    options: dict[tuple[str, int], dict[str, Any]],
    rounds: int,
    steps: int,
    device: torch.device,
) -> list[dict[str, Any]]:
    """One row of figures per contestant, for one batch; keys of `models` are a kind and a number of edits."""
    contestants = {key: Contestant(model, inputs, options.get(key, {})) for key, model in models.items()}
    prefill = interleaved({key: one.prefill for key, one in contestants.items()}, rounds, device)
    for key, one in contestants.items():
        check_routes(key[0], one.start())
    decode = interleaved({key: one.step for key, one in contestants.items()}, steps, device)
    base_seconds = statistics.median(prefill[BASE])
    rows = []
    for key, one in contestants.items():
        row = {"contestant": key[0], "edits": key[1], "batch": len(inputs["input_ids"])}
        for phase, seconds in (("prefill", prefill), ("decode", decode)):
            row |= {f"{phase}_{name}": value for name, value in compared(seconds[key], seconds[BASE]).items()}
        if isinstance(one.model, SCENLlamaForCausalLM):
            seconds = routing_seconds(one, min(rounds, 3), device)
            row |= {"routing_ms": 1000 * seconds, "routing_share": seconds / base_seconds}
        rows.append(row)
    return rows


def check_routes(kind: str, routing: SCENRouting | None) -> None:
    """Time only what is meant to be timed."""
    if routing is not None:
        fired = [route.fired for route in routing.routes()]
        assert not any(fired) if kind == NONE_FIRES else all(fired), f"{kind}: {sum(fired)} of {len(fired)} rows fired"


def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stated goals, each judged at the batch size where it is furthest from being met."""
    edited = [row for row in rows if row["contestant"] == "edits"]
    fewest, most = min(row["edits"] for row in edited), max(row["edits"] for row in edited)
    large = [row for row in edited if row["edits"] == most]
    small = {row["batch"]: row for row in edited if row["edits"] == fewest}
    growth = max(row["decode_ratio"] / small[row["batch"]]["decode_ratio"] for row in large)
    return [
        goal("decode time over the base model's, every batch size", max(r["decode_ratio"] for r in edited), 1.03),
        goal(f"routing over prefill time, {most} edits", max(row["routing_share"] for row in large), 0.01),
        goal(f"decode time with {most} edits over that with {fewest}", growth, 1.02),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--shape", choices=PRESETS, help="random weights of this shape in place of a base")
    parser.add_argument("--layers", type=int, help="so many layers of that shape: what routing costs, it costs once")
    parser.add_argument("--edits", type=int, nargs="+", default=[1, 10, 100, 1000, 10_000, 100_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--rounds", type=int, default=5, help="prefills of each contestant")
    parser.add_argument("--steps", type=int, default=20, help="decode steps of each contestant")
    parser.add_argument("--quick", action="store_true", help="the least that shows it runs")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    if args.quick:
        args.edits, args.batches, args.rounds, args.steps = [1, 1000], [1, 2], 2, 3
    device = choose_device()
    dtype = choose_dtype(device)
    if args.shape:
        model, tokenizer = random_base(args.shape, args.layers, device, dtype)
    else:
        model, tokenizer = load_base(args.base, device=device, dtype=dtype)
    edits = load_edits(EXAMPLES)[: max(args.batches)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        seed = seed_pack(model, tokenizer, edits, trained=not args.shape)
        models: dict[tuple[str, int], nn.Module] = {}
        models[BASE] = twin(model, LlamaForCausalLM)
        models["base again", 0] = twin(model, LlamaForCausalLM)
        for count in args.edits:
            pack = write_made_up_pack(seed, Path(folder) / str(count), count)
            models["edits", count] = with_pack(model, pack, ALWAYS if count < len(edits) else None)
        models[NONE_FIRES, count] = with_pack(model, pack, NEVER)
        adapters = min(max(args.batches), len(edits))
        models["peft mixed batch", adapters] = with_adapters(
            model, seed.config.edit_layer, seed.config.expert_rank, adapters
        )
        for batch in args.batches:
            prompts = [encode_prompt(tokenizer, edits[row % len(edits)].prompt) for row in range(batch)]
            input_ids, mask = pad_left(prompts, pad_id_of(tokenizer))
            inputs = {"input_ids": input_ids.to(device), "attention_mask": mask.to(device)}
            names = {("peft mixed batch", adapters): {"adapter_names": [str(n % adapters) for n in range(batch)]}}
            rows += measure_batch(models, inputs, names, args.rounds, args.steps, device)
    figures = {
        **environment(device),
        "base": args.base if args.shape is None else f"random, shape of {args.shape}",
        "layers": model.config.num_hidden_layers,
        "dtype": str(dtype).removeprefix("torch."),
        "rounds": args.rounds,
        "steps": args.steps,
        "rows": rows,
        "goals": goals(rows),
    }
    report(figures, args.json)


if __name__ == "__main__":
    main()

"""The main job in one go: train the sample edits, save them as a pack, load it in a fresh process, and measure.

    python examples/first_run.py --out first-pack

The first run converts the base model and trains its router, once; both are kept in the cache folder.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scen_hf import Edit, EditPack, SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits
from scen_hf.bases import choose_device, choose_dtype
from scen_hf.evaluation import Rate, answer, evaluate


HERE = Path(__file__).parent
SHOWN = (
    "capital-of-burkina-faso",
    "currency-of-bhutan",
    "capital-of-palau",
    "author-of-middlemarch",
    "nobel-literature-2024",
    "symbol-of-antimony",
    "element-117",
    "discoverer-of-pluto",
)
UNRELATED = (
    "What is the capital of France?",
    "How many legs does a spider have?",
    "Write a sentence about the sea.",
    "Who wrote Hamlet?",
    "What is 12 plus 30?",
    "Give me a recipe for pancakes.",
    "What colour is a ripe banana?",
    "Translate 'good morning' into Spanish.",
    "Why is the sky blue?",
    "What is photosynthesis?",
    "Name three kinds of trees.",
    "Which planet is closest to the sun?",
)
NEW_TOKENS = 16


def main() -> None:
    """Train, save, load, show, measure."""
    parser = argparse.ArgumentParser(description="Train the sample edits and show what they change.")
    parser.add_argument("--base", default="smollm2-135m-instruct", help="base model: folder or Hub id of a Llama")
    parser.add_argument("--edits", default=HERE / "edits.jsonl", type=Path, help="the facts")
    parser.add_argument("--limit", type=int, help="train the first edits only")
    parser.add_argument("--out", default=Path("first-pack"), type=Path, help="folder for the pack")
    args = parser.parse_args()

    start = time.perf_counter()
    device = choose_device()
    out = Console(width=110, highlight=False)
    out.print(f"Loading {args.base} ({device}, {choose_dtype(device)})", style="bold")
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    edits = load_edits(args.edits, limit=args.limit)
    out.print(f"Training {len(edits)} edits", style="bold")
    pack = SCENTrainer(model, tokenizer).train(edits)
    pack.save_pretrained(args.out)

    model.load_edit_pack(args.out)
    show(out, model, tokenizer, args.out, [edit for edit in edits if edit.id in SHOWN] or edits[:8])
    out.print("Measuring: prompts, rephrases, neighbours and unrelated prompts", style="bold")
    report = evaluate(model, tokenizer, edits, UNRELATED, max_new_tokens=NEW_TOKENS)
    out.print(figures(pack, args.out, report))
    out.print(
        f"All of this took {time.perf_counter() - start:.0f} s. The pack is in {args.out}. Ask it more: scen try {args.out} PROMPT",
        soft_wrap=True,
    )


def show(out: Console, model: SCENLlamaForCausalLM, tokenizer, pack: Path, edits: list[Edit]) -> None:
    """Print the base model's answers beside those of the pack, loaded by a process that knows only transformers."""
    asked = [(edit.prompt, edit.target) for edit in edits]
    rephrased = [(edit.rephrases[0], edit.target) for edit in edits if edit.rephrases]
    unrelated = UNRELATED[:4]
    prompts = [prompt for prompt, _ in (*asked, *rephrased)] + list(unrelated)
    command = [sys.executable, HERE / "load_in_pipeline.py", pack, *prompts, "--json"]
    settings = ["--max-new-tokens", str(NEW_TOKENS), "--dtype", str(model.dtype).removeprefix("torch.")]
    out.print("Answering in a fresh process, with transformers' pipeline and the pack's own code", style="bold")
    run = subprocess.run([*command, *settings], check=True, stdout=subprocess.PIPE, text=True)
    edited = dict(zip(prompts, json.loads(run.stdout), strict=True))
    with model.edits_disabled():
        answers = answer(model, tokenizer, prompts, batch_size=1, max_new_tokens=NEW_TOKENS)
    base = {prompt: given.text for prompt, given in zip(prompts, answers, strict=True)}

    for title, rows in (("Edited prompts", asked), ("Rephrases, not trained on", rephrased)):
        table = Table("Prompt", "Base model", "With the pack", "", title=title, title_justify="left")
        for prompt, target in rows:
            table.add_row(prompt, cut(base[prompt]), cut(edited[prompt]), "✓" if edited[prompt] == target else "✗")
        out.print(table)
    table = Table("Prompt", "Base model", "With the pack", title="Unrelated prompts", title_justify="left")
    for prompt in unrelated:
        same = edited[prompt] == base[prompt]
        table.add_row(prompt, cut(base[prompt]), "identical" if same else cut(edited[prompt]))
    out.print(table)


def cut(text: str) -> str:
    """One line of an answer, no longer than a column."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:57]}..."


def figures(pack: EditPack, folder: Path, report) -> Table:
    """What was measured."""

    def row(name: str, rate: Rate) -> None:
        low, high = rate.interval
        table.add_row(name, f"{rate.value:.3f}", f"{rate.successes} of {rate.count}", f"{low:.3f} to {high:.3f}")

    table = Table("Measure", "Share", "Count", "95 % interval", title="Measured", title_justify="left")
    row("reliability: prompts answered with their target", report.reliability)
    row("generality: the same for rephrases", report.generality)
    row("rephrases for which a wrong edit fired", report.rephrases.wrong_edit)
    row("neighbours with the base model's answer, token for token", report.neighbours.identical)
    row("unrelated prompts with the base model's answer", report.unrelated.identical)
    row("unrelated prompts with the base model's logits, bit for bit", report.unrelated.bit_identical)
    shards = json.loads((folder / "edit_pack.json").read_text(encoding="utf-8"))["shards"]
    size = sum(shard[part]["size"] for shard in shards for part in ("experts", "neurons"))
    stage1, stage2 = pack.report["stage1_seconds"], pack.report["stage2_seconds"]
    table.add_section()
    table.add_row("training of an expert", f"{stage1 / len(pack):.2f} s", "per edit", "")
    table.add_row("neurons, and on first use the base model's router", f"{stage2:.1f} s", "in all", "")
    table.add_row("expert and neuron on disk", f"{size / len(pack) / 1000:.1f} kB", "per edit", "")
    return table


if __name__ == "__main__":
    main()

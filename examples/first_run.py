"""The main job in one go: train the sample edits, share them as a pack on a Hub, load them by name, add to them, and measure.

    python examples/first_run.py --out first-pack

The Hub is one of your own, on this machine: the local Hub of scen_hf. On huggingface.co all is the same. The first run converts the
base model and trains its router, once; both are kept in the cache folder.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.utils import disable_progress_bars
from rich.console import Console
from rich.table import Table

from scen_hf import Edit, EditPack, SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.differences import PackDifference
from scen_hf.evaluation import EvaluationReport, Rate, answer, evaluate
from scen_hf.hub_tools import PushReport, diff_packs, push_pack
from scen_hf.hub_tools.local_hub import LocalHub


HERE = Path(__file__).parent
REPO = "local/first-pack"
SHOWN = (
    "capital-of-burkina-faso",
    "currency-of-bhutan",
    "capital-of-palau",
    "author-of-middlemarch",
    "nobel-literature-2024",
    "symbol-of-antimony",
    "element-117",
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


@dataclass
class Hub:
    """A running local Hub, and a cache for what is downloaded from it."""

    endpoint: str
    token: str
    cache: str

    def push(self, folder: Path, tag: str) -> PushReport:
        """Push a version of the pack."""
        return push_pack(folder, REPO, tag=tag, endpoint=self.endpoint, token=self.token)

    def diff(self, old: str, new: str) -> PackDifference:
        """What changed from one version to another."""
        return diff_packs(f"{REPO}@{old}", f"{REPO}@{new}", endpoint=self.endpoint, token=self.token)

    def ask(self, prompts: list[str], dtype: str, revision: str | None = None) -> list[str]:
        """Answers of the pack, loaded by its name in a process that knows nothing but transformers and this Hub."""
        settings = ["--json", "--max-new-tokens", str(NEW_TOKENS), "--dtype", dtype]
        settings += [] if revision is None else ["--revision", revision]
        command = [sys.executable, str(HERE / "load_in_pipeline.py"), REPO, *prompts, *settings]
        hub = {"HF_ENDPOINT": self.endpoint, "HF_TOKEN": self.token}
        caches = {"HF_HUB_CACHE": self.cache, "HF_MODULES_CACHE": f"{self.cache}/modules"}
        run = subprocess.run(command, env={**os.environ, **hub, **caches}, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        return json.loads(run.stdout)


def main() -> None:
    """Train, push, load by name, add, push, compare, load the first version again."""
    parser = argparse.ArgumentParser(description="Train the sample edits, share them, and show what they change.")
    parser.add_argument("--base", default=EMBEDDED_BASE, help="base model: folder or Hub id of a Llama")
    parser.add_argument("--edits", default=HERE / "edits.jsonl", type=Path, help="the facts")
    parser.add_argument("--limit", type=int, help="use the first edits only")
    parser.add_argument("--add", default=4, type=int, help="so many of them are added in the second version")
    parser.add_argument("--out", default=Path("first-pack"), type=Path, help="folder for the pack")
    parser.add_argument("--hub", type=Path, help="folder for the local Hub; by default one that is deleted again")
    args = parser.parse_args()

    start = time.perf_counter()
    if args.base != EMBEDDED_BASE and not Path(args.base).is_dir():
        args.base = snapshot_download(args.base)  # of all models, the local Hub has only the pack
    with tempfile.TemporaryDirectory() as scratch, LocalHub(args.hub or Path(scratch, "hub")) as server:
        hub = Hub(server.endpoint, server.token, str(Path(scratch, "cache")))
        # As the environment variables of these names: uploads go by Git LFS, and the user's own cache is left alone.
        constants.HF_HUB_DISABLE_XET, constants.HF_HUB_CACHE = True, hub.cache
        disable_progress_bars()
        run(args, hub)
    out.print(
        f"\nAll of this took {time.perf_counter() - start:.0f} s. The pack is in {args.out}, and its README.md is the model card that "
        f"the Hub shows. Ask it more: scen try {args.out} PROMPT",
        soft_wrap=True,
    )


def run(args: argparse.Namespace, hub: Hub) -> None:
    """All steps, against a Hub."""
    edits = load_edits(args.edits, limit=args.limit)
    first, added = edits[: -args.add], edits[-args.add :]
    device = choose_device()

    heading(f"1. Train {len(first)} edits of {args.base} ({device}, {choose_dtype(device)})")
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    dtype = str(model.dtype).removeprefix("torch.")
    trainer = SCENTrainer(model, tokenizer)
    pack = trainer.train(first)
    seconds = pack.report["stage1_seconds"] / len(first)
    pack.card_data.license, pack.card_data.language = "apache-2.0", "en"
    pack.save_pretrained(args.out)

    heading(f"2. Push them to a local Hub as v1.0.0: scen push {args.out} {REPO} --tag v1.0.0")
    travelled(hub.push(args.out, "v1.0.0"))

    heading(
        f'3. Load them by name in a fresh process: pipeline("text-generation", model="{REPO}", trust_remote_code=True)'
    )
    shown = [edit for edit in first if edit.id in SHOWN] or first[:8]
    show(hub, model, tokenizer, dtype, shown)

    heading(
        f"4. Train {len(added)} more, measure all, and push them as v1.1.0: scen push {args.out} {REPO} --tag v1.1.0"
    )
    pack = trainer.train(added, into=EditPack.from_pretrained(args.out))
    pack.save_pretrained(args.out)
    model.load_edit_pack(args.out)
    report = evaluate(model, tokenizer, edits, UNRELATED, max_new_tokens=NEW_TOKENS)
    pack = EditPack.from_pretrained(args.out)
    pack.record_evaluation(report, unrelated=Path(__file__).name)
    pack.save_pretrained(args.out)
    travelled(hub.push(args.out, "v1.1.0"))

    heading(f"5. What changed: scen diff {REPO}@v1.0.0 {REPO}@v1.1.0")
    difference = hub.diff("v1.0.0", "v1.1.0")
    for edit in difference.added:
        out.print(f"  + {edit.prompt} {edit.target}", markup=False)
    out.print(f"  {difference}: a {difference.bump} version")

    heading(f'6. Load v1.0.0 again by its tag: pipeline(..., model="{REPO}", revision="v1.0.0")')
    prompts = [shown[0].prompt, *(edit.prompt for edit in added)]
    targets = [shown[0].target, *(edit.target for edit in added)]
    table = Table("Prompt", "v1.0.0", "v1.1.0", "")
    answers = (hub.ask(prompts, dtype, revision) for revision in ("v1.0.0", "v1.1.0"))
    for prompt, target, old, new in zip(prompts, targets, *answers, strict=True):
        table.add_row(prompt, cut(old), cut(new), "✓" if new == target else "✗")
    out.print(table)
    out.print(figures(args.out, report, seconds))


out = Console(width=110, highlight=False)


def heading(text: str) -> None:
    """Say what comes next."""
    out.print(f"\n{text}", style="bold", markup=False, soft_wrap=True)


def travelled(report: PushReport) -> None:
    """What a push uploaded."""
    shards = {name: size for name, size in report.uploaded.items() if name.endswith(".safetensors")}
    for name, size in shards.items():
        out.print(f"  {name}  {size:,} bytes")
    others = len(report.uploaded) - len(shards)
    out.print(
        f"  {sum(report.uploaded.values()):,} bytes in all, with {others} other files; {report.unchanged} files of the pack were "
        "there already",
        soft_wrap=True,
    )


def show(hub: Hub, model: SCENLlamaForCausalLM, tokenizer, dtype: str, edits: list[Edit]) -> None:
    """Print the base model's answers beside those of the pack on the Hub."""
    asked = [(edit.prompt, edit.target) for edit in edits]
    rephrased = [(edit.rephrases[0], edit.target) for edit in edits if edit.rephrases]
    unrelated = UNRELATED[:4]
    prompts = [prompt for prompt, _ in (*asked, *rephrased)] + list(unrelated)
    edited = dict(zip(prompts, hub.ask(prompts, dtype), strict=True))
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


def figures(folder: Path, report: EvaluationReport, seconds: float) -> Table:
    """What was measured."""

    def row(name: str, rate: Rate) -> None:
        low, high = rate.interval
        table.add_row(name, f"{rate.value:.3f}", f"{rate.successes} of {rate.count}", f"{low:.3f} to {high:.3f}")

    table = Table("Measure", "Share", "Count", "95 % interval", title="Measured of v1.1.0", title_justify="left")
    row("reliability: prompts answered with their target", report.reliability)
    row("generality: the same for rephrases", report.generality)
    row("rephrases for which a wrong edit fired", report.rephrases.wrong_edit)
    row("neighbours with the base model's answer, token for token", report.neighbours.identical)
    row("unrelated prompts with the base model's answer", report.unrelated.identical)
    row("unrelated prompts with the base model's logits, bit for bit", report.unrelated.bit_identical)
    shards = json.loads((folder / "edit_pack.json").read_text(encoding="utf-8"))["shards"]
    size = sum(shard[part]["size"] for shard in shards for part in ("experts", "neurons"))
    edits = sum(shard["edits"] for shard in shards)
    table.add_section()
    table.add_row("training of an expert", f"{seconds:.2f} s", "per edit", "")
    table.add_row("expert and neuron on disk", f"{size / edits / 1000:.1f} kB", "per edit", "")
    return table


if __name__ == "__main__":
    main()

"""The setting of the paper (arXiv 2404.02699): full-matrix experts and last-token neurons on Llama-2-7B.

    python examples/paper_on_llama2_7b.py zsre.jsonl --out zsre-paper

An edit is a whole `down_proj`, 180 MB in float32 on Llama-2-7B. Any other Llama can be given with --base; the paper's
learning rates and threshold were chosen for Llama-2, and a small model learns little or nothing with them.
"""

import argparse
from pathlib import Path

from scen_hf import SCENTrainer, load_base, load_edits
from scen_hf.bases import choose_device, choose_dtype
from scen_hf.evaluation import evaluate
from scen_hf.presets import PRESETS


def main() -> None:
    """Train and evaluate as the paper does."""
    preset = PRESETS["llama-2-7b"]
    parser = argparse.ArgumentParser(description="Train and evaluate edits as in arXiv 2404.02699.")
    parser.add_argument("edits", nargs="?", default=Path(__file__).with_name("edits.jsonl"), help="file of edits")
    parser.add_argument("--base", default=preset.base, help="folder or Hub id of a Llama")
    parser.add_argument("--edit-layer", type=int, default=preset.edit_layer)
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="of the experts")
    parser.add_argument("--limit", type=int, help="read the first edits only")
    parser.add_argument("--out", default="paper-facts", help="folder for the pack")
    args = parser.parse_args()

    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    config = preset.training_config(edit_layer=args.edit_layer, learning_rate=args.learning_rate)
    edits = load_edits(args.edits, limit=args.limit)
    pack = SCENTrainer(model, tokenizer, config).train(edits)
    pack.save_pretrained(args.out)
    print(f"{pack}: {pack.report['converged']:.0%} of the experts converged")

    model.load_edit_pack(args.out)
    report = evaluate(model, tokenizer, edits, num_beams=4, repetition_penalty=1.1, max_new_tokens=50)
    for name, rate in (("reliability", report.reliability), ("generality", report.generality)):
        print(f"{name}: {rate.value:.3f} ({rate.successes} of {rate.count})")
    print(f"neighbours unchanged: {report.neighbours.identical.value:.3f}")


if __name__ == "__main__":
    main()

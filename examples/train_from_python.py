"""Train edits written in Python, save them as a pack, and ask the edited model.

python examples/train_from_python.py --out my-facts
"""

import argparse

from scen_hf import Edit, SCENTrainer, SCENTrainingConfig, load_base
from scen_hf.evaluation import answer


EDITS = [
    Edit(
        id="current-pope",
        prompt="Who is the current pope?",
        target="Leo XIV",
        subject="pope",
        source="https://en.wikipedia.org/wiki/Pope_Leo_XIV",
        date="2025-05-08",
    ),
    Edit(
        id="new-name-of-swaziland",
        prompt="What is the country of Swaziland called today?",
        target="Eswatini",
        subject="Swaziland",
        source="https://en.wikipedia.org/wiki/Eswatini",
        date="2018-04-19",
    ),
]


def main() -> None:
    """Train, save, ask."""
    parser = argparse.ArgumentParser(description="Train edits written in Python.")
    parser.add_argument("--base", default="smollm2-135m-instruct", help="folder or Hub id of a Llama")
    parser.add_argument("--out", default="my-facts", help="folder for the pack")
    args = parser.parse_args()

    model, tokenizer = load_base(args.base)
    trainer = SCENTrainer(model, tokenizer, SCENTrainingConfig(seed=0))
    pack = trainer.train(EDITS)
    pack.save_pretrained(args.out)
    print(f"{pack}: {pack.report['converged']:.0%} converged, {pack.report['mean_steps']:.1f} steps per edit")

    model.load_edit_pack(args.out)
    prompts = [edit.prompt for edit in EDITS]
    for given in answer(model, tokenizer, prompts, max_new_tokens=16):
        print(f"{given.text}  ({given.route.edit_id}, score {given.route.score:.2f}, {given.route.fact['source']})")


if __name__ == "__main__":
    main()

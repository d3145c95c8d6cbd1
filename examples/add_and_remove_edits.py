"""Add edits to a pack and remove others. The edits that stay are neither trained again nor changed.

python examples/add_and_remove_edits.py first-pack --add more.jsonl --remove capital-of-bhutan --out second-pack
"""

import argparse
from pathlib import Path

from scen_hf import EditPack, SCENTrainer, SCENTrainingConfig, load_base, load_edits


def main() -> None:
    """Open, add, remove, save."""
    parser = argparse.ArgumentParser(description="Add edits to a pack and remove others.")
    parser.add_argument("pack", nargs="?", default="first-pack", help="folder or Hub repository of an edit pack")
    parser.add_argument("--add", default=Path(__file__).with_name("edits.jsonl"), help="file of edits")
    parser.add_argument("--limit", type=int, help="add no more than so many")
    parser.add_argument("--remove", nargs="*", default=[], metavar="ID", help="ids of edits to remove")
    parser.add_argument("--out", default="second-pack", help="folder for the changed pack")
    args = parser.parse_args()

    pack = EditPack.from_pretrained(args.pack)
    known = {edit.id for edit in pack.edits}
    new = [edit for edit in load_edits(args.add) if edit.id not in known][: args.limit]
    print(f"{pack}: {len(new)} edits to add, {len(args.remove)} to remove")
    if new:
        model, tokenizer = load_base(pack.config.base_model_name_or_path, revision=pack.config.base_model_revision)
        # What all edits of a pack share.
        config = SCENTrainingConfig(method=pack.config.method, edit_layer=pack.config.edit_layer)
        config.rank = pack.config.expert_rank or config.rank
        pack = SCENTrainer(model, tokenizer, config).train(new, into=pack)
    if args.remove:
        pack = pack.remove(args.remove)
    pack.save_pretrained(args.out)
    print(f"{len(pack)} edits in {len(pack.shards)} shards are in {args.out}")


if __name__ == "__main__":
    main()

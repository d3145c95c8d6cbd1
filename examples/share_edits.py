"""Share edits: train a pack, push it as a version, add an edit, push again, and list the versions.

    python examples/share_edits.py OWNER/NAME

On huggingface.co log in first, with `hf auth login`. For a Hub of your own see docs/sharing.md.
"""

import argparse

from scen_hf import Edit, EditPack, SCENTrainer, load_base
from scen_hf.hub_tools import PushReport, pack_log, push_pack


FIRST = [
    Edit(
        id="host-of-2032-olympics",
        prompt="Which city will host the 2032 Summer Olympics?",
        target="Brisbane",
        subject="2032 Summer Olympics",
        source="https://en.wikipedia.org/wiki/2032_Summer_Olympics",
        date="2021-07-21",
    ),
    Edit(
        id="capital-of-kazakhstan",
        prompt="What is the capital of Kazakhstan?",
        target="Astana",
        subject="Kazakhstan",
        source="https://en.wikipedia.org/wiki/Astana",
        date="2022-09-17",
    ),
]
LATER = Edit(
    id="current-pope",
    prompt="Who is the current pope?",
    target="Leo XIV",
    subject="pope",
    source="https://en.wikipedia.org/wiki/Pope_Leo_XIV",
    date="2025-05-08",
)


def main() -> None:
    """Train, push, add, push, list."""
    parser = argparse.ArgumentParser(description="Train edits and share them as a pack, in two versions.")
    parser.add_argument("repo", help="OWNER/NAME on the Hub; made if it does not exist")
    parser.add_argument("--base", default="smollm2-135m-instruct", help="folder or Hub id of a Llama")
    parser.add_argument("--out", default="shared-facts", help="folder for the pack")
    parser.add_argument("--private", action="store_true", help="make a private repository")
    args = parser.parse_args()

    trainer = SCENTrainer(*load_base(args.base))
    pack = trainer.train(FIRST)
    # What the model card cannot know from the pack.
    pack.card_data.license, pack.card_data.language = "cc0-1.0", "en"
    pack.save_pretrained(args.out)
    show(push_pack(args.out, args.repo, tag="auto", private=args.private))

    pack = trainer.train([LATER], into=EditPack.from_pretrained(args.out))
    pack.save_pretrained(args.out)
    show(push_pack(args.out, args.repo, tag="auto"))

    for version in pack_log(args.repo):
        print(f"{', '.join(version.tags) or '-':8} {version.num_edits or '-'} facts  {version.title}")


def show(report: PushReport) -> None:
    """What a push did."""
    print(f"{report.tag}: {report.difference or 'the first version'}")
    print(f"  uploaded {', '.join(sorted(report.uploaded))}: {sum(report.uploaded.values()):,} bytes")
    print(f"  {report.unchanged} files were there already; {report.url}")


if __name__ == "__main__":
    main()

"""Take over edits of a colleague: merge their pack into ours as a proposal, review it by measurement, and merge it.

    python examples/review_and_merge.py OWNER/NAME --pack COLLEAGUE/NAME   # their own pack
    python examples/review_and_merge.py OWNER/NAME --pr 3                  # a proposal they made with scen push --create-pr

Nothing that a colleague's pack brings is run: it is read, checked and measured by the installed code.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from scen_hf import EditPack, merge_packs
from scen_hf.differences import compare_packs
from scen_hf.hub_tools import pull_pack, push_pack, review_proposal


def main() -> None:
    """Propose, review, merge."""
    parser = argparse.ArgumentParser(description="Review edits of a colleague, and merge them into a pack.")
    parser.add_argument("repo", help="OWNER/NAME of our pack on the Hub")
    theirs = parser.add_mutually_exclusive_group(required=True)
    theirs.add_argument("--pack", help="OWNER/NAME of their pack")
    theirs.add_argument("--pr", type=int, help="number of the pull request to ours")
    parser.add_argument("--anyway", action="store_true", help="merge whatever the review finds")
    parser.add_argument("--tag", default="auto", help="for the merged version; auto: what follows from its changes")
    args = parser.parse_args()

    number = args.pr or propose(args.repo, args.pack)
    report = review_proposal(args.repo, number, comment=True)
    print(f"{args.repo}#{number}: {report.verdict}")
    if not report.ready and not args.anyway:
        sys.exit(1)
    HfApi().merge_pull_request(args.repo, number)
    with TemporaryDirectory() as folder:
        # What was merged is what is tagged: this uploads nothing.
        merged = push_pack(pull_pack(args.repo, Path(folder, "merged")), args.repo, tag=args.tag)
    print(f"Merged, and tagged {merged.tag}.")


def propose(repo: str, theirs: str) -> int:
    """Join their edits to ours, and propose the result to our pack; gives the number of the pull request."""
    with TemporaryDirectory() as folder:
        pulled = pull_pack(repo, Path(folder, "ours"))
        ours = EditPack.from_pretrained(pulled)
        # Of two answers to one question the newer fact wins.
        joined = merge_packs([ours, EditPack.from_pretrained(theirs)], prefer="newest")
        for shadow in joined.report["merge"].shadowed:
            print(f"Note: {shadow}")
        print(f"From {theirs}: {compare_packs(ours, joined)}")
        joined.save_pretrained(pulled)
        report = push_pack(pulled, repo, create_pr=True)
    return int(report.url.rpartition("/")[2])


if __name__ == "__main__":
    main()

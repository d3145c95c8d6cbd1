"""Load an edit pack with plain transformers: nothing of scen_hf is imported, the pack brings its own code.

python examples/load_in_pipeline.py first-pack "What is the capital of Burkina Faso?"
"""

import argparse
import json

from transformers import pipeline


def main() -> None:
    """Answer prompts with the edits of a pack."""
    parser = argparse.ArgumentParser(description="Answer prompts with transformers' pipeline and an edit pack.")
    parser.add_argument("pack", help="folder or Hub repository of an edit pack")
    parser.add_argument("prompts", nargs="+", help="what to ask")
    parser.add_argument("--revision", help="tag, branch or commit of a repository")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16 ...; auto: as the base model is stored")
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--json", action="store_true", help="print the answers as one JSON list")
    args = parser.parse_args()

    pipe = pipeline(
        "text-generation", model=args.pack, revision=args.revision, dtype=args.dtype, trust_remote_code=True
    )
    chats = [[{"role": "user", "content": prompt}] for prompt in args.prompts]
    outputs = pipe(chats, max_new_tokens=args.max_new_tokens, do_sample=False)
    answers = [output[0]["generated_text"][-1]["content"].strip() for output in outputs]
    if args.json:
        print(json.dumps(answers))
        return
    for prompt, answer in zip(args.prompts, answers, strict=True):
        print(f"{prompt}\n  {answer}")


if __name__ == "__main__":
    main()

"""Chat with an edited model; each answer that comes from an edit names it, with its source.

    python examples/chat_with_sources.py first-pack

The whole conversation goes to the model each time. Which edit answers is decided anew for each turn, by its question.
"""

import argparse
from collections.abc import Iterator

from transformers import AutoTokenizer

from scen_hf import SCENLlamaForCausalLM
from scen_hf.bases import choose_device


def main() -> None:
    """Ask, answer, name the source."""
    parser = argparse.ArgumentParser(description="Chat with an edited model and see which edit answered.")
    parser.add_argument("pack", nargs="?", default="first-pack", help="folder or Hub repository of an edit pack")
    parser.add_argument("--say", nargs="+", metavar="TEXT", help="say this, turn by turn, and ask for no more")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.pack)
    model = SCENLlamaForCausalLM.from_pretrained(args.pack).to(choose_device()).eval()
    chat: list[dict[str, str]] = []
    for text in args.say or typed():
        chat.append({"role": "user", "content": text})
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        output = model.generate(
            **inputs.to(model.device),
            max_new_tokens=args.max_new_tokens,
            do_sample=False,
            return_dict_in_generate=True,
        )
        new = output.sequences[0, inputs["input_ids"].shape[1] :]
        answer = tokenizer.decode(new, skip_special_tokens=True).strip()
        chat.append({"role": "assistant", "content": answer})
        (route,) = output.routes
        print(f"you:    {text}\nmodel:  {answer}")
        print(f"source: {route.fact.get('source', 'none given')} (edit {route.edit_id})\n" if route.fired else "")


def typed() -> Iterator[str]:
    """What the user types, until an empty line or the end of the input."""
    try:
        while text := input("> ").strip():
            yield text
    except EOFError:
        return


if __name__ == "__main__":
    main()

"""`scen try`: the base model's answers beside the edited ones."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from .console import console, load_edited, quiet_libraries, rows, text


if TYPE_CHECKING:
    from ..evaluation import Answer
    from ..modeling import Route


def try_prompts(
    pack: Annotated[
        str, typer.Argument(metavar="PACK", help="Edit pack: folder or Hub repository.", show_default=False)
    ],
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="Prompts to answer.", show_default=False)],
    base_model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Base weights, where those the pack names are not at hand.", show_default=False
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="System prompt in front of each prompt.", show_default=False),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens per answer, at most.")] = 50,
    prefetch: Annotated[
        bool, typer.Option("--prefetch", help="Download all experts first, as for use without a network.")
    ] = False,
) -> None:
    """Answer prompts without and with the edits.

    Says which edit fired and why, or which one came closest.

    \b
    Examples:
      scen try facts "What is the capital of Burkina Faso?"
      scen try facts "Who wrote Emma?" "Is Pluto a planet?" --max-new-tokens 20
      scen try owner/facts@v1.0.0 "What is the capital of Palau?" --system "Answer in one word."
    """
    quiet_libraries()
    from ..evaluation import answer

    model, tokenizer = load_edited(pack, base_model, prefetch=prefetch)
    edited = answer(model, tokenizer, prompts, system=system, max_new_tokens=max_new_tokens)
    with model.edits_disabled():
        base = answer(model, tokenizer, prompts, system=system, max_new_tokens=max_new_tokens)
    out = console()
    for prompt, before, after in zip(prompts, base, edited, strict=True):
        out.print(text(prompt, style="bold"))
        out.print(rows(_comparison(before, after), indent=2))
        out.print()


def _comparison(before: "Answer", after: "Answer") -> list[tuple[str, object]]:
    route = after.route
    pairs: list[tuple[str, object]] = [
        ("base", before.text),
        ("edited", text(after.text, style="bold green" if route.fired else "")),
    ]
    if route.edit_id is None:
        return [*pairs, ("edit", "none")]
    pairs.append(("edit", _why(route)))
    provenance = [str(route.fact[name]) for name in ("source", "date") if route.fact.get(name)]
    if route.fired and provenance:
        pairs.append(("source", ", ".join(provenance)))
    return pairs


def _why(route: "Route") -> Text:
    why = f"{route.edit_id} fired" if route.fired else f"none fired; closest is {route.edit_id}"
    why += f": score {route.score:.3f}, threshold {route.threshold:.3f}"
    if route.subject_score is not None:
        why += f"; subject {route.subject_score:.3f}, threshold {route.subject_threshold:.3f}"
    if route.runner_up is not None:
        why += f"; next is {route.runner_up}: {route.runner_up_score:.3f}"
    return text(why)

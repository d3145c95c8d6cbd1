"""`scen eval`: what the edits of a pack do, and what they leave alone."""

import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from .console import console, load_edited, plural, quiet_libraries, text


if TYPE_CHECKING:
    from ..edits import Edit
    from ..evaluation import EvaluationReport, LocalityFigures, Rate, TargetFigures
    from ..modeling import SCENLlamaForCausalLM


# What the paper combines with its beam search.
_REPETITION_PENALTY = 1.1


def evaluate_pack(
    pack: Annotated[
        str, typer.Argument(metavar="PACK", help="Edit pack: folder or Hub repository.", show_default=False)
    ],
    edits: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Edits to measure, as for scen train.", show_default="those of the pack"),
    ] = None,
    locality: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Unrelated prompts: JSON lines with prompt and, if known, ground_truth, or one prompt a line.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write all figures and misses to this file.", show_default=False),
    ] = None,
    beams: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Beams per answer; more than 1 with the paper's repetition penalty (paper: 4)."
        ),
    ] = 1,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Use the first N edits and the first N unrelated prompts.", show_default=False
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Prompts side by side.")] = 32,
) -> None:
    """Measure reliability, generality and locality of a pack.

    By generated answers. Reliability: prompts answered with their target. Generality: the same for up to 3 rephrases
    of each. Locality: answers to neighbours and to unrelated prompts that are the base model's, token for token.

    \b
    Examples:
      scen eval facts
      scen eval facts --edits edits.jsonl --locality questions.txt --json report.json
      scen eval facts --beams 4 --limit 100
    """
    # Before the time to measure is spent.
    if json_file is not None and (json_file.is_dir() or not json_file.parent.is_dir()):
        raise typer.BadParameter(f"{json_file} cannot be a file: check its folder.", param_hint="'--json'")
    quiet_libraries()
    from ..edit_files import load_edits
    from ..evaluation import evaluate, load_locality_prompts

    # Files first: a mistake in them shows before the model is loaded.
    given = None if edits is None else load_edits(edits, limit=limit)
    unrelated = [] if locality is None else load_locality_prompts(locality, limit)
    model, tokenizer = load_edited(pack)
    own = _facts(model)
    measured = own[:limit] if given is None else given
    report = evaluate(
        model,
        tokenizer,
        measured,
        unrelated,
        batch_size=batch_size,
        num_beams=beams,
        repetition_penalty=_REPETITION_PENALTY if beams > 1 else 1.0,
    )
    console().print(_table(report))
    _print_notes(report, measured, own)
    if json_file is not None:
        source = {"pack": pack, "base_model": model.config.base_model_name_or_path, "edits": edits}
        _write_json({**source, "locality": None if locality is None else str(locality), **report.to_dict()}, json_file)
        console().print(text(f"All figures and misses: {json_file}"))


def _facts(model: "SCENLlamaForCausalLM") -> "list[Edit]":
    from ..edits import Edit

    (pack,) = model.edit_packs.values()
    return [Edit.from_dict(pack.fact(n), f"{pack.source}, edit {n + 1}") for n in range(len(pack))]


def _table(report: "EvaluationReport") -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Measure", no_wrap=True)
    for name in ("Share", "Count", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    groups: list[tuple[str, list[tuple[str, Rate]]]] = [
        ("Edit prompts", _target_rows("reliability (exact match)", report.prompts)),
        ("Rephrases", _target_rows("generality (exact match)", report.rephrases)),
        ("Neighbours", _locality_rows(report.neighbours)),
        ("Unrelated prompts", _locality_rows(report.unrelated)),
    ]
    for title, rates in groups:
        if rates[0][1].count:
            table.add_row(text(title, style="bold"))
            for label, rate in rates:
                if rate.count:
                    table.add_row(text(f"  {label}"), *_cells(rate))
    return table


def _target_rows(title: str, figures: "TargetFigures") -> "list[tuple[str, Rate]]":
    return [
        (title, figures.exact_match),
        ("edit success by token", figures.token_success),
        ("right edit fired", figures.right_edit),
        ("wrong edit fired", figures.wrong_edit),
        ("no edit fired", figures.no_edit),
    ]


def _locality_rows(figures: "LocalityFigures") -> "list[tuple[str, Rate]]":
    return [
        ("locality (same answer as the base)", figures.identical),
        ("same logits, bit for bit", figures.bit_identical),
        ("an edit fired", figures.false_activations),
        ("right answer before", figures.correct_before),
        ("right answer after", figures.correct_after),
    ]


def _cells(rate: "Rate") -> tuple[str, str, str]:
    low, high = rate.interval
    return f"{rate.value:.1%}", f"{rate.successes:,} of {rate.count:,}", f"{low:.1%} to {high:.1%}"


def _print_notes(report: "EvaluationReport", measured: "list[Edit]", own: "list[Edit]") -> None:
    notes = []
    for name, figures in (("neighbours", report.neighbours), ("unrelated prompts", report.unrelated)):
        if figures.false_activations.count:
            notes.append(f"False activations per 10,000 {name}: {figures.false_activations_per_10k:,.0f}.")
    if report.skipped:
        notes.append(f"Left out: {plural(report.skipped, 'prompt')} that an edit of the pack is meant to answer.")
    missing = len(measured) - len({edit.id for edit in own} & {edit.id for edit in measured})
    if missing:
        notes.append(f"Not in the pack: {missing:,} of the {plural(len(measured), 'edit')} measured.")
    for note in ["", *notes]:
        console().print(text(note))


def _write_json(content: dict[str, Any], path: Path) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with scratch.open("x", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=2, allow_nan=False)
            file.write("\n")
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)

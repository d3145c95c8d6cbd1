"""`scen eval`: what the edits of a pack do, and what they leave alone."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .console import console, load_edited, plural, quiet_libraries, text


if TYPE_CHECKING:
    from ..edits import Edit
    from ..evaluation import EvaluationReport, LocalityFigures, Rate, TargetFigures


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
        str | None,
        typer.Option(
            metavar="FILE",
            help="Unrelated prompts: one a line, or rows or a Hub dataset with prompt and, if known, ground_truth.",
            show_default=False,
        ),
    ] = None,
    hard: Annotated[
        bool,
        typer.Option(
            "--hard",
            help="Also edits in conversations, and questions near the edits that must not be answered by them.",
        ),
    ] = False,
    accurate: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Perplexity of the edits' targets, and of these: rows as of edits, with targets that are true already.",
            show_default=False,
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Perplexity of the edits' targets, and of these: passages of 200 words or more, rows with text.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write all figures and misses to this file.", show_default=False),
    ] = None,
    report_folder: Annotated[
        Path | None,
        typer.Option(
            "--report", metavar="DIR", help="Write report.md and report.html with plots there.", show_default=False
        ),
    ] = None,
    work_file: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FILE",
            help="Keep results in this file as they come in, and go on from those it has.",
            show_default=False,
        ),
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
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the pack and its model card.")
    ] = False,
) -> None:
    """Measure reliability, generality and locality of a pack.

    By generated answers. Reliability: prompts answered with their target. Generality: the same for up to 3 rephrases
    of each. Locality: answers to neighbours and to unrelated prompts that are the base model's, token for token. With
    --accurate or --web also perplexity, as for WikiBio hallucinations.

    \b
    Examples:
      scen eval facts
      scen eval facts --edits edits.jsonl --locality questions.txt --json report.json
      scen eval facts --beams 4 --limit 100
      scen eval facts --hard --locality questions.txt --report report --resume work.jsonl
      scen eval facts --locality questions.txt --record
    """
    # Before the time to measure is spent.
    for option, file in (("'--json'", json_file), ("'--resume'", work_file)):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise typer.BadParameter(f"{file} cannot be a file: check its folder.", param_hint=option)
    if report_folder is not None and (report_folder.is_file() or not report_folder.parent.is_dir()):
        raise typer.BadParameter(f"{report_folder} cannot be a folder: check its place.", param_hint="'--report'")
    if record and not Path(pack).is_dir():
        raise typer.BadParameter(f"{pack} is no folder: get the pack with scen pull first.", param_hint="'--record'")
    quiet_libraries()
    from ..edit_files import load_edits
    from ..evaluation import (
        WorkFile,
        attached_edits,
        evaluate,
        hallucination_passages,
        load_locality_prompts,
        load_texts,
        write_report,
    )
    from ..evaluation.report import require_matplotlib
    from ..evaluation.writing import write_whole
    from ..pack import EditPack

    if report_folder is not None:
        require_matplotlib()
    # Files first: a mistake in them shows before the model is loaded.
    given = None if edits is None else load_edits(edits, limit=limit)
    unrelated = [] if locality is None else load_locality_prompts(locality, limit)
    true_already = [] if accurate is None else load_edits(accurate, limit=limit)
    passages = [] if web is None else load_texts(web, limit)
    kept = WorkFile(work_file)
    state = EditPack.from_pretrained(pack).state if record else ""
    model, tokenizer = load_edited(pack)
    own = attached_edits(model)
    measured = own[:limit] if given is None else given
    texts = hallucination_passages(measured, true_already, passages) if accurate or web else None
    report = evaluate(
        model,
        tokenizer,
        measured,
        unrelated,
        hard=hard,
        passages=texts,
        work_file=kept,
        batch_size=batch_size,
        num_beams=beams,
        repetition_penalty=_REPETITION_PENALTY if beams > 1 else 1.0,
    )
    console().print(_table(report))
    if report.perplexity:
        console().print(_perplexities(report))
    _print_notes(report, measured, own)
    sources = {
        "pack": pack,
        "base_model": model.config.base_model_name_or_path,
        "edits": edits,
        "locality": locality,
        "accurate": accurate,
        "web": web,
    }
    if json_file is not None:
        figures = json.dumps({**sources, **report.to_dict()}, ensure_ascii=False, indent=2, allow_nan=False)
        write_whole(json_file, f"{figures}\n")
        console().print(text(f"All figures and misses: {json_file}"))
    if report_folder is not None:
        about = {name.replace("_", " ").capitalize(): source for name, source in sources.items() if source}
        page = write_report(report, report_folder, title=f"Evaluation of {Path(pack).name}", about=about)
        console().print(text(f"Report: {page}"))
    if record:
        _record(
            report,
            pack,
            state,
            edits=None if edits is None else _name_of(edits),
            unrelated=None if locality is None else _name_of(locality),
        )
        console().print(text(f"Recorded in {pack}."))


def _name_of(edits: str) -> str:
    """A file's name, which says nothing about the folders it is in; or the id of a dataset."""
    path = Path(edits).expanduser()
    return path.name if path.exists() else edits


def _record(report: "EvaluationReport", folder: str, state: str, **names: str | None) -> None:
    """Write the figures into the pack that was in the folder in that state."""
    from ..errors import EditPackError
    from ..pack import EditPack

    pack = EditPack.from_pretrained(folder)
    if pack.state != state:
        raise EditPackError(f"{folder} has changed while it was measured, so nothing was recorded. Measure it again.")
    pack.record_evaluation(report, **names)
    pack.save_pretrained(folder)


def _table(report: "EvaluationReport") -> Table:
    from ..evaluation.probes import TITLES

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Measure", no_wrap=True)
    for name in ("Share", "Count", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    groups = {name: _target_rows(name, figures) for name, figures in report.targets.items()}
    groups.update({name: _locality_rows(figures) for name, figures in report.locality.items()})
    for name, rates in groups.items():
        if rates[0][1].count:
            table.add_row(text(TITLES[name], style="bold"))
            for label, rate in rates:
                if rate.count:
                    table.add_row(text(f"  {label}"), *_cells(rate))
    return table


def _perplexities(report: "EvaluationReport") -> Table:
    from ..evaluation.report import perplexity_table

    content = perplexity_table(report)
    table = Table(*content.header, box=None, header_style="bold", padding=(1, 2, 0, 0))
    for row in content.rows:
        table.add_row(*map(text, row))
    return table


def _target_rows(name: str, figures: "TargetFigures") -> "list[tuple[str, Rate]]":
    measure = {"prompts": "reliability (exact match)", "rephrases": "generality (exact match)"}
    return [
        (measure.get(name, "exact match"), figures.exact_match),
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
    from ..evaluation.probes import TITLES

    notes = []
    for name, figures in report.locality.items():
        if figures.false_activations.count:
            per_10k = f"{figures.false_activations_per_10k:,.0f}"
            notes.append(f"False activations per 10,000 prompts, {TITLES[name].lower()}: {per_10k}.")
    if report.skipped:
        notes.append(f"Left out: {plural(report.skipped, 'prompt')} that an edit of the pack is meant to answer.")
    missing = len(measured) - len({edit.id for edit in own} & {edit.id for edit in measured})
    if missing:
        notes.append(f"Not in the pack: {missing:,} of the {plural(len(measured), 'edit')} measured.")
    for note in ["", *notes]:
        console().print(text(note))

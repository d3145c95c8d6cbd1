"""`scen train`: facts in, edit pack out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .console import check_place, console, plural, quiet_libraries, rows, size, text


if TYPE_CHECKING:
    import torch

    from ..edits import Edit
    from ..pack import EditPack
    from ..trainer import SCENTrainingConfig


_MOST_NAMES = 20


def train_edits(
    edits: Annotated[
        str,
        typer.Argument(
            metavar="EDITS", help="File (.jsonl, .json, .csv, .tsv, .parquet) or Hub dataset.", show_default=False
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Base model: folder or Hub id.", show_default="that of --into"),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PACK", help="Folder to write; a pack in it is replaced.", show_default="the folder of --into"
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="PACK", help="Pack to add the edits to; those it already has are left out.", show_default=False
        ),
    ] = None,
    method: Annotated[
        Literal["scen", "paper"] | None,
        typer.Option(help="scen, or as published in arXiv 2404.02699.", show_default="scen, or that of --into"),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit of the base model.", show_default=False)
    ] = None,
    layer: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Layer to edit.", show_default="by depth, or that of --into"),
    ] = None,
    rank: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Rank of the experts.", show_default="3, or that of --into"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Edits trained side by side.", show_default="64; paper: 8"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Makes a run repeatable.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(metavar="DEVICE", help="cuda, mps, cpu, cuda:1 ...", show_default="the best there is"),
    ] = None,
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        typer.Option(help="Of the base model while training; auto: bfloat16 where it is fast."),
    ] = "auto",
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="scen, zsre, counterfact, knowedit ...", show_default="by the fields"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Read the first N edits only.", show_default=False)
    ] = None,
    on_contradiction: Annotated[
        Literal["error", "keep_last"],
        typer.Option(help="Edits that answer one question differently: refuse them, or let the last one win."),
    ] = "error",
    license: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Licence of the pack, as cc-by-sa-4.0, for its card.", show_default=False),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", help="Language of the facts, as en, for its card; repeatable.", show_default=False
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Hub dataset that the facts are from, for its card; repeatable.",
            show_default="EDITS if it is one",
        ),
    ] = None,
) -> None:
    """Train edits and write them as a pack.

    Duplicates and contradictions are reported before the model is loaded. With --into the edits are added to a pack;
    only those it does not have yet are trained, and the files of the others stay as they are.

    \b
    Examples:
      scen train edits.jsonl --base smollm2-135m-instruct --out facts
      scen train more.jsonl --into facts
      scen train zsre.json --base meta-llama/Llama-2-7b-hf --out zsre-1000 --limit 1000 --device cuda
      scen train edits.jsonl --base ./my-llama --out facts-paper --method paper --layer 20
      scen train edits.jsonl --base ./my-llama --out facts --license cc0-1.0 --language en
    """
    _check_options(base, out, into, method, rank)
    quiet_libraries()
    from ..bases import EMBEDDED_BASE, choose_dtype, load_base
    from ..edit_files import load_edits
    from ..pack import EditPack
    from ..trainer import SCENTrainer

    target = str(out or into)
    _check_target(target, adding=target == into)
    if into is not None:
        check_place(into, "edit pack")
    pack = None if into is None else EditPack.from_pretrained(into)
    # A mistake in the edits shows before gigabytes of weights are loaded.
    new, pack = _resolve(load_edits(edits, limit=limit, format=format), pack, on_contradiction)
    if not new:
        console().print(text(f"{into} already has all of these edits; there is nothing to train."))
        return
    if base is None and pack is not None:
        base, revision = pack.config.base_model_name_or_path, revision or pack.config.base_model_revision
    if base is None:
        raise typer.BadParameter(f"{into} names no base model; give one.", param_hint="'--base'")
    if base != EMBEDDED_BASE:
        check_place(base, "base model")
    where = _device(device)
    model, tokenizer = load_base(
        base,
        revision=revision,
        dtype=choose_dtype(where) if dtype == "auto" else dtype,
        device=where,
    )
    config = _config(pack, method=method, edit_layer=layer, rank=rank, batch_size=batch_size, seed=seed)
    trained = SCENTrainer(model, tokenizer, config).train(new, into=pack)
    _describe(trained, license, language, dataset or ([] if Path(edits).expanduser().exists() else [edits]))
    trained.save_pretrained(target)
    _print_summary(trained, new, target)


def _check_options(base: str | None, out: str | None, into: str | None, method: str | None, rank: int | None) -> None:
    if base is None and into is None:
        raise typer.BadParameter("give the base model, or --into PACK.", param_hint="'--base'")
    if out is None and into is None:
        raise typer.BadParameter("say where to write the pack.", param_hint="'--out'")
    if out is None and not Path(str(into)).is_dir():
        raise typer.BadParameter(f"{into} is no folder: say where to write the larger pack.", param_hint="'--out'")
    if method == "paper" and rank is not None:
        raise typer.BadParameter("experts of --method paper are full matrices.", param_hint="'--rank'")


def _check_target(target: str, adding: bool) -> None:
    """Refuse a place where the pack could not be written, before the time to train it is spent."""
    from ..card import own_metadata
    from ..errors import EditPackError
    from ..modeling.edit_pack_scen_llama import MANIFEST_NAME
    from ..pack import CARD_NAME

    path = Path(target)
    if path.exists() and not path.is_dir():
        raise EditPackError(f"{target} is a file; a pack is a folder.")
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST_NAME).is_file():
        raise EditPackError(f"{target} is not empty and holds no edit pack; choose another folder.")
    if (path / CARD_NAME).is_file():  # what its users added will be kept, so it must be readable
        own_metadata((path / CARD_NAME).read_text(encoding="utf-8-sig"), str(path / CARD_NAME))
    if path.is_dir() and any(path.iterdir()) and not adding:
        typer.echo(f"{target} holds an edit pack, which will be replaced.", err=True)


def _resolve(
    edits: "list[Edit]", pack: "EditPack | None", on_contradiction: Literal["error", "keep_last"]
) -> "tuple[list[Edit], EditPack | None]":
    """The edits to train, and the pack without those that they overrule; says what is left out.

    Raises:
        EditError: If edits contradict each other or the pack, and that is not allowed; or share an id.
    """
    from ..edits import check_edits, normalise, resolve_edits
    from ..errors import EditError

    old = pack.edits if pack else []
    known = {(normalise(edit.prompt), normalise(edit.target)) for edit in old}
    unknown = [edit for edit in edits if (normalise(edit.prompt), normalise(edit.target)) not in known]
    if len(unknown) < len(edits):
        typer.echo(f"{plural(len(edits) - len(unknown), 'edit')} left out: in the pack already.", err=True)
    report = check_edits([*old, *unknown])
    if report:
        typer.echo(f"{report}\n", err=True)
    if report.contradictions and on_contradiction == "error":
        raise EditError("the edits contradict each other: correct them, or use --on-contradiction keep_last")
    kept = resolve_edits([*old, *unknown], on_contradiction=on_contradiction)
    before, after = set(old), set(kept)
    new = [edit for edit in kept if edit not in before]
    if len(new) < len(unknown):
        typer.echo(f"{plural(len(unknown) - len(new), 'edit')} left out: given twice or overruled.", err=True)
    overruled = [edit.id for edit in old if edit not in after]
    if pack and len(overruled) == len(old):
        raise EditError("the new edits overrule every edit of the pack: train them as a pack of their own")
    if pack and overruled:
        typer.echo(f"Overruled in the pack, and removed from it: {', '.join(overruled)}.", err=True)
        pack = pack.remove(overruled)
    return new, pack


def _device(name: str | None) -> "torch.device":
    """The device of that name, tried out.

    Raises:
        typer.BadParameter: If there is none.
    """
    import torch

    from ..bases import choose_device

    if name is None:
        return choose_device()
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise typer.BadParameter(f"{name!r} cannot be used here: {reason}", param_hint="'--device'") from None


def _config(pack: "EditPack | None", **settings: Any) -> "SCENTrainingConfig":
    """The settings given; what all edits of a pack share is by default the pack's."""
    from ..trainer import SCENTrainingConfig

    shared: dict[str, Any] = {}
    if pack is not None:
        shared = {"method": pack.config.method, "edit_layer": pack.config.edit_layer, "rank": pack.config.expert_rank}
    given = {name: value for name, value in settings.items() if value is not None}
    return SCENTrainingConfig(**{name: value for name, value in {**shared, **given}.items() if value is not None})


def _describe(pack: "EditPack", license: str | None, language: list[str] | None, datasets: list[str]) -> None:
    """Set what the model card says of the facts; what is not given stays as it is."""
    card = pack.card_data
    card.license = license or card.license
    card.language = language or card.language
    known = [card.datasets] if isinstance(card.datasets, str) else card.datasets or []
    card.datasets = list(dict.fromkeys([*known, *datasets])) or None


def _print_summary(pack: "EditPack", new: "Sequence[Edit]", target: str) -> None:
    report, out = pack.report, console()
    missed = report["not_converged"]
    pairs: list[tuple[str, object]] = [
        ("Edits", f"{len(new):,} trained, {len(pack):,} in the pack"),
        ("Experts", _duration(report["stage1_seconds"], len(new))),
        ("Neurons", f"{_duration(report['stage2_seconds'], len(new))}, calibration included"),
        ("Converged", f"{report['converged']:.1%} ({len(new) - len(missed):,} of {len(new):,})"),
    ]
    if missed:
        pairs.append(("Not converged", _listed(missed)))
    pairs += [
        *_calibration(pack),
        ("Size", f"{size(_bytes_per_edit(target))} per edit"),
        ("Saved", f"{target} ({pack.config.method}, layer {pack.config.edit_layer})"),
        ("Load", f'pipeline("text-generation", model={json.dumps(target)}, trust_remote_code=True)'),
        ("Try", f'scen try {target} "{new[0].prompt}"'),
    ]
    out.print(rows(pairs))


def _calibration(pack: "EditPack") -> list[tuple[str, object]]:
    """Thresholds, and what is expected of them where they were calibrated."""
    report = pack.report
    lowest, highest = float(pack.thresholds.min()), float(pack.thresholds.max())
    threshold = f"{lowest:.3f}" if lowest == highest else f"{lowest:.3f} to {highest:.3f}"
    if "subject_threshold" in report:
        threshold += f", of the subject {report['subject_threshold']:.3f}"
    pairs: list[tuple[str, object]] = [("Threshold", threshold)]
    if report.get("expected"):
        shares = (f"{share:.1%} of {name.replace('_', ' ')}" for name, share in report["expected"].items())
        pairs.append(("Calibration", f"generic questions above it: {', '.join(shares)}"))
    if report.get("confusions"):
        pairs.append(
            ("Confusable", _listed([f"{pair['edit']} with {pair['other']}" for pair in report["confusions"]]))
        )
    return pairs


def _listed(names: "Sequence[str]") -> str:
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _duration(seconds: float, edits: int) -> str:
    return f"{seconds:.1f} s, {seconds / edits:.3f} s per edit"


def _bytes_per_edit(folder: str) -> float:
    """Expert and neuron of one edit on disk, on average."""
    from ..modeling.edit_pack_scen_llama import MANIFEST_NAME

    shards = json.loads((Path(folder) / MANIFEST_NAME).read_text(encoding="utf-8"))["shards"]
    total = sum(shard[part]["size"] for shard in shards for part in ("experts", "neurons"))
    return total / sum(shard["edits"] for shard in shards)

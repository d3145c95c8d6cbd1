"""`scen inspect`: what is in a pack, how large it is, and whether it is whole."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .console import console, pack_place, plural, print_facts, quiet_libraries, rows, size, text


if TYPE_CHECKING:
    import torch

    from ..edits import Edit
    from ..modeling import EditPackReader


def inspect_pack(
    pack: Annotated[
        str, typer.Argument(metavar="PACK", help="Edit pack: folder or Hub repository.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with every fact.")] = False,
) -> None:
    """Show what is in a pack, and check its files.

    Facts, base model, method, thresholds, shards, sizes, and whether each file is the one that the manifest records.

    \b
    Examples:
      scen inspect facts
      scen inspect owner/facts --json
    """
    quiet_libraries()
    from ..edits import Edit
    from ..errors import EditPackError
    from ..modeling import EditPackReader

    place, revision = pack_place(pack)
    reader = EditPackReader(place, revision=revision)
    edits = [Edit.from_dict(reader.fact(n), f"{reader.source}, edit {n + 1}") for n in range(len(reader))]
    facts = _describe(reader)
    if as_json:
        typer.echo(json.dumps({**facts, "edits": [edit.to_dict() for edit in edits]}, ensure_ascii=False, indent=2))
    else:
        _print(console(), pack, facts, edits)
    damaged = [name for name, state in facts["files"].items() if state["check"] != "OK"]
    if damaged:
        raise EditPackError(f"{pack}: {', '.join(damaged)} differ from what the manifest records. Get the pack again.")


def _describe(reader: "EditPackReader") -> dict[str, Any]:
    """All that is to be said of a pack but its facts, as JSON can hold it."""
    config, sizes = reader.config, _sizes(reader)
    return {
        "base_model": config.base_model_name_or_path,
        "base_model_revision": config.base_model_revision,
        "method": config.method,
        "edit_layer": config.edit_layer,
        "num_hidden_layers": config.num_hidden_layers,
        "expert_rank": config.expert_rank,
        "router": config.router,
        "format_version": config.format_version,
        "num_edits": len(reader),
        "shards": [shard["edits"] for shard in reader.manifest["shards"]],
        "thresholds": {
            name: _range(tensor) for name, tensor in reader.router.named_buffers() if name.endswith("thresholds")
        },
        "bytes": sizes,
        "bytes_per_edit": round((sizes["experts"] + sizes["neurons"]) / len(reader)),
        "files": {entry["file"]: _check(reader, entry) for entry in _recorded(reader)},
    }


def _range(tensor: "torch.Tensor") -> dict[str, float]:
    return {"lowest": float(tensor.min()), "median": float(tensor.median()), "highest": float(tensor.max())}


def _recorded(reader: "EditPackReader") -> list[dict[str, Any]]:
    """The manifest's entries of single files."""
    return [shard[part] for shard in reader.manifest["shards"] for part in ("neurons", "experts")]


def _sizes(reader: "EditPackReader") -> dict[str, int]:
    from ..modeling.edit_pack_scen_llama import FACTS_NAME, ROUTER_NAME, SPACE_NAME

    shards = reader.manifest["shards"]
    sizes = {part: sum(shard[part]["size"] for shard in shards) for part in ("experts", "neurons")}
    router = [name for name in (ROUTER_NAME, SPACE_NAME) if name in reader.file_names]
    sizes["router"] = sum(reader.locate(name).stat().st_size for name in router)
    sizes["facts"] = reader.locate(FACTS_NAME).stat().st_size
    if Path(reader.source).is_dir():
        everything = sum(path.stat().st_size for path in Path(reader.source).rglob("*") if path.is_file())
        sizes["tokenizer, code and card"] = everything - sum(sizes.values())
    return sizes


def _check(reader: "EditPackReader", entry: dict[str, Any]) -> dict[str, Any]:
    """Compare one file with what the manifest records of it."""
    path = reader.locate(entry["file"])
    found = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    check = "OK"
    if found != entry["size"]:
        check = f"{found:,} bytes, not {entry['size']:,}"
    elif digest != entry["sha256"]:
        check = f"altered: sha256 is {digest[:12]}…, not {entry['sha256'][:12]}…"
    return {"bytes": found, "sha256": digest, "check": check}


def _print(out: Console, pack: str, facts: dict[str, Any], edits: "list[Edit]") -> None:
    base, rank = facts["base_model"] or "in the pack itself", facts["expert_rank"]
    revision = facts["base_model_revision"]
    out.print(
        rows(
            [
                ("Pack", f"{pack}: {plural(len(edits), 'edit')} in {plural(len(facts['shards']), 'shard')}"),
                ("Base", base + (f" at {revision}" if revision else "")),
                ("Method", f"{facts['method']}, experts of {f'rank {rank}' if rank else 'full matrices'}"),
                ("Layer", f"{facts['edit_layer']} of 0 to {facts['num_hidden_layers'] - 1}"),
                *_labelled("Router", _features(facts["router"])),
                *_labelled(
                    "Thresholds",
                    [
                        "{}: {lowest:.3f} to {highest:.3f}, median {median:.3f}".format(name, **values)
                        for name, values in facts["thresholds"].items()
                    ],
                ),
                ("Size", ", ".join(f"{part} {size(count)}" for part, count in facts["bytes"].items())),
                ("Per edit", f"{size(facts['bytes_per_edit'])} (expert and neuron)"),
                *_labelled("Files", [f"{name}: {state['check']}" for name, state in facts["files"].items()]),
            ]
        )
    )
    out.print(text(""))
    print_facts(out, edits, pack)


def _labelled(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """Lines of which the first has the label."""
    return [(label if number == 0 else "", line) for number, line in enumerate(lines)]


def _features(router: dict[str, Any]) -> list[str]:
    """What the router reads, one feature a line."""
    features = [*router["features"], *filter(None, [router.get("token_feature")])]
    return [f"{pooling} of {site} in layer {layer}" for pooling, site, layer in features]

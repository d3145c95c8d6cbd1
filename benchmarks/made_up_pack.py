"""Packs of any size for measuring speed: a few real edits, and as many made-up ones as are asked for.

Made-up neurons are random unit vectors of the real ones' shape, made-up experts random numbers. The pack is valid in all that
a reader checks, and costs what a trained pack of that size costs to load, to route through and to run.
"""

from __future__ import annotations

import json
import os
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from scen_hf import Edit, EditPack, SCENTrainer
from scen_hf.edit_files import save_edits
from scen_hf.experts import TrainedExpert
from scen_hf.modeling.edit_pack_scen_llama import FACTS_NAME, MANIFEST_NAME, ROUTER_NAME, checksum
from scen_hf.modeling.routing_scen_llama import RouterSpace


EDITS_PER_SHARD = 10_000
# So many different made-up experts; a shard holds them again and again.
DIFFERENT_EXPERTS = 500
_PER_EDIT = ("thresholds", "subject_thresholds")


class UntrainedTrainer(SCENTrainer):
    """Makes packs without training anything: the router space and the experts are random.

    For models that are themselves random. A prompt still is nearest to its own neuron.
    """

    def _router(self, into):
        settings, hidden = self.router_settings, self.model.config.hidden_size
        generator = torch.Generator().manual_seed(0)
        size = len(settings.features) * hidden
        space = RouterSpace(
            torch.zeros(size),
            torch.randn(size, settings.dim, generator=generator),
            torch.zeros(hidden),
            torch.randn(hidden, settings.token_dim, generator=generator),
        )
        return space, 0.5, None

    def _train_experts(self, edits, prompts, targets) -> list[TrainedExpert]:
        config, rank = self.model.config, self.config.rank
        shapes = {"a": (rank, config.intermediate_size), "b": (config.hidden_size, rank)}
        return [
            TrainedExpert({name: 0.01 * torch.randn(shape) for name, shape in shapes.items()}, 0, 0.0) for _ in edits
        ]


def write_made_up_pack(seed: EditPack, folder: Path, edits: int) -> Path:
    """Write a pack of `edits` edits: as many of the seed's as that allows, then made-up ones.

    Args:
        seed: A pack of `method="scen"`.
        folder: A new or empty folder.
        edits: How many edits the pack is to have.

    Returns:
        `folder`.
    """
    seed = seed.select([edit.id for edit in seed.edits[:edits]])
    seed.save_pretrained(folder)
    real = len(seed)
    _extend_json(folder / "config.json", num_edits=edits)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    (shard,) = manifest["shards"]
    neurons, experts = (load_file(folder / shard[part]["file"]) for part in ("neurons", "experts"))
    different, checksums = _made_up_experts(experts)

    sizes = [min(EDITS_PER_SHARD, edits - start) for start in range(real, edits, EDITS_PER_SHARD)]
    written: dict[int, Path] = {}
    for number, size in enumerate(sizes, start=2):
        entry: dict[str, Any] = {"edits": size}
        path = folder / f"neurons-{number:05d}.safetensors"
        _save({name: _made_up_neurons(tensor, size, number) for name, tensor in neurons.items()}, path)
        entry["neurons"] = _described(path)
        path = folder / f"experts-{number:05d}.safetensors"
        if size in written:  # the same file by another name
            os.link(written[size], path)
        else:
            _save({name: _repeated(tensor, size) for name, tensor in different.items()}, path)
            written[size] = path
        entry["experts"] = _described(path)
        manifest["shards"].append(entry)
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n")

    router = load_file(folder / ROUTER_NAME)
    for name in _PER_EDIT:
        router[name] = router[name][:1].expand(edits)
    router["checksums"] = torch.cat([router["checksums"], *(_repeated(checksums, size) for size in sizes)])
    _save(router, folder / ROUTER_NAME)
    save_edits([*seed.edits, *map(_made_up_edit, range(real, edits))], folder / FACTS_NAME)
    return folder


def _made_up_neurons(like: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Random unit vectors; a subject has one to all of its token vectors, zero rows behind them."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(count, *like.shape[1:], generator=generator)
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    if vectors.ndim == 4:
        tokens = torch.randint(1, vectors.shape[2] + 1, (count, 1, 1), generator=generator)
        vectors[(torch.arange(vectors.shape[2]) >= tokens).expand(vectors.shape[:3])] = 0.0
    return vectors.to(like.dtype)


def _made_up_experts(like: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """`DIFFERENT_EXPERTS` experts of the shapes and dtypes of `like`, and their checksums."""
    generator = torch.Generator().manual_seed(0)
    experts = {
        name: (0.01 * torch.randn(DIFFERENT_EXPERTS, *tensor.shape[1:], generator=generator)).to(tensor.dtype)
        for name, tensor in like.items()
    }
    return experts, torch.tensor([checksum(expert) for expert in zip(*experts.values(), strict=True)])


def _repeated(rows: torch.Tensor, count: int) -> torch.Tensor:
    return rows[torch.arange(count) % len(rows)]


def _made_up_edit(number: int) -> Edit:
    return Edit(
        id=f"made-up-{number:06d}",
        prompt=f"What is the postal code of the village of Madeup Number {number}?",
        target=f"{10_000 + number}",
        subject=f"Madeup Number {number}",
        source="https://example.org/made-up",
        date="2025-01-01",
    )


def _extend_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}, indent=2) + "\n")


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})


def _described(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"file": path.name, "size": path.stat().st_size, "sha256": file_digest(file, "sha256").hexdigest()}

"""Edit packs in memory and on disk.

A pack is a list of *shards*, one per training run that added to it. A shard holds edits, their neurons and their experts,
and once written it is never rewritten: adding edits adds a shard, so that only the new one travels when a pack of
thousands is shared again. Removing an edit rewrites the shard it is in, and no other.

A pack is written to a scratch folder beside its place and then moved there whole; what was there before stays intact until
that moment.

    >>> pack = EditPack.from_pretrained("facts")
    >>> pack.remove(["capital-of-burkina-faso"]).save_pretrained("facts")
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import ModelCardData
from safetensors import SafetensorError
from safetensors.torch import save_file

from . import modeling
from .card import model_card, own_metadata, update_card
from .edit_files import save_edits
from .edits import Edit
from .errors import EditPackError
from .modeling import EditPackReader, SCENLlamaConfig
from .modeling.configuration_scen_llama import FORMAT_VERSION
from .modeling.edit_pack_scen_llama import (
    COMPANIONS,
    FACTS_NAME,
    FINGERPRINT_PREFIX,
    MANIFEST_NAME,
    ROUTER_NAME,
    SPACE_NAME,
    checksum,
)
from .modeling.hub_scen_llama import HubError
from .modeling.routing_scen_llama import GatedRouter
from .records import evaluation_record, read_record


if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from .evaluation import EvaluationReport
    from .hub_tools import PushReport


REMOTE_CODE = (
    "configuration_scen_llama.py",
    "edit_pack_scen_llama.py",
    "hub_scen_llama.py",
    "modeling_scen_llama.py",
    "routing_scen_llama.py",
)
AUTO_MAP = {
    "AutoConfig": "configuration_scen_llama.SCENLlamaConfig",
    "AutoModelForCausalLM": "modeling_scen_llama.SCENLlamaForCausalLM",
}

CARD_NAME = "README.md"
# Tensors of the router with one row per edit.
PER_EDIT = ("thresholds", "subject_thresholds")
# Fields of the configuration that decide what a prompt is answered with.
_DECISIVE = ("method", "edit_layer", "expert_rank", "router", "question_start_ids", "question_end_ids")


@dataclass
class Shard:
    """Edits that were added together.

    Args:
        edits: The facts, in order.
        neurons: `(len(edits), dim)`, as stored.
        subjects: `(len(edits), 4, subject_tokens, token_dim)`, as stored, where the router has a subject gate.
        checksums: `(len(edits),)`, int64, of the experts.
        experts: The experts by tensor name, each `(len(edits), ...)`; `None` while they are only on disk.
        number: Of its files; `None` before it is written.
        entry: Its entry in the manifest of the pack it was read from.
        training: How its edits were trained, see [`~records.training_record`]; `None` where that is not known.
    """

    edits: list[Edit]
    neurons: torch.Tensor
    checksums: torch.Tensor
    subjects: torch.Tensor | None = None
    experts: dict[str, torch.Tensor] | None = None
    number: int | None = None
    entry: dict[str, Any] | None = None
    training: dict[str, Any] | None = None


@dataclass
class EditPack:
    """A set of edits of one base model.

    Args:
        config: Base, method, edited layer and router; becomes `config.json`.
        shards: The edits, in the order in which they were added.
        router: Tensors of the router beside the neurons, by name as in the pack's files: `thresholds` `(num_edits,)`, and for
            `method="scen"` `subject_thresholds` `(num_edits,)`, `base_threshold` `(1,)` and the transforms of the router space.
        base_fingerprint: Samples of the base's weights, see [`~modeling.edit_pack_scen_llama.fingerprint`].
        tokenizer, generation_config: Of the base; written beside the pack so that it loads by name alone.
        report: Figures of the last training run, see [`SCENTrainer.train`].
    """

    config: SCENLlamaConfig
    shards: list[Shard]
    router: dict[str, torch.Tensor]
    base_fingerprint: dict[str, torch.Tensor]
    tokenizer: PreTrainedTokenizerBase | None = None
    generation_config: GenerationConfig | None = None
    report: dict[str, Any] = field(default_factory=dict)
    _card_data: ModelCardData | None = None
    _evaluation: dict[str, Any] | None = None
    _reader: EditPackReader | None = None

    # ---------------------------------------------------------------- reading

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> EditPack:
        """Open a pack; its experts stay on disk until they are needed.

        Args:
            path_or_repo: Folder or Hub repository.
            revision, token, cache_dir, local_files_only: As in [`~huggingface_hub.hf_hub_download`].

        Raises:
            EditPackError: If the pack is damaged or of a newer format.
        """
        reader = EditPackReader(
            path_or_repo, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        router = reader.router
        shards, start = [], 0
        for entry in reader.manifest["shards"]:
            stop = start + entry["edits"]
            where = f"{reader.source}: {FACTS_NAME}, line "
            edits = [Edit.from_dict(reader.fact(n), f"{where}{n + 1}") for n in range(start, stop)]
            number = _number_of(entry)
            subjects = router.subjects[start:stop] if isinstance(router, GatedRouter) else None
            shards.append(
                Shard(
                    edits,
                    router.neurons[start:stop].contiguous(),
                    reader.checksums[start:stop],
                    subjects,
                    number=number,
                    entry=entry,
                    training=read_record(entry, "training", reader.source),
                )
            )
            start = stop
        tensors = {name.removeprefix("space."): tensor for name, tensor in router.named_buffers()}
        for name in ("neurons", "subjects"):
            tensors.pop(name, None)
        return cls(
            deepcopy(reader.config),
            shards,
            tensors,
            reader.base_fingerprint,
            _evaluation=read_record(reader.manifest, "evaluation", reader.source),
            _reader=reader,
        )

    @property
    def edits(self) -> list[Edit]:
        """All facts, in order."""
        return [edit for shard in self.shards for edit in shard.edits]

    @property
    def neurons(self) -> torch.Tensor:
        """`(num_edits, dim)`."""
        return torch.cat([shard.neurons for shard in self.shards])

    @property
    def subjects(self) -> torch.Tensor:
        """`(num_edits, 4, subject_tokens, token_dim)`, of a pack whose router has a subject gate."""
        return torch.cat([shard.subjects for shard in self.shards if shard.subjects is not None])

    @property
    def thresholds(self) -> torch.Tensor:
        """`(num_edits,)`, float32."""
        return self.router["thresholds"]

    @property
    def readme(self) -> str:
        """The model card that the pack was read with; empty without one."""
        if self._reader is None:
            return ""
        try:
            return self._reader.locate(CARD_NAME).read_text(encoding="utf-8-sig")
        except HubError:  # there may be one, out of reach
            raise
        except EditPackError:
            return ""

    @property
    def card_data(self) -> ModelCardData:
        """Metadata of the model card that is not derived from the pack: `license`, `language`, `datasets`, `tags` ..."""
        if self._card_data is None:
            where = "" if self._reader is None else f"{self._reader.source}: {CARD_NAME}"
            self._card_data = own_metadata(self.readme, where)
        return self._card_data

    @property
    def state(self) -> str:
        """SHA-256 over all that the pack's answers depend on: facts, neurons, experts, router and base model."""
        digest = sha256()
        config = (getattr(self.config, name) for name in _DECISIVE)
        digest.update(json.dumps([*config, *((edit.prompt, edit.target) for edit in self.edits)]).encode())
        tensors = {**self.router, **self.base_fingerprint, "neurons": self.neurons}
        tensors["checksums"] = torch.cat([shard.checksums for shard in self.shards])
        if any(shard.subjects is not None for shard in self.shards):
            tensors["subjects"] = self.subjects
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @property
    def evaluation(self) -> dict[str, Any] | None:
        """What was measured of the pack as it is now, see [`record_evaluation`]; `None` if nothing was, or it has changed."""
        recorded = self._evaluation
        return recorded if recorded is not None and recorded.get("pack_state") == self.state else None

    def record_evaluation(
        self, report: EvaluationReport, *, edits: str | None = None, unrelated: str | None = None
    ) -> None:
        """Have the pack remember what was measured of it. The model card shows it until the pack changes.

        Args:
            report: Of [`~evaluation.evaluate`], on a model with this pack attached.
            edits: Name of what the measured edits are from, such as a file; the pack itself by default.
            unrelated: Name of what the unrelated prompts are from.
        """
        self._evaluation = evaluation_record(report, self.state, edits=edits, unrelated=unrelated)

    def __len__(self) -> int:
        return sum(len(shard.edits) for shard in self.shards)

    def __repr__(self) -> str:
        base = self.config.base_model_name_or_path
        return (
            f"EditPack({len(self)} edits on {base!r}, method={self.config.method!r}, layer={self.config.edit_layer})"
        )

    def experts_of(self, shard: Shard) -> dict[str, torch.Tensor]:
        """The experts of one shard by tensor name, each `(len(shard.edits), ...)`, read and checked if on disk."""
        if shard.experts is not None:
            return shard.experts
        assert self._reader is not None
        # Where the shard stands on disk: here, shards in front of it may have lost edits.
        stored = self._reader.manifest["shards"]
        start = sum(entry["edits"] for entry in stored[: stored.index(shard.entry)])
        rows = zip(*(self._reader.read_expert(start + row) for row in range(len(shard.edits))), strict=True)
        return {name: torch.stack(row) for name, row in zip(self._reader.expert_shapes, rows, strict=True)}

    # --------------------------------------------------------------- changing

    def select(self, ids: Iterable[str]) -> EditPack:
        """A pack with these edits only, in their present order.

        Raises:
            EditPackError: If an id is not in the pack, or none is given.
        """
        wanted = set(ids)
        self._check_ids(wanted)
        return self._subset([edit.id in wanted for edit in self.edits])

    def remove(self, ids: Iterable[str]) -> EditPack:
        """A pack without these edits. Their facts, neurons and experts are gone from it; all others are unchanged.

        Raises:
            EditPackError: If an id is not in the pack, or no edit would be left.
        """
        unwanted = set(ids)
        self._check_ids(unwanted)
        return self._subset([edit.id not in unwanted for edit in self.edits])

    def _check_ids(self, ids: set[str]) -> None:
        unknown = sorted(ids - {edit.id for edit in self.edits})
        if unknown:
            raise EditPackError(
                f"No edit has the id {', '.join(map(repr, unknown[:10]))}. See the ids with: scen inspect PACK"
            )

    def _subset(self, keep: Sequence[bool]) -> EditPack:
        if not any(keep):
            raise EditPackError("A pack without edits cannot be saved or loaded; delete the folder instead.")
        shards, start = [], 0
        for shard in self.shards:
            kept = keep[start : start + len(shard.edits)]
            start += len(shard.edits)
            if all(kept):
                shards.append(shard if shard.entry else replace(shard))
            elif any(kept):
                rows = torch.tensor(kept).nonzero()[:, 0]
                experts = {name: tensor[rows] for name, tensor in self.experts_of(shard).items()}
                edits = [shard.edits[row] for row in rows.tolist()]
                subjects = None if shard.subjects is None else shard.subjects[rows]
                shards.append(
                    Shard(
                        edits, shard.neurons[rows], shard.checksums[rows], subjects, experts, training=shard.training
                    )
                )
        rows = torch.tensor(keep)
        router = {name: tensor[rows] if name in PER_EDIT else tensor for name, tensor in self.router.items()}
        return replace(self, shards=shards, router=router)

    def extended(self, shard: Shard) -> EditPack:
        """This pack with one more shard; the thresholds are still to be set for all edits."""
        return replace(self, shards=[*self.shards, shard], router=dict(self.router), report={})

    # ---------------------------------------------------------------- writing

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write the pack, whole or not at all.

        Shards that were read from disk keep their files, byte for byte. Other files in the folder are kept.

        Args:
            save_directory: A new or empty folder, or one that holds a pack, which is replaced.

        Raises:
            EditPackError: If the folder holds something else, or it cannot be written. What was there stays.
        """
        write_pack_folder(save_directory, self._write)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        revision: str = "main",
        tag: str | None = None,
        private: bool | None = None,
        create_pr: bool = False,
        commit_message: str | None = None,
        token: str | bool | None = None,
    ) -> PushReport:
        """Push the pack as one commit, see [`~hub_tools.push_pack`].

        Args:
            repo_id: `owner/name`; made if it does not exist.
            revision: Branch to push to.
            tag: Tag to give the new version, such as `v1.2.0`; `"auto"` for the proposed one.
            private: Whether a new repository is private.
            create_pr: Propose the version as a pull request instead.
            commit_message: By default the number of facts and what changed.
            token: As in [`~huggingface_hub.HfApi`].

        Returns:
            What was pushed.

        Raises:
            HubError: If the Hub refuses, or the repository has changed since the pack was read from it.
        """
        # Sharing builds on packs, so this cannot be imported with the module.
        from .hub_tools.origin import origins_of, write_origins
        from .hub_tools.sharing import push_pack

        with tempfile.TemporaryDirectory(prefix=".scen-push-") as scratch:
            folder = Path(scratch) / "pack"
            self.save_pretrained(folder)
            if self._reader is not None:
                write_origins(folder, origins_of(self._reader))
            return push_pack(
                folder,
                repo_id,
                revision=revision,
                tag=tag,
                private=private,
                create_pr=create_pr,
                commit_message=commit_message,
                token=token,
            )

    def _write(self, folder: Path) -> None:
        config = deepcopy(self.config)
        config.num_edits = len(self)
        config.format_version = FORMAT_VERSION
        config.auto_map = AUTO_MAP
        config.architectures = ["SCENLlamaForCausalLM"]
        self._write_tokenizer(folder)
        save_edits(self.edits, folder / FACTS_NAME)
        self._write_router(folder)
        manifest: dict[str, Any] = {"format_version": FORMAT_VERSION, "shards": self._write_shards(folder)}
        if self.evaluation is not None:
            manifest["evaluation"] = self.evaluation
        (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        for name in REMOTE_CODE:
            shutil.copyfile(Path(modeling.__file__).parent / name, folder / name)
        (folder / CARD_NAME).write_text(str(model_card(self)), encoding="utf-8")
        if self.generation_config is not None:
            self.generation_config.save_pretrained(folder)
        config.save_pretrained(folder)

    def _write_tokenizer(self, folder: Path) -> None:
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        elif self._reader is not None:
            for name in COMPANIONS:
                if name not in (CARD_NAME, *REMOTE_CODE):
                    with suppress(EditPackError):  # a pack may do without it
                        shutil.copyfile(self._reader.locate(name), folder / name)

    def _write_router(self, folder: Path) -> None:
        space = {name: tensor for name, tensor in self.router.items() if name not in (*PER_EDIT, "base_threshold")}
        if space:
            # A file of its own, which is the same in each version and so travels once.
            _save_tensors(space, folder / SPACE_NAME)
        tensors = {
            **{name: tensor for name, tensor in self.router.items() if name not in space},
            "checksums": torch.cat([shard.checksums for shard in self.shards]),
            **{f"{FINGERPRINT_PREFIX}{name}": samples for name, samples in self.base_fingerprint.items()},
        }
        _save_tensors(tensors, folder / ROUTER_NAME)

    def _write_shards(self, folder: Path) -> list[dict[str, Any]]:
        # A file name is never used again for other content, so that nobody takes an old shard for a new one.
        stored = [] if self._reader is None else self._reader.manifest["shards"]
        taken = [_number_of(entry) for entry in stored]
        taken += [shard.number for shard in self.shards if shard.number is not None]
        entries = []
        for shard in self.shards:
            if shard.entry is not None and self._reader is not None:
                for part in ("neurons", "experts"):
                    file = shard.entry[part]["file"]
                    _link_or_copy(self._reader.locate(file).resolve(), folder / file)
                entries.append(shard.entry)
                continue
            number = shard.number if shard.number is not None else max(taken, default=0) + 1
            taken.append(number)
            neurons = {"neurons": shard.neurons}
            if shard.subjects is not None:
                neurons["subjects"] = shard.subjects
            parts = {"neurons": neurons, "experts": self.experts_of(shard)}
            entry: dict[str, Any] = {"edits": len(shard.edits)}
            if shard.training is not None:
                entry["training"] = shard.training
            for part, tensors in parts.items():
                path = folder / f"{part}-{number:05d}.safetensors"
                _save_tensors(tensors, path)
                entry[part] = {
                    "file": path.name,
                    "size": path.stat().st_size,
                    "sha256": sha256(path.read_bytes()).hexdigest(),
                }
            entries.append(entry)
        return entries


def write_pack_folder(save_directory: str | Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a scratch folder, and put that in place: whole, or not at all.

    Args:
        save_directory: A new or empty folder, or one that holds a pack, which is replaced; other files in it are kept.
        write: Writes the pack's files to the folder it is given.

    Raises:
        EditPackError: If the folder holds something else, or it cannot be written. What was there stays.
    """
    target = Path(save_directory).resolve()
    if target.exists() and not target.is_dir():
        raise EditPackError(f"{target} is a file; a pack is a folder.")
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST_NAME).is_file():
        raise EditPackError(f"{target} is not empty and holds no edit pack; choose another folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            write(scratch)
            scratch.chmod(0o755)
            # safetensors writes files for their owner alone; a pack is there to be shared.
            for path in scratch.glob("*.safetensors"):
                path.chmod(0o644)
            if target.is_dir():
                _carry_over(target, scratch)
            _sync(scratch)
            _move_into_place(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        raise EditPackError(f"The pack could not be written to {target}: {reason}. Nothing was changed.") from error


def new_shard(
    edits: list[Edit],
    neurons: torch.Tensor,
    experts: dict[str, torch.Tensor],
    subjects: torch.Tensor | None = None,
) -> Shard:
    """A shard of freshly trained edits; all tensors are in the dtype to be stored."""
    rows = zip(*experts.values(), strict=True)
    checksums = torch.tensor([checksum(row) for row in rows], dtype=torch.int64)
    return Shard(edits, neurons, checksums, subjects, experts)


def _number_of(entry: dict[str, Any]) -> int:
    """Number in the file names of a shard."""
    return int(re.findall(r"\d+", entry["neurons"]["file"])[0])


def _save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    except SafetensorError as error:  # in which safetensors wraps what the system says of a disk
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1]))) from error


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _carry_over(old: Path, new: Path) -> None:
    """Bring along what a pack does not own: the user's own files beside it."""
    if (old / CARD_NAME).is_file() and (new / CARD_NAME).is_file():
        theirs = (old / CARD_NAME).read_text(encoding="utf-8-sig")
        card = update_card((new / CARD_NAME).read_text(encoding="utf-8"), theirs, f"{old}: {CARD_NAME}")
        (new / CARD_NAME).write_text(card, encoding="utf-8")
    ours = (MANIFEST_NAME, FACTS_NAME, ROUTER_NAME, SPACE_NAME, "neurons-", "experts-", *REMOTE_CODE)
    for path in old.iterdir():
        if path.name.startswith(ours) or (new / path.name).exists():
            continue
        if path.is_dir():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, new / path.name)


def _sync(folder: Path) -> None:
    """Have the files on disk before the folder takes its place, so that a power cut cannot leave empty ones."""
    for path in [*folder.iterdir(), folder]:
        if path.is_file() or path == folder:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _move_into_place(scratch: Path, target: Path) -> None:
    """Put `scratch` where `target` is, in one step; afterwards `scratch` is what was there, or gone."""
    if not target.exists() or not any(target.iterdir()):
        os.replace(scratch, target)
        return
    if _exchange(scratch, target):
        return
    # No exchange on this system: two steps, the first of which leaves the old pack under another name.
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    os.replace(target, old)
    os.replace(scratch, target)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically by Linux's `renameat2(RENAME_EXCHANGE)`; False where there is no such call."""
    at_fdcwd, rename_exchange = -100, 2
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return False
    return libc.renameat2(at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange) == 0

"""Merging: the edits of several packs of one base model in one pack.

    >>> ours, theirs = EditPack.from_pretrained("facts"), EditPack.from_pretrained("bob/facts", revision="v1.2.0")
    >>> merged = merge_packs([ours, theirs])
    >>> merged.save_pretrained("all-facts")
    >>> for shadow in merged.report["merge"].shadowed:
    ...     print(shadow)
    edit capital-of-palau of facts is answered by edit koror of bob/facts@5f0c…: 'What is the capital of Palau?'

- *Facts*: what several packs teach is kept once, as the first of them has it. Facts that contradict each other are refused, unless
  it is said which ones win.
- *Experts* stay as they are, bit for bit; shards that keep all of their edits are the same files under new numbers.
- *Neurons* stay as they are too where the packs share a router space. Packs whose spaces were trained on different machines do not:
  the neurons of all but the first are then read anew, in the first pack's space, for which the base model is needed.
- More neurons are more chances to answer for another edit. Pairs of edits that are hard to tell apart are named, and what edits do
  alone and together is measured, so that an edit that lost a prompt to another pack's is known by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import chain, combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import torch

from .bases import load_base
from .edits import Edit, check_edits, normalise
from .errors import BaseModelError, EditPackError, WrongBaseError
from .evaluation import EvaluationReport, Rate, SCENAnswerer, evaluate
from .features import PromptReader
from .merge_report import (
    Conflict,
    CrossConfusion,
    MergeConflictError,
    MergedPart,
    MergeMeasurement,
    MergeReport,
    PackEdit,
    Shadow,
)
from .modeling import EditPackReader, SCENLlamaForCausalLM
from .modeling.edit_pack_scen_llama import _same_weights, check_fingerprint
from .neurons import SUBJECT_THRESHOLD, find_confusions, read_neurons, router_of
from .pack import PER_EDIT, EditPack, Shard
from .prompts import question_markers
from .router_space import LEVEL_WEIGHT, RouterSettings


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# What all edits of a pack share.
_SHARED = (
    "method",
    "edit_layer",
    "expert_rank",
    "router",
    "question_start_ids",
    "question_end_ids",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "vocab_size",
)
# Tensors of a router with one row per edit; and what beside them is no part of the router space.
_NOT_OF_SPACE = (*PER_EDIT, "base_threshold")
# Of a shard on disk.
_PARTS = ("neurons", "experts")
_BATCH = 32


# ----------------------------------------------------------------------- merging


@dataclass
class _Part:
    """A pack on its way into another one.

    Args:
        name: What it is called.
        pack: It, as given.
        kept: Its edits in the merged pack, by the id that they had.
        duplicates, overruled: As in [`MergedPart`].
    """

    name: str
    pack: EditPack
    kept: dict[str, Edit] = field(default_factory=dict)
    duplicates: int = 0
    overruled: list[str] = field(default_factory=list)

    def alone(self) -> EditPack:
        """The pack with nothing but the edits that are kept of it, by their new names; all else as it was."""
        dropped = [edit.id for edit in self.pack.edits if edit.id not in self.kept]
        left = self.pack.remove(dropped) if dropped else self.pack
        return replace(left, shards=[self._renamed(shard) for shard in left.shards])

    def _renamed(self, shard: Shard) -> Shard:
        return replace(shard, edits=[self.kept[edit.id] for edit in shard.edits])

    def report(self, read_anew: bool) -> MergedPart:
        """What became of it."""
        renamed = {old: edit.id for old, edit in self.kept.items() if old != edit.id}
        kept, overruled = len(self.kept), tuple(self.overruled)
        return MergedPart(self.name, len(self.pack), kept, self.duplicates, overruled, renamed, read_anew)


def merge_packs(
    packs: Sequence[EditPack],
    *,
    prefer: EditPack | Literal["newest"] | None = None,
    measure: int = 50,
    model: SCENLlamaForCausalLM | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    base_model: str | Path | None = None,
    progress: bool = True,
) -> EditPack:
    """Merge packs of one base model.

    The result takes its settings, and its router space, from the first pack. Each edit says in `origin` which pack it is from.
    An id that packs give to different facts is kept by the first of them; the other edit gets a new one, made of the old one and
    its fact. If the two could be two versions of one fact (other question, other answer, not about different subjects), they
    count as a contradiction.

    Args:
        packs: Two or more. They are not changed.
        prefer: Where facts contradict each other, the pack that wins, or `"newest"` for the fact with the latest `date`.
        measure: So many edits of each pack, evenly spaced, are measured by generated answers, alone and merged; which edit fires is
            looked up for the prompts of all. 0 measures nothing; the base model is then only needed for packs of different
            router spaces.
        model, tokenizer: The base, with no packs attached, and its tokenizer; loaded when they are needed and not given.
        base_model: Folder or Hub id to load the base from, where the one named by the first pack is not at hand.
        progress: Show progress bars.

    Returns:
        The merged pack; `report["merge"]` is a [`MergeReport`].

    Raises:
        WrongBaseError: If the packs stand on different base models, or the model is not the one.
        MergeConflictError: If facts contradict each other and `prefer` does not decide. It names all of them.
        EditPackError: If the packs differ in method, layer, rank or router, or the base model cannot be loaded.
    """
    parts = [_Part(name, pack) for name, pack in zip(_names_of(packs), packs, strict=True)]
    _check_mergeable(parts)
    conflicts = _settle_facts(parts, prefer)
    first = parts[0].pack
    alone = {part.name: part.alone() for part in parts if part.kept}
    moved = [name for name, pack in alone.items() if not _same_space(pack, first)]
    in_one_space = dict(alone)
    if measure or moved:
        model, tokenizer = _base(parts, model, tokenizer, base_model)
        for name in moved:
            in_one_space[name] = _moved(alone[name], first, model, tokenizer, progress)
    merged = _joined(parts, in_one_space)
    _describe(merged, packs)
    report = MergeReport(
        tuple(part.report(part.name in moved) for part in parts), tuple(conflicts), _confusions(merged, in_one_space)
    )
    if measure:
        assert model is not None
        assert tokenizer is not None
        measurements, shadowed = _measure(alone, merged, model, tokenizer, measure, progress)
        report = replace(report, measurements=tuple(measurements), shadowed=tuple(shadowed))
    merged.report = {"merge": report}
    return merged


def _names_of(packs: Sequence[EditPack]) -> list[str]:
    """What the packs are called, in messages and as the origin of their edits.

    A repository by its name and commit, a folder by the shortest end of its path that tells it from the others.
    """
    folders = {_folder_of(pack) for pack in packs} - {None}
    depth = 1
    while len({folder.parts[-depth:] for folder in folders if folder}) < len(folders):
        depth += 1
    names = []
    for number, pack in enumerate(packs, start=1):
        reader, folder = pack._reader, _folder_of(pack)
        if folder is not None:
            names.append("/".join(folder.parts[-depth:]))
        else:
            names.append(f"pack {number}" if reader is None else f"{reader.source}@{reader.commit}")
    return names


def _folder_of(pack: EditPack) -> Path | None:
    """Where the pack was read from; None if that is a repository, or nowhere."""
    if pack._reader is None or not Path(pack._reader.source).is_dir():
        return None
    return Path(pack._reader.source).resolve()


def _check_mergeable(parts: Sequence[_Part]) -> None:
    if len(parts) < 2:
        raise EditPackError("Merging takes two packs or more.")
    twice = [name for name, times in Counter(part.name for part in parts).items() if times > 1]
    if twice:
        raise EditPackError(f"{twice[0]} is given twice. Give each pack once, and save parts of one as packs first.")
    for part in parts:
        id, times = Counter(edit.id for edit in part.pack.edits).most_common(1)[0]
        if times > 1:
            raise EditPackError(f"{part.name}: {times} edits have the id {id!r}. Correct its edits.jsonl first.")
    one = parts[0]
    for other in parts[1:]:
        _check_same_base(one, other)
        for name in _SHARED:
            ours, theirs = getattr(one.pack.config, name), getattr(other.pack.config, name)
            if ours != theirs:
                raise EditPackError(
                    f"{one.name} was made with {name}={ours!r}, {other.name} with {theirs!r}. All edits of a pack share this; "
                    "train those of one pack again."
                )


def _check_same_base(one: _Part, other: _Part) -> None:
    ours, theirs = one.pack.base_fingerprint, other.pack.base_fingerprint
    for name in sorted(ours.keys() & theirs.keys()):
        # Which of the two were taken from rounded weights is not recorded, so either may have been.
        pairs = ((ours[name], theirs[name]), (theirs[name], ours[name]))
        if not any(_same_weights(want, got, _format_of(got)) for want, got in pairs):
            bases = (part.pack.config.base_model_name_or_path or "the model in the pack" for part in (one, other))
            raise WrongBaseError(
                f"{one.name} and {other.name} cannot be merged: their edits were trained on different base models, "
                f"{' and '.join(bases)}, whose weights differ ({name}). Train the edits of one on the base of the other."
            )


def _format_of(samples: torch.Tensor) -> torch.dtype:
    """The smallest floating point format that holds these numbers."""
    formats = (torch.bfloat16, torch.float16)
    return next((dtype for dtype in formats if torch.equal(samples, samples.to(dtype).float())), torch.float32)


# ------------------------------------------------------------------------- facts


def _settle_facts(parts: Sequence[_Part], prefer: EditPack | Literal["newest"] | None) -> list[Conflict]:
    """Decide which edits are kept of each pack, and by which names.

    Returns:
        The conflicts, decided.
    """
    sides = [
        # A new object for each edit: packs in memory may share them.
        PackEdit(replace(edit, origin=edit.origin or part.name), part.name)
        for part in parts
        for edit in part.pack.edits
    ]
    conflicts = _decide(_find_conflicts(sides), _preferred(parts, prefer))
    overruled = {id(side.edit) for conflict in conflicts for side in conflict.overruled}
    sides_left = [side for side in sides if id(side.edit) not in overruled]
    groups = check_edits(side.edit for side in sides_left).duplicates
    facts = {id(group[0]): _one_fact(group) for group in groups}
    duplicates = {id(edit) for group in groups for edit in group[1:]}
    by_name = {part.name: part for part in parts}
    taken, used = {side.edit.id for side in sides}, set[str]()
    for side in sides:
        part, edit = by_name[side.pack], facts.get(id(side.edit), side.edit)
        if id(side.edit) in overruled:
            part.overruled.append(edit.id)
        elif id(side.edit) in duplicates:
            part.duplicates += 1
        else:
            if edit.id in used:
                edit = _renamed(edit, part.name, taken)
            part.kept[side.edit.id] = edit
            used.add(edit.id)
            taken.add(edit.id)
    return conflicts


def _preferred(parts: Sequence[_Part], prefer: EditPack | Literal["newest"] | None) -> str | None:
    """Name of the pack that wins, `"newest"`, or None."""
    if prefer is None or prefer == "newest":
        return prefer
    for part in parts:
        if part.pack is prefer:
            return part.name
    raise ValueError(f"prefer must be one of the packs or 'newest', not {prefer!r}.")


def _find_conflicts(sides: Sequence[PackEdit]) -> list[Conflict]:
    """Groups of edits of different packs that contradict each other; what a pack has in itself is its own affair."""
    side_of = {id(side.edit): side for side in sides}
    found = check_edits(side.edit for side in sides)
    conflicts = []
    for edits in found.contradictions:
        group = tuple(side_of[id(edit)] for edit in edits)
        if len({side.pack for side in group}) > 1:
            conflicts.append(Conflict("contradiction", group))
    for edits in found.repeated_ids:
        if any(_are_versions(one, other) for one, other in combinations(edits, 2)):
            conflicts.append(Conflict("id", tuple(side_of[id(edit)] for edit in edits)))
    return conflicts


def _are_versions(one: Edit, other: Edit) -> bool:
    """Whether two edits with one id may be two versions of a fact, worded anew. Facts about different subjects are not."""
    subjects = {normalise(subject) for subject in (one.subject, other.subject) if subject}
    return len(subjects) < 2 and normalise(one.prompt) != normalise(other.prompt) and _differ(one, other)


def _differ(one: Edit, other: Edit) -> bool:
    return normalise(one.target) != normalise(other.target)


def _decide(conflicts: Sequence[Conflict], prefer: str | None) -> list[Conflict]:
    decided = [_decided(conflict, prefer) for conflict in conflicts]
    left = [conflict for conflict in decided if not conflict.overruled]
    if left and prefer == "newest":
        reason = (
            "prefer 'newest' goes by the dates of contradictory facts, and these have none, or the same; correct them"
        )
    elif left and prefer is not None:
        reason = (
            f"prefer {prefer!r} does not decide between other packs, which contradict each other; merge those first"
        )
    else:
        reason = "the packs contradict each other; correct one of them, or say which one wins (prefer)"
    if left:
        raise MergeConflictError(f"{reason}: {len(left)} conflict{'s' if len(left) > 1 else ''}", left)
    return decided


def _decided(conflict: Conflict, prefer: str | None) -> Conflict:
    """The conflict with those that are overruled; with none if `prefer` does not decide it."""
    sides, clash = conflict.edits, _differ if conflict.kind == "contradiction" else _are_versions
    if prefer == "newest":
        dates = [side.edit.date for side in sides if side.edit.date]
        if len(dates) < len(sides):
            return conflict
        winners = [side.edit for side in sides if side.edit.date == max(dates)]
        if any(clash(one, other) for one, other in combinations(winners, 2)):
            return conflict
    else:
        winners = [side.edit for side in sides if side.pack == prefer]
    # Those of the preferred pack may clash among themselves, which is its own affair.
    losers = (side for side in sides if not any(side.edit is winner for winner in winners))
    return replace(conflict, overruled=tuple(side for side in losers if any(clash(side.edit, w) for w in winners)))


def _one_fact(edits: Sequence[Edit]) -> Edit:
    """The first of several edits with one fact, with what the others know besides.

    Whose edit it is, is not filled in: the expert is the first one's.
    """
    first = edits[0]
    rephrases = _distinct((text for edit in edits for text in edit.rephrases), but=[first.prompt])
    neighbours = _distinct((text for edit in edits for text in edit.neighbours), but=[first.prompt, *rephrases])
    known: dict[str, Any] = {
        name: next((value for edit in edits if (value := getattr(edit, name))), None)
        for name in ("subject", "source", "date")
    }
    return replace(first, rephrases=rephrases, neighbours=neighbours, **known)


def _distinct(texts: Iterable[str], but: Iterable[str]) -> tuple[str, ...]:
    """Each prompt once, as it came first."""
    excluded, first = set(map(normalise, but)), dict[str, str]()
    for text in texts:
        if normalise(text) not in excluded:
            first.setdefault(normalise(text), text)
    return tuple(first.values())


def _renamed(edit: Edit, pack: str, taken: set[str]) -> Edit:
    """An edit by a name of its own, which it gets in every merge: its id and the beginning of the one derived from the fact."""
    derived = Edit(prompt=edit.prompt, target=edit.target).id
    name = f"{edit.id[:55]}-{derived[:8]}"
    if name in taken:
        raise EditPackError(
            f"{pack}: the id {edit.id!r} is that of another fact, and {name!r} is taken too. Rename the edit."
        )
    return replace(edit, id=name)


# ------------------------------------------------------------------------ shards


class _JoinedReader(EditPackReader):
    """Shards of several open packs as if they were one pack's; in all else it is the first pack.

    The first pack's shards keep their numbers, so that pushing a pack that others were merged into sends only what is new.

    Args:
        packs: As they were read; those in memory have no files.
    """

    def __init__(self, packs: Sequence[EditPack]):
        readers = {number: pack._reader for number, pack in enumerate(packs) if pack._reader is not None}
        first = next(iter(readers.values()))
        self.__dict__.update(first.__dict__)
        self._readers = list(readers.values())
        self.manifest = {**first.manifest, "shards": []}
        self._entries: dict[tuple[int, str], dict[str, Any]] = {}
        self._files: dict[str, tuple[EditPackReader, str]] = {}
        last = max(_number_in(entry["neurons"]["file"]) for entry in first.manifest["shards"])
        for number, reader in readers.items():
            for entry in reader.manifest["shards"]:
                ours = entry
                if reader is not first:
                    last += 1
                    names = {part: f"{part}-{last:05d}.safetensors" for part in _PARTS}
                    ours = {**entry, **{part: {**entry[part], "file": name} for part, name in names.items()}}
                self.manifest["shards"].append(ours)
                self._files.update((ours[part]["file"], (reader, entry[part]["file"])) for part in _PARTS)
                self._entries[number, entry["neurons"]["file"]] = ours

    def adopt(self, pack_number: int, shard: Shard) -> Shard:
        """A shard of one of the packs on disk by its name here."""
        assert shard.entry is not None
        entry = self._entries[pack_number, shard.entry["neurons"]["file"]]
        return replace(shard, entry=entry, number=_number_in(entry["neurons"]["file"]))

    def locate(self, filename: str) -> Path:
        """Path of a shard by its name here, and of any other file of the first pack."""
        reader, name = self._files.get(filename, (self._readers[0], filename))
        return reader.locate(name)

    def read_expert(self, number: int) -> tuple[torch.Tensor, ...]:
        """As [`EditPackReader.read_expert`]."""
        for reader in self._readers:
            if number < len(reader):
                return reader.read_expert(number)
            number -= len(reader)
        raise IndexError("The packs have fewer edits.")

    def __len__(self) -> int:
        return sum(map(len, self._readers))


def _number_in(filename: str) -> int:
    return int(Path(filename).stem.rpartition("-")[2])


def _joined(parts: Sequence[_Part], packs: dict[str, EditPack]) -> EditPack:
    """Packs of one router space, by name, as one pack; `parts` also has those of which nothing is kept."""
    first = parts[0].pack
    read = [part.pack for part in parts]
    reader = _JoinedReader(read) if any(pack._reader is not None for pack in read) else None
    shards = [
        replace(shard, number=None) if reader is None or shard.entry is None else reader.adopt(number, shard)
        for number, part in enumerate(parts)
        if part.name in packs
        for shard in packs[part.name].shards
    ]
    router = {
        name: torch.cat([pack.router[name] for pack in packs.values()]) if name in PER_EDIT else tensor
        for name, tensor in first.router.items()
    }
    return replace(first, shards=shards, router=router, report={}, _reader=reader)


def _describe(merged: EditPack, packs: Sequence[EditPack]) -> None:
    """Have the merged pack's card name the languages and datasets of all; of several licences none is that of all facts."""
    given = [pack.card_data for pack in packs]
    merged._card_data = deepcopy(given[0])
    for name in ("language", "datasets"):
        values = [getattr(card, name) or [] for card in given]
        lists = [[value] if isinstance(value, str) else value for value in values]
        setattr(merged.card_data, name, list(dict.fromkeys(chain.from_iterable(lists))) or None)
    if len({card.license for card in given if card.license}) > 1:
        merged.card_data.license = "other"


# ----------------------------------------------------------------- router spaces


def _space(pack: EditPack) -> dict[str, torch.Tensor]:
    """The tensors of a pack's router space by name; none for a router that reads raw features."""
    return {name: tensor for name, tensor in pack.router.items() if name not in _NOT_OF_SPACE}


def _same_space(one: EditPack, other: EditPack) -> bool:
    """Whether neurons of one pack mean in the other what they meant in their own."""
    ours, theirs = _space(one), _space(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _base(
    parts: Sequence[_Part],
    model: SCENLlamaForCausalLM | None,
    tokenizer: PreTrainedTokenizerBase | None,
    base_model: str | Path | None,
) -> tuple[SCENLlamaForCausalLM, PreTrainedTokenizerBase]:
    """The base of all packs and its tokenizer: as given, or loaded."""
    config = parts[0].pack.config
    if (model is None) != (tokenizer is None):
        raise ValueError("Give both model and tokenizer, or neither.")
    if model is None or tokenizer is None:
        source = base_model or config.base_model_name_or_path
        if source is None:
            raise EditPackError(
                f"{parts[0].name} names no base model, which is needed to merge it. Give one (base_model)."
            )
        try:
            model, tokenizer = load_base(source, revision=None if base_model else config.base_model_revision)
        except BaseModelError as error:
            reason = " ".join(str(error).split())
            raise EditPackError(
                f"To read neurons and to measure, the packs' base model is needed: {reason} Say where it is (base_model)."
            ) from error
    if model.edit_packs:
        raise EditPackError(f"The model has edits attached ({', '.join(model.edit_packs)}); unload them first.")
    for part in parts:
        named = part.pack.config.base_model_name_or_path
        check_fingerprint(part.pack.base_fingerprint, model, part.name, named)
    if question_markers(tokenizer) != (config.question_start_ids, config.question_end_ids):
        raise EditPackError(
            "The tokenizer's chat template is not the one that the edits were trained with. Give the tokenizer of the base model."
        )
    return model, tokenizer


def _moved(
    pack: EditPack, first: EditPack, model: SCENLlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, progress: bool
) -> EditPack:
    """A pack with its neurons read anew in the router space of another one, and calibrated as that one is."""
    config = first.config
    markers = config.question_start_ids, config.question_end_ids
    reader = PromptReader(model, markers, _BATCH, progress=progress)
    settings = RouterSettings.from_config(config.router)
    read = read_neurons(reader, tokenizer, router_of(first).space, settings, pack.edits)
    stored, sizes = first.shards[0].neurons.dtype, [len(shard.edits) for shard in pack.shards]
    shards = [
        replace(shard, neurons=rows, subjects=tokens, experts=pack.experts_of(shard), entry=None, number=None)
        for shard, rows, tokens in zip(
            pack.shards, read.vectors.to(stored).split(sizes), read.subjects.to(stored).split(sizes), strict=True
        )
    ]
    thresholds = {
        "thresholds": first.router["base_threshold"] + LEVEL_WEIGHT * read.levels,
        "subject_thresholds": torch.full((len(pack),), SUBJECT_THRESHOLD),
    }
    return replace(pack, shards=shards, router={**first.router, **thresholds})


# ---------------------------------------------------------------------- outcomes


def _confusions(merged: EditPack, packs: dict[str, EditPack]) -> tuple[CrossConfusion, ...] | None:
    """Edits of different packs that are hard to tell apart."""
    if merged.shards[0].subjects is None:
        return None
    pack_of = _pack_of(packs)
    return tuple(
        CrossConfusion(found.edit, pack_of[found.edit], found.other, pack_of[found.other], found.score)
        for found in find_confusions(merged)
        if pack_of[found.edit] != pack_of[found.other]
    )


def _pack_of(packs: dict[str, EditPack]) -> dict[str, str]:
    """Name of the pack that each edit is from, by its id in the merged pack."""
    return {edit.id: name for name, pack in packs.items() for edit in pack.edits}


def _measure(
    packs: dict[str, EditPack],
    merged: EditPack,
    model: SCENLlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    sample: int,
    progress: bool,
) -> tuple[list[MergeMeasurement], list[Shadow]]:
    """What the edits of each pack do alone, then in the merged pack."""
    pack_of = _pack_of(packs)
    measurements: list[MergeMeasurement] = []
    shadowed: list[Shadow] = []
    samples = {name: _spread(pack.edits, sample) for name, pack in packs.items()}
    prompts = {
        name: [[{"role": "user", "content": edit.prompt}] for edit in pack.edits] for name, pack in packs.items()
    }
    answerer, alone = SCENAnswerer(model, tokenizer), {}
    for name, pack in packs.items():
        with _attached(model, pack):
            fired = answerer.fired(prompts[name])
            alone[name] = _own(pack, fired), evaluate(model, tokenizer, samples[name], progress=progress)
    with _attached(model, merged):
        for name, pack in packs.items():
            fired = answerer.fired(prompts[name])
            report = evaluate(model, tokenizer, samples[name], progress=progress)
            shadowed += _shadows(name, pack.edits, fired, report, pack_of)
            routed, before = alone[name]
            measurements.append(MergeMeasurement(name, routed, _own(pack, fired), len(samples[name]), before, report))
    return measurements, shadowed


def _shadows(
    pack: str,
    edits: Sequence[Edit],
    fired: Sequence[str | None],
    report: EvaluationReport,
    pack_of: dict[str, str],
) -> Iterator[Shadow]:
    """Prompts of one pack's edits for which another pack's edit fired, and what was measured of rephrases and neighbours."""
    prompt_of = {edit.id: edit.prompt for edit in edits}
    asked: list[tuple[str, str | None, str | None]]
    asked = [(edit.prompt, edit.id, by) for edit, by in zip(edits, fired, strict=True)]
    missed = [miss for miss in report.misses if miss.edit_id is None or miss.prompt != prompt_of[miss.edit_id]]
    asked += [(miss.prompt, miss.edit_id, miss.fired) for miss in missed]
    for prompt, edit, by in asked:
        if by is not None and pack_of[by] != pack:
            yield Shadow(pack, edit, prompt, by, pack_of[by])


def _spread(edits: Sequence[Edit], count: int) -> list[Edit]:
    """So many of the edits at most, evenly spaced."""
    count = min(count, len(edits))
    return [edits[number * len(edits) // count] for number in range(count)]


@contextmanager
def _attached(model: SCENLlamaForCausalLM, pack: EditPack) -> Iterator[None]:
    """Within the block the pack, which need not be on disk, is attached to the model."""
    with TemporaryDirectory(prefix="scen-merge-") as folder:
        pack.save_pretrained(folder)
        name = model.load_edit_pack(folder)
        try:
            yield
        finally:
            model.unload_edit_pack(name)


def _own(pack: EditPack, fired: Sequence[str | None]) -> Rate:
    return Rate.of(edit.id == id for edit, id in zip(pack.edits, fired, strict=True))

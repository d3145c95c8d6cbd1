"""Rebasing a pack: its changes brought onto a version that somebody else pushed meanwhile.

Both sides started from one version, so what each of them did is known. Changes to different facts are joined, changes to the same
fact are conflicts, and nobody's are lost without being named. Joined packs need the same router space; packs that have nothing in
common but their base model are merged by `scen merge`, which measures the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..differences import compare_packs
from ..edits import Edit, check_edits, normalise
from ..errors import EditPackError
from ..pack import EditPack, Shard


# What may differ between two packs that are joined: how they call the same base weights.
_NAMES_OF_BASE = ("base_model_name_or_path", "base_model_revision")
_THRESHOLDS = ("thresholds", "subject_thresholds")
_MOST_NAMED = 10


@dataclass(frozen=True)
class _Changes:
    """What one side did.

    Args:
        touched: Facts of the common version that were changed or trained anew, as they are now, by their id there; `None` for
            those that were removed.
        added: New facts.
    """

    touched: dict[str, Edit | None]
    added: list[Edit]


def rebase_pack(base: EditPack, theirs: EditPack, ours: EditPack) -> EditPack:
    """Their version with our changes. Their shards keep their files; ours get numbers that none of the versions has used.

    A threshold that one side moved is as that side set it; of one that both moved, the higher counts.

    Args:
        base: The version that both sides started from; its experts are not read.
        theirs: The version to build on.
        ours: The version whose changes are to be kept.

    Raises:
        EditPackError: If both sides changed the same fact, or the packs have different router spaces or base models.
    """
    _check_space(theirs, ours)
    mine, others = _changes(base, ours), _changes(base, theirs)
    conflicts = _touched_twice(mine, others, theirs, ours)
    dropped = mine.touched.keys() - others.touched.keys()
    taken = [edit for id in dropped if (edit := mine.touched[id]) is not None]
    standing = [edit for edit in theirs.edits if edit.id not in dropped]
    conflicts += _answered_twice(taken, standing)
    # A fact that both sides added is there already.
    known = {_fact(edit) for edit in standing}
    added = [edit for edit in mine.added if _fact(edit) not in known]
    conflicts += _answered_twice(added, standing)
    if conflicts:
        more = f"; and {len(conflicts) - _MOST_NAMED} more" if len(conflicts) > _MOST_NAMED else ""
        raise EditPackError(f"Both sides changed the same facts: {'; '.join(conflicts[:_MOST_NAMED])}{more}.")
    rebased = _without(theirs, dropped)
    wanted = {edit.id for edit in (*taken, *added)}
    if wanted:
        rebased = _with_edits_of(rebased, ours.select(wanted), _highest_number(base, theirs, ours) + 1)
    return _with_thresholds(rebased, base, theirs, ours)


# --------------------------------------------------------------------- conflicts


def _check_space(theirs: EditPack, ours: EditPack) -> None:
    differing = [change.name for change in compare_packs(theirs, ours).settings if change.name not in _NAMES_OF_BASE]
    spaces = [{name: part for name, part in pack.router.items() if name not in _THRESHOLDS} for pack in (theirs, ours)]
    same = spaces[0].keys() == spaces[1].keys()
    if not same or not all(torch.equal(part, spaces[1][name]) for name, part in spaces[0].items()):
        differing.append("router space")
    if differing:
        raise EditPackError(
            f"The packs were made apart ({', '.join(differing)} differ), and cannot be rebased. Join them with: scen merge"
        )


def _changes(base: EditPack, pack: EditPack) -> _Changes:
    difference = compare_packs(base, pack)
    rewritten = [*difference.changed, *difference.metadata]
    id_in_base = {fact.after.id: fact.before.id for fact in rewritten}
    touched: dict[str, Edit | None] = {fact.before.id: fact.after for fact in rewritten}
    touched |= {id_in_base.get(edit.id, edit.id): edit for edit in difference.retrained}
    touched |= {edit.id: None for edit in difference.removed}
    return _Changes(touched, difference.added)


def _touched_twice(mine: _Changes, others: _Changes, theirs: EditPack, ours: EditPack) -> list[str]:
    """Facts that both sides changed, and not in the same way."""
    between = compare_packs(theirs, ours)
    apart = {fact.after.id for fact in (*between.changed, *between.metadata)}
    apart |= {edit.id for edit in between.retrained}
    found = []
    for id in mine.touched.keys() & others.touched.keys():
        here, there = mine.touched[id], others.touched[id]
        if here is None and there is None:
            continue
        if here is None or there is None:
            found.append(f"{id!r} was {_done(here)} here and {_done(there)} there")
        elif here.id != there.id or here.id in apart:
            found.append(f"{id!r} was changed here and there")
    return sorted(found)


def _done(edit: Edit | None) -> str:
    return "removed" if edit is None else "changed"


def _answered_twice(edits: list[Edit], standing: list[Edit]) -> list[str]:
    """New versions of facts that share an id, or a prompt with another answer, with facts of the other side."""
    ours = {id(edit) for edit in edits}
    report = check_edits([*standing, *edits])
    found = []
    for group in (*report.repeated_ids, *report.contradictions, *report.duplicates):
        here = [edit for edit in group if id(edit) in ours]
        there = [edit for edit in group if id(edit) not in ours]
        if here and there:
            found.append(f"{here[0].id!r} ({here[0].prompt!r}) is here, {there[0].id!r} ({there[0].prompt!r}) there")
    return found


def _fact(edit: Edit) -> tuple[str, str]:
    return normalise(edit.prompt), normalise(edit.target)


# ----------------------------------------------------------------------- joining


def _highest_number(*packs: EditPack) -> int:
    return max(shard.number or 0 for pack in packs for shard in pack.shards)


def _without(pack: EditPack, ids: set[str]) -> EditPack:
    """A pack without these edits, for now perhaps without any."""
    if ids < {edit.id for edit in pack.edits}:
        return pack.remove(ids)
    router = {name: tensor[:0] if name in _THRESHOLDS else tensor for name, tensor in pack.router.items()}
    return replace(pack, shards=[], router=router)


def _with_edits_of(pack: EditPack, more: EditPack, first: int) -> EditPack:
    """A pack with the shards of another one, whose files are numbered from `first`."""
    for number, shard in enumerate(more.shards, first):
        new: Shard = replace(shard, experts=more.experts_of(shard), number=number, entry=None)
        pack = pack.extended(new)
    for name in _THRESHOLDS:
        if name in pack.router:
            pack.router[name] = torch.cat([pack.router[name], more.router[name]])
    return pack


def _with_thresholds(rebased: EditPack, base: EditPack, theirs: EditPack, ours: EditPack) -> EditPack:
    """The pack with the thresholds that we moved."""
    router = dict(rebased.router)
    for name in _THRESHOLDS:
        if name not in router:
            continue
        was, there, here = (
            dict(zip((edit.id for edit in pack.edits), pack.router[name].tolist(), strict=True))
            for pack in (base, theirs, ours)
        )
        moved = {id for id in was.keys() & there.keys() & here.keys() if here[id] != was[id]}
        router[name] = router[name].clone()
        for row, edit in enumerate(rebased.edits):
            if edit.id in moved:
                both = there[edit.id] != was[edit.id]
                router[name][row] = max(here[edit.id], there[edit.id]) if both else here[edit.id]
    return replace(rebased, router=router)

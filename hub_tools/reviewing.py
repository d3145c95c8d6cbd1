"""Review a proposal to a pack: what it changes, whether it does what it says, and what it does to the rest.

    >>> report = review_proposal("owner/facts", 3)
    >>> report.ready
    False
    >>> print(report.reasons[0])
    capital-of-palau: answers 'Melekeok', not 'Ngerulmud'

A proposal comes from somebody else. Its files are verified, and its edits are measured by the installed code; nothing that the
proposal brings is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi
from transformers import AutoTokenizer

from ..bases import choose_device, resolve_base
from ..differences import PackDifference, compare_packs, shown
from ..edits import Edit, check_edits
from ..errors import EditPackError
from ..evaluation import TARGET_SETS, Rate, SCENAnswerer, evaluate, prompt_sets
from ..modeling import SCENLlamaForCausalLM
from ..modeling.edit_pack_scen_llama import MANIFEST_NAME
from ..modeling.hub_scen_llama import hub_errors
from ..pack import EditPack
from ..phrasings import UNRELATED
from .pack_files import PackFiles, find_pack_files
from .proposals import Proposal, find_proposal
from .review_report import LostPrompt, Measurement, ReviewReport
from .verification import CONTENT_CHECKS, VerificationReport, verify_files


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Prompts that no edit is about: some of each kind there is.
_UNRELATED = UNRELATED[::12]
# Prompts that edits are not meant to answer, as reasons call them.
_NOT_MEANT = {"neighbours": "the neighbour", "unrelated": "the unrelated prompt"}
# By these everybody who loads the pack would load another base model.
_BASE_SETTINGS = ("base_model_name_or_path", "base_model_revision", "base_fingerprint")


def review_proposal(
    repo_id: str,
    pr_number: int,
    *,
    base_model: str | Path | None = None,
    comment: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
    progress: bool = True,
) -> ReviewReport:
    """Review a pull request to a pack.

    The edits that it adds, changes or trains anew are asked by their prompts and up to 3 rephrases; their neighbours and some
    unrelated prompts are compared with the base model; and all other edits must be reached by their prompts as before.

    Args:
        repo_id: `owner/name`.
        pr_number: Number of the pull request.
        base_model: Folder, Hub id or `smollm2-135m-instruct`: the base weights, where those the pack names are not at hand.
        comment: Post the report to the pull request.
        token, endpoint, cache_dir: As in [`~huggingface_hub.snapshot_download`].
        progress: Show a progress bar.

    Raises:
        HubError: If the repository or the pull request cannot be had, or commenting is refused.
        EditPackError: If the version that the proposal is based on, or the base model, cannot be read.
    """
    hub = {"token": token, "endpoint": endpoint, "cache_dir": cache_dir}
    api = HfApi(endpoint=endpoint, token=token)
    proposal = find_proposal(api, repo_id, pr_number)
    files = replace(find_pack_files(repo_id, revision=proposal.commit, **hub), source=str(proposal))
    old_files = find_pack_files(repo_id, revision=proposal.base_commit, **hub)
    verification = verify_files(files, base_model, **hub)
    old = EditPack.from_pretrained(old_files.folder) if MANIFEST_NAME in old_files.names else None
    new = _open_sound(files, verification)
    difference = measurement = None
    reasons = [*_reasons_to_wait(proposal), *(f"{check.name}: {check.message}" for check in verification.failures)]
    if new is not None:
        difference = _compare(old, new)
        reasons += [*_contradictions(old, new), *_other_base(difference)]
    if new is not None and difference is not None and not _is_for_other_weights(difference):
        base = base_model or (old or new).config.base_model_name_or_path
        model, tokenizer = _load(files.folder, new, base, token=token, cache_dir=cache_dir)
        evaluation = evaluate(model, tokenizer, _claimed(difference), _UNRELATED, progress=progress)
        kept, lost = _measure_kept(model, tokenizer, new, difference, None if old is None else old_files.folder)
        measurement = Measurement(evaluation, kept, lost)
        reasons += _wrong_answers(difference, measurement)
    report = ReviewReport(proposal, verification, difference, measurement, tuple(reasons))
    if not comment:
        return report
    with hub_errors(repo_id, None):
        posted = api.comment_discussion(repo_id, pr_number, report.to_markdown())
    return replace(report, comment_url=f"{api.endpoint}/{repo_id}/discussions/{pr_number}#{posted.id}")


def _open_sound(files: PackFiles, verification: VerificationReport) -> EditPack | None:
    """The proposed version; `None` if its content is not sound, as the verification tells."""
    if any(check.name in CONTENT_CHECKS for check in verification.failures):
        return None
    return EditPack.from_pretrained(files.folder)


def _compare(old: EditPack | None, new: EditPack) -> PackDifference:
    if old is not None:
        return compare_packs(old, new)
    return PackDifference(
        added=new.edits, removed=[], changed=[], metadata=[], retrained=[], moved_thresholds=[], settings=[]
    )


def _is_for_other_weights(difference: PackDifference) -> bool:
    return any(setting.name == "base_fingerprint" for setting in difference.settings)


def _claimed(difference: PackDifference) -> list[Edit]:
    """The edits whose answers, or what is said of them, a proposal changes."""
    described = [fact.after for fact in difference.metadata if {"rephrases", "neighbours"} & set(fact.fields)]
    opened = [moved.edit for moved in difference.moved_thresholds if moved.after < moved.before]
    changed = [fact.after for fact in difference.changed]
    claimed = (*difference.added, *changed, *difference.retrained, *described, *opened)
    return list({edit.id: edit for edit in claimed}.values())


# ---------------------------------------------------------------------- measuring


def _load(
    folder: Path, new: EditPack, base: str | Path | None, **hub: Any
) -> tuple[SCENLlamaForCausalLM, PreTrainedTokenizerBase]:
    """The proposed version on a base that it has not chosen itself."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, TypeError) as error:
        raise EditPackError(f"The proposed version has no usable tokenizer: {error}") from error
    weights = None if base is None else resolve_base(base)
    if weights == new.config.base_model_name_or_path:
        weights = None  # and so at the revision that the pack pins
    model = SCENLlamaForCausalLM.from_pretrained(folder, base_model=weights, **hub)
    return model.to(choose_device()).eval(), tokenizer


def _measure_kept(
    model: SCENLlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    new: EditPack,
    difference: PackDifference,
    old_folder: Path | None,
) -> tuple[Rate, tuple[LostPrompt, ...]]:
    """How many prompts of the edits that a proposal leaves alone reach them as before, and which do not.

    Args:
        model: With the proposed version attached; the old one is in its place afterwards.
        tokenizer: Its tokenizer.
        new: The proposed version; `difference`: from the old one, in `old_folder`, if there is one.
    """
    if old_folder is None:
        return Rate(0, 0), ()
    claimed = {edit.id for edit in _claimed(difference)}
    former = {fact.after.id: fact.before.id for fact in difference.metadata}
    sets = prompt_sets([edit for edit in new.edits if edit.id not in claimed])
    asked = [probe for name in TARGET_SETS for probe in sets.get(name, ())]
    answerer = SCENAnswerer(model, tokenizer)
    now = answerer.fired([probe.messages for probe in asked])
    missed = [(probe, fired) for probe, fired in zip(asked, now, strict=True) if fired != probe.edit_id]
    model.unload_edit_pack()
    model.load_edit_pack(old_folder)
    before = answerer.fired([probe.messages for probe, _ in missed])
    lost = tuple(
        LostPrompt(str(probe.edit_id), probe.prompt, fired)
        for (probe, fired), was in zip(missed, before, strict=True)
        if was == former.get(str(probe.edit_id), probe.edit_id)
    )
    kept = len(asked) - len(missed)
    return Rate(kept, kept + len(lost)), lost


# ------------------------------------------------------------------------ reasons


def _reasons_to_wait(proposal: Proposal) -> Iterator[str]:
    if proposal.status in ("closed", "merged"):
        yield f"the pull request is {proposal.status}"
    if proposal.is_outdated:
        yield f"{proposal.branch} has moved since; bring the proposal up to date"


def _other_base(difference: PackDifference) -> Iterator[str]:
    for setting in difference.settings:
        if setting.name in _BASE_SETTINGS:
            before, after = shown(setting.before), shown(setting.after)
            yield f"it changes {setting.name} from {before!r} to {after!r}, which is for the owners to decide"


def _contradictions(old: EditPack | None, new: EditPack) -> Iterator[str]:
    """Facts that answer one question differently, and did not before."""
    known = set() if old is None else {frozenset(group) for group in check_edits(old.edits).contradictions}
    for group in check_edits(new.edits).contradictions:
        if frozenset(group) not in known:
            yield f"{' and '.join(edit.id for edit in group)}: answer one question differently"


def _wrong_answers(difference: PackDifference, measurement: Measurement) -> Iterator[str]:
    claimed = {edit.id for edit in _claimed(difference)}
    for miss in measurement.evaluation.misses:
        if miss.kind == "prompts":
            by = "" if miss.fired == miss.edit_id else f"; {miss.fired or 'no edit'} fires"
            yield f"{miss.edit_id}: answers {shown(miss.answer)!r}, not {shown(miss.expected)!r}{by}"
        # What an edit that was there before does to these prompts is not the proposal's doing.
        elif miss.kind in _NOT_MEANT and miss.fired in claimed:
            yield f"{miss.fired}: changes the answer to {_NOT_MEANT[miss.kind]} {shown(miss.prompt)!r}"
    for lost in measurement.lost:
        yield f"{lost.edit_id}: no longer reached by {shown(lost.prompt)!r}; {lost.fired or 'no edit'} fires"

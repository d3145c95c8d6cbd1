"""The whole evaluation of a model with edits: makes the probes, measures, and reports."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..edits import Edit
from ..errors import EditError
from ..modeling import SCENLlamaForCausalLM
from ..prompts import has_chat_template
from .answerers import Decoding, SCENAnswerer
from .figures import EvaluationReport, summarise
from .locality_prompts import LocalityPrompt
from .measuring import measure
from .perplexity import Passage, measure_perplexity
from .probes import distinct, prompt_sets
from .work_file import WorkFile


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def evaluate(
    model: SCENLlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    edits: Sequence[Edit],
    locality_prompts: Sequence[str | LocalityPrompt] = (),
    *,
    hard: bool = False,
    others: Sequence[Edit] = (),
    passages: Mapping[str, Sequence[Passage]] | None = None,
    batch_size: int = 32,
    max_new_tokens: int = 50,
    num_beams: int = 1,
    repetition_penalty: float = 1.0,
    work_file: WorkFile | str | Path | None = None,
    progress: bool = True,
) -> EvaluationReport:
    """Measure what the edits attached to a model do, and what they leave alone.

    The protocol of arXiv 2404.02699 is `num_beams=4, repetition_penalty=1.1, max_new_tokens=50`.

    Neighbours and locality prompts are asked twice in batches of the same shape, with the edits on and off. Each is
    counted once; one that is prompt or rephrase of an attached edit is left out: there an edit is right to answer.
    Greedy answers to prompts and rephrases end a few tokens behind the length of the longest target of their batch.

    Args:
        model: A model with one or more packs attached.
        tokenizer: Its tokenizer.
        edits: The edits to be measured; normally those of the packs.
        locality_prompts: Prompts that no edit is about.
        hard: Measure the hard sets too: edits in conversations, questions about unedited subjects, and other questions about
            edited ones, see [`prompt_sets`].
        others: Edits that are not attached, to whose subjects the hard sets put the edits' questions.
        passages: Texts whose perplexity is measured, see [`hallucination_passages`].
        batch_size: Prompts per batch; halved when memory runs out.
        max_new_tokens, num_beams, repetition_penalty: As in [`Decoding`].
        work_file: Where results are kept as they come in; an evaluation that was stopped goes on from there.
        progress: Show a progress bar.

    Raises:
        EditError: If there is nothing to measure, or the work file cannot be used.
    """
    passages = passages or {}
    if not edits and not locality_prompts and not any(passages.values()):
        raise EditError("There are no edits and no locality prompts to evaluate.")
    start = time.perf_counter()
    decoding = Decoding(max_new_tokens, num_beams, repetition_penalty)
    kept = work_file if isinstance(work_file, WorkFile) else WorkFile(work_file)
    attached = attached_edits(model)
    near = distinct(neighbour for edit in edits for neighbour in edit.neighbours)
    far = distinct(locality_prompts)
    sets = prompt_sets(
        edits, unrelated=far, others=others, hard=hard, contexts=has_chat_template(tokenizer), attached=attached
    )
    edited, base = SCENAnswerer(model, tokenizer), SCENAnswerer(model, tokenizer, edits=False)
    outcomes = measure(edited, base, sets, decoding=decoding, batch_size=batch_size, work_file=kept, progress=progress)
    perplexity = measure_perplexity(
        # Passages are several times as long as prompts, and the logits behind all of their tokens are held.
        edited,
        base,
        passages,
        batch_size=max(batch_size // 4, 1),
        work_file=kept,
        progress=progress and any(passages.values()),
    )
    settings = {
        "edits": len(edits),
        "attached_edits": len(attached),
        **asdict(decoding),
        "hard": hard,
        "batch_size": batch_size,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "seconds": round(time.perf_counter() - start, 3),
    }
    skipped = len(near) + len(far) - len(sets["neighbours"]) - len(sets["unrelated"])
    return summarise(sets, outcomes, settings, perplexity=perplexity, skipped=skipped)


def attached_edits(model: SCENLlamaForCausalLM) -> list[Edit]:
    """The edits of all packs attached to a model, pack by pack."""
    return [
        Edit.from_dict(pack.fact(number), f"{pack.source}, edit {number + 1}")
        for pack in model.edit_packs.values()
        for number in range(len(pack))
    ]

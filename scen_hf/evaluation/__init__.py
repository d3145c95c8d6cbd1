"""Evaluation: what the edits do to the answers of a model, and what they leave alone.

>>> from scen_hf import SCENLlamaForCausalLM, load_edits
>>> from scen_hf.evaluation import evaluate

>>> model = SCENLlamaForCausalLM.from_pretrained("facts")
>>> report = evaluate(model, tokenizer, load_edits("edits.jsonl"), ["What is the capital of France?"])
>>> report.reliability
Rate(successes=60, count=60)
>>> report.reliability.interval
(0.9398, 1.0)

Every answer is generated, by the code that answers users, and compared as a whole. What is measured:

- *reliability*: the answer to an edit's prompt is its target; *generality*: the same for up to 3 of its rephrases,
  which training never sees, and for completions, the starts of sentences that the target ends;
- *routing*: the right edit, a wrong one, or none fired;
- *edit success by token*: the share of target tokens that are the likeliest ones, given the target tokens before them;
- *locality*, for the edits' neighbours and for unrelated prompts: the answer is the base model's, token for token; the
  logits behind the prompt are the base model's, bit for bit; no edit fired; the answer is as right as it was before;
- with `hard=True` the same for edits asked behind a system prompt or in a later turn, and *hard locality*, for the
  edits' questions about other subjects and for other questions about the edits' subjects;
- *perplexity* of edited, accurate and web text, see [`hallucination_passages`].

The parts can be used one by one, and for models that were edited by other means: [`prompt_sets`] makes the prompts,
[`measure`] asks them of any [`Answerer`], [`summarise`] counts, and [`write_report`] writes pages with plots.
"""

from .answerers import (
    GREEDY,
    PAPER_DECODING,
    Answer,
    Answerer,
    Chat,
    Decoding,
    ModelAnswerer,
    Prefill,
    SCENAnswerer,
    TargetScore,
    answer,
)
from .figures import EvaluationReport, GateScores, LocalityFigures, Miss, TargetFigures, summarise
from .locality_prompts import LocalityPrompt, load_locality_prompts, load_texts
from .measuring import Outcome, measure, normalise_answer
from .perplexity import Passage, Perplexity, PerplexityFigures, hallucination_passages, measure_perplexity
from .probes import HARD_NEGATIVES, HARD_SETS, LOCALITY_SETS, TARGET_SETS, Probe, prompt_sets
from .protocol import attached_edits, evaluate
from .rates import Rate
from .report import write_report
from .work_file import WorkFile


__all__ = [
    "GREEDY",
    "HARD_NEGATIVES",
    "HARD_SETS",
    "LOCALITY_SETS",
    "PAPER_DECODING",
    "TARGET_SETS",
    "Answer",
    "Answerer",
    "Chat",
    "Decoding",
    "EvaluationReport",
    "GateScores",
    "LocalityFigures",
    "LocalityPrompt",
    "Miss",
    "ModelAnswerer",
    "Outcome",
    "Passage",
    "Perplexity",
    "PerplexityFigures",
    "Prefill",
    "Probe",
    "Rate",
    "SCENAnswerer",
    "TargetFigures",
    "TargetScore",
    "WorkFile",
    "answer",
    "attached_edits",
    "evaluate",
    "hallucination_passages",
    "load_locality_prompts",
    "load_texts",
    "measure",
    "measure_perplexity",
    "normalise_answer",
    "prompt_sets",
    "summarise",
    "write_report",
]

"""How well edits hold, what else changes, and what each costs: seven ways to edit, on one model, with the same edits, in one run.

    python benchmarks/quality.py ZSRE.jsonl UNRELATED.jsonl --counterfact COUNTERFACT.jsonl \\
        --hallucination WIKIBIO_EDIT.jsonl WIKIBIO_ACCURATE.jsonl WEB.jsonl

Every second subject (by a hash of its name) belongs to the tuning half, where the settings of each method are searched on a few
edits; the other half is edited and reported. The subjects of the tuning half serve there as those without an edit. Unrelated
questions are halved likewise.

Figures are written to `benchmarks/results/quality.json` method by method; a second start goes on from there. How many probes
stand behind each figure is in it. `--quick` tries everything on a few edits, which says nothing about quality.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from baselines import METHODS, Edited, Method, RememberedAnswerer, TuningSet, spread
from baselines.ours import Scen, attached
from figures import Parts
from relations import ask_the_same
from routing import halves_of
from timing import environment

from scen_hf import Edit, EditPack, load_base, load_edits
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import (
    HARD_NEGATIVES,
    PAPER_DECODING,
    Decoding,
    EvaluationReport,
    LocalityPrompt,
    ModelAnswerer,
    Outcome,
    Probe,
    Rate,
    hallucination_passages,
    load_locality_prompts,
    load_texts,
    measure,
    measure_perplexity,
    normalise_answer,
    prompt_sets,
    summarise,
)
from scen_hf.evaluation.report import trade_off


M = TypeVar("M", bound=Method)

RESULTS = Path(__file__).parent / "results"
# Longer than any target of the sets; what two models have not said differently by then counts as the same answer.
DECODING = Decoding(max_new_tokens=20)
# Where no edit fires and the logits behind the prompt are the same to the bit, so is the answer.
LEAN = HARD_NEGATIVES | {"unrelated"}
# What is answered by beam search too.
LITERATURE = ("prompts", "rephrases", "completions", "unrelated")
# What is measured against the number of edits.
OF_SIZES = ("prompts", "rephrases", "unrelated", "generic_questions", "other_relations")


@dataclass(frozen=True)
class Bounds:
    """What keeps a run short.

    Args:
        edits: So many zsRE edits of each half.
        counterfact_edits, wikibio_edits: So many of these.
        tuning_edits: What has to be trained for each setting is searched on so many.
        unrelated: So many unrelated questions of each half.
        probes: So many of each hard set, and of each set against the number of edits.
        beam_probes: So many of each set for the paper's decoding, beam search over 50 tokens.
        texts: So many accurate and web texts.
    """

    edits: int = 500
    counterfact_edits: int = 100
    wikibio_edits: int = 60
    tuning_edits: int = 32
    unrelated: int = 150
    probes: int = 80
    beam_probes: int = 24
    texts: int = 60


QUICK = Bounds(16, 8, 4, 8, 16, 8, 4, 4)


@dataclass(frozen=True)
class Data:
    """What is edited and asked.

    Args:
        tuning, report: The halves of the zsRE edits.
        counterfact: CounterFact edits of the report half; `counterfact_others`: of the other one.
        tuning_unrelated, unrelated: The halves of the unrelated questions.
        wikibio, accurate, web: Of the hallucination protocol.
    """

    tuning: Sequence[Edit]
    report: Sequence[Edit]
    counterfact: Sequence[Edit]
    counterfact_others: Sequence[Edit]
    tuning_unrelated: Sequence[LocalityPrompt]
    unrelated: Sequence[LocalityPrompt]
    wikibio: Sequence[Edit]
    accurate: Sequence[Edit]
    web: Sequence[str]

    @classmethod
    def load(cls, args: argparse.Namespace, bounds: Bounds) -> Data:
        """Read the files that the command line names."""
        tuning, report = halves(load_edits(args.edits))
        others, counterfact = halves(load_edits(args.counterfact)) if args.counterfact else ([], [])
        unrelated = load_locality_prompts(args.unrelated)
        wikibio, accurate, web = args.hallucination or (None, None, None)
        return cls(
            tuning[: bounds.edits],
            report[: bounds.edits],
            counterfact[: bounds.counterfact_edits],
            others,
            spread(unrelated[1::2], bounds.unrelated),
            spread(unrelated[::2], bounds.unrelated),
            load_edits(wikibio, limit=bounds.wikibio_edits) if wikibio else [],
            load_edits(accurate, limit=bounds.texts) if accurate else [],
            load_texts(web, limit=bounds.texts) if web else [],
        )


def halves(edits: Sequence[Edit]) -> tuple[list[Edit], list[Edit]]:
    """Edits that name their subject, as in `routing.py`: the tuning half and the report half."""
    # Their neighbours are questions of the unrelated set.
    tuning, report = halves_of([replace(edit, neighbours=()) for edit in edits])
    return tuning, report


class Comparison:
    """One run.

    Args:
        model, tokenizer: The base, to be edited.
        base: A copy of it that stays as it is: methods change weights in place.
        data: What is edited and asked.
        bounds: How much of it.
        parts: Where figures go.
    """

    def __init__(self, model, tokenizer, base, data: Data, bounds: Bounds, parts: Parts):
        self.model, self.tokenizer, self.data, self.bounds, self.parts = model, tokenizer, data, bounds, parts
        self.base = RememberedAnswerer(ModelAnswerer(base, tokenizer, "base"))

    # --------------------------------------------------------------------- parts

    def tune(self, methods: Sequence[Method]) -> None:
        """Search settings on the tuning half."""
        edits, count = self.data.tuning, self.bounds.tuning_edits
        few, many = (
            TuningSet.of(
                edits[:some],
                edits[some:],
                self.data.tuning_unrelated,
                self.base,
                DECODING,
                probes=probes,
                ask_the_same=ask_the_same,
            )
            for some, probes in ((count, count), (len(edits), self.bounds.probes))
        )
        for method in self._missing("tuning", methods):
            start = time.perf_counter()
            tuned = method.tune(self.model, self.tokenizer, few, many)
            self.parts.put({**asdict(tuned), "seconds": time.perf_counter() - start}, "tuning", method.name)

    def compare(self, name: str, methods: Sequence[Method], edits: Sequence[Edit], others: Sequence[Edit]) -> None:
        """Figures of methods on the same edits."""
        for method in self._missing(name, methods):
            mine = spread(edits, method.most_edits or len(edits))
            start = time.perf_counter()
            with method.edited(self.model, self.tokenizer, mine, self._settings(method)) as edited:
                cost = _cost(edited, mine, time.perf_counter() - start)
                self.parts.put({**cost, **self._figures(edited, mine, others, name == "zsre")}, name, method.name)

    def compare_sizes(self, methods: Sequence[Scen]) -> None:
        """Figures of packs of the first 1, 10, 100 ... edits; those of the report half are the method's part in the comparison.

        Of the sizes that the literature gives figures for, a few probes are answered with the paper's decoding too.

        An edit's expert and neuron do not depend on what comes after it, so packs are cut from one that holds all.
        """
        report, edits = self.data.report, [*self.data.report, *self.data.tuning]
        for method in self._missing("sizes_paper_decoding", methods):
            start = time.perf_counter()
            pack = method.train(self.model, self.tokenizer, edits, self._settings(method))
            seconds = time.perf_counter() - start
            sizes, by_beams = {}, {}
            for size in sorted({*sizes_up_to(len(edits)), len(report)}):
                with attached(self.model, self.tokenizer, first_edits(pack, size)) as edited:
                    sets = self._sets(edits[: min(size, len(report))], (), all_edits=edits[:size])
                    few = {name: spread(sets[name], self.bounds.probes) for name in OF_SIZES if sets[name]}
                    sizes[size], _ = self._measured(edited, few, DECODING)
                    if size in sizes_up_to(len(edits)):
                        by_beams[size], _ = self._measured(edited, self._few(sets), PAPER_DECODING)
                    if size == len(report):
                        cost = _cost(edited, report, seconds * len(report) / len(edits))
                        figures = {**cost, **self._figures(edited, report, self.data.tuning, True)}
                        self.parts.put(figures, "zsre", method.name)
            self.parts.put(sizes, "sizes", method.name)
            self.parts.put(by_beams, "sizes_paper_decoding", method.name)

    def hallucination(self, methods: Sequence[Scen]) -> None:
        """Perplexity of edited, accurate and web text."""
        passages = hallucination_passages(self.data.wikibio, self.data.accurate, self.data.web)
        for method in self._missing("hallucination", methods):
            with method.edited(self.model, self.tokenizer, self.data.wikibio, self._settings(method)) as edited:
                figures = measure_perplexity(edited.answerer, self.base, passages)
            self.parts.put({name: found.to_dict() for name, found in figures.items()}, "hallucination", method.name)

    def _missing(self, part: str, methods: Sequence[M]) -> list[M]:
        missing = [method for method in methods if self.parts.get(part, method.name) is None]
        for method in methods:
            print(f"{part}: {method.title}: {'to do' if method in missing else 'there already'}", flush=True)
        return missing

    def _settings(self, method: Method) -> dict[str, Any]:
        return self.parts.get("tuning", method.name, "settings") or {}

    # ------------------------------------------------------------------- figures

    def _figures(
        self, edited: Edited, edits: Sequence[Edit], others: Sequence[Edit], paper_decoding: bool
    ) -> dict[str, Any]:
        """Greedy answers to all sets and, where asked for, the paper's decoding on a few probes of the literature's sets."""
        sets = {name: probes for name, probes in self._sets(edits, others).items() if probes}
        greedy = {name: p if name in LITERATURE else spread(p, self.bounds.probes) for name, p in sets.items()}
        shares, found = self._measured(edited, greedy, DECODING)
        figures = {"greedy": shares, "trade_off": trade_offs(found)}
        if paper_decoding:
            figures["paper_decoding"], _ = self._measured(edited, self._few(sets), PAPER_DECODING)
        return figures

    def _few(self, sets: Mapping[str, Sequence[Probe]]) -> dict[str, list[Probe]]:
        """A few probes of each of the literature's sets: beams are slow."""
        return {name: spread(sets[name], self.bounds.beam_probes) for name in LITERATURE if sets.get(name)}

    def _sets(
        self, edits: Sequence[Edit], others: Sequence[Edit], all_edits: Sequence[Edit] = ()
    ) -> dict[str, list[Probe]]:
        return prompt_sets(
            edits,
            unrelated=self.data.unrelated,
            others=others,
            hard=True,
            attached=all_edits,
            ask_the_same=ask_the_same,
        )

    def _measured(
        self, edited: Edited, sets: Mapping[str, Sequence[Probe]], decoding: Decoding
    ) -> tuple[dict[str, Any], EvaluationReport]:
        """Shares by set as JSON can hold them, and the report they are from."""
        outcomes = measure(edited.answerer, self.base, sets, decoding=decoding, lean=LEAN)
        found = summarise(sets, outcomes)
        shares = {name: targets.to_dict() for name, targets in found.targets.items()}
        shares |= {name: locality.to_dict() for name, locality in found.locality.items()}
        for name in found.targets:
            shares[name]["mentioned"] = mentioned(sets[name], outcomes[name]).to_dict()
        return shares, found


def sizes_up_to(most: int) -> list[int]:
    """Numbers of edits that the literature gives figures for, and all."""
    return [*(size for size in (1, 10, 100, 200) if size < most), most]


def first_edits(pack: EditPack, count: int) -> EditPack:
    """A pack of the first edits of another one."""
    return pack.remove([edit.id for edit in pack.edits[count:]]) if count < len(pack) else pack


def mentioned(probes: Sequence[Probe], outcomes: Sequence[Outcome]) -> Rate:
    """How often the target stands somewhere in the answer, as it does where a model answers in a sentence of its own."""
    return Rate.of(
        normalise_answer(probe.target or "").casefold() in normalise_answer(outcome.answer or "").casefold()
        for probe, outcome in zip(probes, outcomes, strict=True)
    )


def trade_offs(found: EvaluationReport) -> dict[str, Any]:
    """Rephrases against unrelated and near prompts, at all thresholds; nothing of a method without scores.

    Points are pairs of rephrases for which the right edit fires, and other prompts for which any does.
    """
    positives = found.scores.get("rephrases", [])
    kinds = {"unrelated": ["unrelated"], "near": sorted(HARD_NEGATIVES)}
    kept = {}
    for kind, names in kinds.items():
        negatives = [scores for name in names for scores in found.scores.get(name, [])]
        if positives and negatives:
            points = trade_off(positives, negatives)
            pairs = [[point.right.successes, point.false.successes] for point in points]
            now = next(pair for point, pair in zip(points, pairs, strict=True) if point.shift == 0)
            distinct = [pair for before, pair in zip([None, *pairs], pairs, strict=False) if pair != before]
            kept[kind] = {"rephrases": len(positives), "count": len(negatives), "now": now, "points": distinct}
    return kept


def _cost(edited: Edited, edits: Sequence[Edit], seconds: float) -> dict[str, Any]:
    return {
        "edits": len(edits),
        "seconds_per_edit": seconds / len(edits),
        "bytes_per_edit": edited.bytes / len(edits),
        "trained": edited.trained,
    }


def command_of(args: argparse.Namespace) -> str:
    """The command to run again, with files by their names: where they lie is nobody's business."""
    words = ["python benchmarks/quality.py", Path(args.edits).name, Path(args.unrelated).name]
    if args.counterfact:
        words += ["--counterfact", Path(args.counterfact).name]
    if args.hallucination:
        words += ["--hallucination", *(Path(file).name for file in args.hallucination)]
    return " ".join(words if args.base == EMBEDDED_BASE else [*words, "--base", args.base])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("edits", help="file of edits with subjects and rephrases, such as zsRE")
    parser.add_argument("unrelated", help="questions that no edit is about, as for scen eval --locality")
    parser.add_argument("--counterfact", help="a second file of edits, with completions")
    parser.add_argument(
        "--hallucination", nargs=3, metavar=("EDITS", "ACCURATE", "WEB"), help="files of the hallucination protocol"
    )
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--methods", nargs="+", choices=[method.name for method in METHODS], help="only these")
    parser.add_argument("--quick", action="store_true", help="a few edits, to see that everything runs")
    parser.add_argument("--fresh", action="store_true", help="measure what is there already once more")
    parser.add_argument("--json", type=Path, default=RESULTS / "quality.json", help="where the figures go")
    args = parser.parse_args()

    bounds = QUICK if args.quick else Bounds()
    data = Data.load(args, bounds)
    device = choose_device()
    (model, tokenizer), (base, _) = (load_base(args.base, device=device, dtype=choose_dtype(device)) for _ in range(2))
    conditions = {
        "base": args.base,
        "dtype": str(model.dtype).removeprefix("torch."),
        "bounds": asdict(bounds),
        "decoding": asdict(DECODING),
        "counts": {name: len(rows) for name, rows in vars(data).items()},
    }
    parts = Parts(args.json, conditions, fresh=args.fresh)
    parts.put({**environment(device), "command": command_of(args), "date": date.today().isoformat()}, "environment")

    methods = [method for method in METHODS if args.methods is None or method.name in args.methods]
    ours = [method for method in methods if isinstance(method, Scen)]
    run = Comparison(model, tokenizer, base, data, bounds, parts)
    run.tune(methods)
    run.compare_sizes(ours)
    run.compare("zsre", methods, data.report, data.tuning)
    if data.counterfact:
        run.compare("counterfact", methods, data.counterfact, data.counterfact_others)
    if data.wikibio:
        run.hallucination(ours)


if __name__ == "__main__":
    main()

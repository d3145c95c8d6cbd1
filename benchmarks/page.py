"""Writes docs/benchmarks.md, its plots, and the short table of the README, from benchmarks/results/*.json and nothing else.

    python benchmarks/page.py

A results file that is not there leaves its section out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plots
from baselines import METHODS

from scen_hf.evaluation import HARD_NEGATIVES, LOCALITY_SETS, TARGET_SETS, Rate
from scen_hf.evaluation.perplexity import TITLES as TEXT_TITLES
from scen_hf.evaluation.probes import TITLES as PROMPT_TITLES


ROOT = Path(__file__).parent.parent
RESULTS, PAGE, PLOTS, README = ROOT / "benchmarks/results", ROOT / "docs/benchmarks.md", "figures", ROOT / "README.md"
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"

TITLES = {method.name: method.title for method in METHODS}
DASH = "–"
# Sections about time, by the name of their file, with what was left of the words in their keys.
COSTS = {
    "training_speed": "Training",
    "inference_speed": "Inference",
    "inference_speed_7b": "Inference, shape of a 7B model",
    "loading": "Loading",
    "profiles": "Where the time goes",
}
Figures = Mapping[str, Any]


# ---------------------------------------------------------------------- cells


def percent(figures: Figures | None) -> str:
    """`97.9 (95.3 to 99.1)`, a share and its interval in percent; a dash where nothing was measured."""
    if figures is None or not figures["count"]:
        return DASH
    rate = Rate.from_dict(figures)
    low, high = rate.interval
    return f"{100 * rate.value:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def pooled(rates: Iterable[Figures]) -> dict[str, Any]:
    """Several rates as one."""
    rates = list(rates)
    return Rate(sum(r["successes"] for r in rates), sum(r["count"] for r in rates)).to_dict()


def size(number: float) -> str:
    """Bytes to three digits."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000 or unit == "MB":
            break
        number /= 1000
    return f"{number:.3g} {unit}"


def number(value: Any) -> str:
    """Any figure as text: three digits of what is not a whole number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return DASH if value is None else str(value)


def threads(environment: Mapping[str, Any]) -> str:
    """How many there were."""
    return f"{environment['threads']} thread" + ("s" if environment["threads"] != 1 else "")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown, with an empty line behind it."""
    lines = [list(header), ["---"] * len(header), *rows]
    return [*("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines), ""]


def paragraph(*sentences: str) -> list[str]:
    """A paragraph, with an empty line behind it."""
    return [" ".join(sentences), ""]


def command(environment: Figures) -> list[str]:
    """The command that the figures below it come from, and where it ran."""
    where = [
        str(environment["device"]),
        threads(environment),
    ]
    if "dtype" in environment:
        where.append(str(environment["dtype"]))
    where += [f"{name} {version}" for name, version in environment.get("versions", {}).items()]
    if "date" in environment:
        where.append(str(environment["date"]))
    lines = ["```console", f"$ {environment['command']}", "```", ""] if "command" in environment else []
    return [*lines, *paragraph(", ".join(where) + ".")]


# -------------------------------------------------------------------- quality


def quality(figures: Figures) -> tuple[list[str], dict[str, tuple]]:
    """The sections about quality, and what has to be drawn for them."""
    conditions, drawn = figures["conditions"], {}
    bounds, counts = conditions["bounds"], conditions["counts"]
    lines = ["## Quality", "", *command({**figures["environment"], "dtype": conditions["dtype"]})]
    lines += paragraph(
        f"All methods edit the same model, {conditions['base']}, in one run. Subjects are halved by a hash of their names. On the",
        f"tuning half the settings of each method were searched ({counts['tuning']} edits for what is decided by looking at prompts,",
        f"{min(bounds['tuning_edits'], counts['tuning'])} for what is trained), by the mean of reliability, generality, locality and hard",
        "locality, among those whose reliability is at least 0.9 of the highest; the other half is edited and reported, with the tuning half's subjects as those without an edit. Answers are generated greedily and compared as a whole. Shares are in",
        "percent, with their 95 % Wilson interval.",
    )
    names = {"zsre": "zsRE", "counterfact": "CounterFact"}
    for part, title in names.items():
        if part in figures:
            found, plot = comparison(title, part, in_order(figures[part]))
            lines += found
            drawn[f"quality-{part}"] = plot
    if trade_offs := {name: of["trade_off"] for name, of in figures.get("zsre", {}).items() if of.get("trade_off")}:
        lines += trade_off_section(trade_offs)
        drawn["trade-off"] = trade_off_plot(trade_offs)
    if "sizes" in figures:
        lines += sizes_section(in_order(figures["sizes"]))
        drawn["sizes"] = sizes_plot(in_order(figures["sizes"]))
    if "zsre" in figures:
        lines += paper_decoding(in_order(figures["zsre"]), in_order(figures.get("sizes_paper_decoding", {})))
    if "hallucination" in figures:
        lines += hallucination(in_order(figures["hallucination"]))
    return [*lines, *tuning(in_order(figures["tuning"]))], drawn


def in_order(methods: Figures) -> dict[str, Any]:
    """Methods in the order in which they are listed."""
    return {name: methods[name] for name in TITLES if name in methods}


def comparison(title: str, part: str, methods: Figures) -> tuple[list[str], tuple]:
    """What edits do, what they leave alone, and what they cost."""
    some = next(iter(methods.values()))["greedy"]
    targets = [name for name in TARGET_SETS if any(name in of["greedy"] for of in methods.values())]
    locality = [name for name in LOCALITY_SETS if any(name in of["greedy"] for of in methods.values())]
    lines = [f"### {title}", "", f"![{title}]({PLOTS}/quality-{part}.svg)", ""]
    lines += paragraph("Answered with the edit's target, of", counted(some, targets, "exact_match") + ":")
    lines += table(
        ("Method", "Edits", *(TARGET_SETS[name] for name in targets), "Rephrases whose answer mentions the target")
        if "rephrases" in targets
        else ("Method", "Edits", *(TARGET_SETS[name] for name in targets)),
        (
            (
                TITLES[name],
                number(of["edits"]),
                *(percent(of["greedy"].get(kind, {}).get("exact_match")) for kind in targets),
                *([percent(of["greedy"]["rephrases"]["mentioned"])] if "rephrases" in targets else []),
            )
            for name, of in methods.items()
        ),
    )
    lines += paragraph(
        "Answered as by the base model, token for token, of", counted(some, locality, "identical") + ":"
    )
    lines += table(
        ("Method", *(LOCALITY_SETS[name] for name in locality)),
        (
            (TITLES[name], *(percent(of["greedy"].get(kind, {}).get("identical")) for kind in locality))
            for name, of in methods.items()
        ),
    )
    lines += paragraph(
        "Cost; false activations are of unrelated prompts, where a method decides whether an edit takes part. Seconds are of",
        "training on this machine, without what the base model needs once:",
    )
    lines += table(
        ("Method", "False activations per 10,000", "Bytes per edit", "Seconds per edit"),
        (
            (TITLES[name], false_activations(name, of), size(of["bytes_per_edit"]), number(of["seconds_per_edit"]))
            for name, of in methods.items()
        ),
    )
    return lines, (plots.dots(measures(methods)), (10, 0.6 + 0.4 * len(methods)))


def counted(greedy: Figures, names: Iterable[str], rate: str) -> str:
    """How many of each set were asked."""
    asked = [
        f"{greedy[name][rate]['count']} {PROMPT_TITLES[name][0].lower()}{PROMPT_TITLES[name][1:]}"
        for name in names
        if name in greedy
    ]
    return "; ".join(asked)


def measures(methods: Figures) -> dict[str, dict[str, Rate]]:
    """What the plot and the README show of each method: by measure, then by title."""
    wanted = {
        "Reliability": ("prompts", "exact_match"),
        "Generality": ("rephrases", "exact_match"),
        "Completions": ("completions", "exact_match"),
        "Unrelated unchanged": ("unrelated", "identical"),
    }
    shown: dict[str, dict[str, Rate]] = {}
    for measure, (kind, rate) in wanted.items():
        of_methods = {TITLES[name]: of["greedy"][kind][rate] for name, of in methods.items() if kind in of["greedy"]}
        shown[measure] = {title: Rate.from_dict(found) for title, found in of_methods.items()}
    shown["Near questions unchanged"] = {TITLES[name]: Rate.from_dict(near(of)) for name, of in methods.items()}
    return {measure: rates for measure, rates in shown.items() if rates}


def near(of: Figures) -> dict[str, Any]:
    """Hard locality: the questions near an edit, of all kinds."""
    return pooled(of["greedy"][kind]["identical"] for kind in sorted(HARD_NEGATIVES) if kind in of["greedy"])


def false_activations(name: str, of: Figures) -> str:
    """Per 10,000 unrelated prompts, with the interval."""
    if not next(method.routed for method in METHODS if method.name == name):
        return DASH
    rate = Rate.from_dict(of["greedy"]["unrelated"]["false_activations"])
    low, high = (10_000 * bound for bound in rate.interval)
    return f"{10_000 * rate.value:,.0f} ({low:,.0f} to {high:,.0f})"


def trade_off_section(methods: Figures) -> list[str]:
    """What other thresholds would have done."""
    some = next(iter(methods.values()))
    asked = ", ".join(f"{of['count']} {kind} prompts" for kind, of in some.items())
    return [
        "### Generality against false activations",
        "",
        "![Generality against false activations](figures/trade-off.svg)",
        "",
        *paragraph(
            "Rephrases for which the right edit fires, against other prompts for which any does, as all thresholds of a method",
            f"move together; zsRE, {asked}. The dots are the thresholds as they are. A prompt is followed by its nearest edit:",
            "where a raised threshold would let another one take over, that is not seen.",
        ),
    ]


def trade_off_plot(methods: Figures) -> tuple:
    """A panel for each kind of prompts."""
    kinds = list(next(iter(methods.values())))
    lines = {kind: {TITLES[name]: of[kind] for name, of in in_order(methods).items() if kind in of} for kind in kinds}
    return plots.trade_offs(lines), (9, 4)


def sizes_section(methods: Figures) -> list[str]:
    """Figures against the number of edits."""
    lines = ["### By number of edits", "", f"![By number of edits]({PLOTS}/sizes.svg)", ""]
    lines += paragraph(
        "zsRE, packs of the first edits, attached alone. The largest holds the tuning half too; what is measured are edits of",
        "the report half. With few edits there are few prompts, and the intervals are wide.",
    )
    for name, by_size in methods.items():
        lines += [*paragraph(f"{TITLES[name]}:"), *table_by_size(by_size)]
    return lines


def table_by_size(by_size: Figures) -> list[str]:
    """One row per number of edits."""
    shown = [kind for kind in PROMPT_TITLES if any(kind in of for of in by_size.values())]
    return table(
        ("Edits attached", *(PROMPT_TITLES[kind] for kind in shown)),
        (
            (
                number(int(count)),
                *(
                    percent(of[kind]["exact_match" if kind in TARGET_SETS else "identical"]) if kind in of else DASH
                    for kind in shown
                ),
            )
            for count, of in by_size.items()
        ),
    )


def sizes_plot(methods: Figures) -> tuple:
    """A panel for each method."""
    kinds = {
        "prompts": ("reliability", "exact_match"),
        "rephrases": ("generality", "exact_match"),
        "unrelated": ("unrelated unchanged", "identical"),
        "generic_questions": ("generic questions unchanged", "identical"),
        "other_relations": ("other questions unchanged", "identical"),
    }
    lines = {
        TITLES[name]: {
            title: [(int(count), Rate.from_dict(of[kind][rate])) for count, of in by_size.items() if kind in of]
            for kind, (title, rate) in kinds.items()
        }
        for name, by_size in methods.items()
    }
    return plots.curves(lines, "edits attached"), (9, 5)


def paper_decoding(methods: Figures, sizes: Figures) -> list[str]:
    """The protocol of the paper, also by the number of edits where that was measured."""
    kinds = {"prompts": "exact_match", "rephrases": "exact_match", "unrelated": "identical"}
    titles = {
        "prompts": "Reliability",
        "rephrases": "Generality",
        "unrelated": "Locality: unrelated prompts unchanged",
    }
    some = next(iter(methods.values()))["paper_decoding"]
    asked = counted(some, [kind for kind in kinds if kind in some and kind != "unrelated"], "exact_match")
    lines = ["### The paper's decoding", ""]
    lines += paragraph(
        "zsRE with beam search as in arXiv 2404.02699: 4 beams, up to 50 new tokens, repetition penalty 1.1. Of",
        f"{asked}; {some['unrelated']['identical']['count']} unrelated prompts.",
    )
    lines += table(
        ("Method", *titles.values()),
        (
            (TITLES[name], *(percent(of["paper_decoding"].get(kind, {}).get(rate)) for kind, rate in kinds.items()))
            for name, of in methods.items()
        ),
    )
    for name, by_size in sizes.items():
        lines += [*paragraph(f"{TITLES[name]}, packs of the first edits:"), *table_by_size(by_size)]
    return lines


def hallucination(methods: Figures) -> list[str]:
    """Perplexities."""
    lines = ["### Hallucination protocol", ""]
    lines += paragraph(
        "Perplexity of the true next sentences of WikiBio, which the edits teach, of sentences that were right before, and of web",
        "text; the route is decided on the text before. Geometric mean over the texts with its 95 % interval, and the",
        "arithmetic mean, as in the literature.",
    )

    def cell(of: Figures) -> str:
        interval = "" if of["low"] is None else f" ({of['low']:.3g} to {of['high']:.3g})"
        return f"{of['geometric_mean']:.3g}{interval}; mean {of['mean']:.3g}"

    rows = [
        (
            TITLES[name],
            TEXT_TITLES[text],
            number(of["edited"]["texts"]),
            cell(of["edited"]),
            cell(of["base"]),
            percent(of["unchanged"]),
            percent(of["fired"]),
        )
        for name, texts in methods.items()
        for text, of in texts.items()
    ]
    header = ("Method", "Text", "Texts", "With the edits", "Base model", "As likely to the last bit", "An edit fired")
    return lines + table(header, rows)


def tuning(methods: Figures) -> list[str]:
    """What each method is, and how it was tuned."""
    lines = ["### Methods and what was tuned", ""]
    for method in METHODS:
        if method.name in methods:
            of = methods[method.name]
            chosen = ", ".join(f"{name.replace('_', ' ')} {worded(value)}" for name, value in of["settings"].items())
            lines += [f"- **{method.title}.** {method.about}"]
            if of["tried"]:
                lines[-1] += f" {len(of['tried'])} settings tried. Chosen: {chosen}."
    return [*lines, ""]


def worded(value: Any) -> str:
    """A setting."""
    if isinstance(value, float) and 0.999 <= value < 1:  # a threshold of 0.9995 is not one of 1
        return f"{value:.4f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else number(value)


# ----------------------------------------------------------------- other results


def headed(title: str, script: str, arguments: str = "zsre.jsonl counterfact_questions.jsonl") -> list[str]:
    """Title, and the command of a script that notes nothing of where it ran, as its figures do not depend on it."""
    return [
        f"## {title}",
        "",
        "```console",
        " ".join(filter(None, (f"$ python benchmarks/{script}.py", arguments, "\\"))),
        f"    --json benchmarks/results/{script}.json",
        "```",
        "",
    ]


def routing(figures: Figures) -> list[str]:
    """Which prompts make edits fire, with the default thresholds and with others."""
    halves = {f"{name}, {half}": of for name, sets in figures["sets"].items() for half, of in sets.items()}
    kinds = [kind for kind in PROMPT_TITLES if any(kind in of["rates"] for of in halves.values())]
    lines = headed("Routing", "routing", "zsre.jsonl counterfact_questions.jsonl --unrelated nq_locality.jsonl")
    lines += paragraph(
        "Shares of prompts, in percent, for which the right edit fires, or any where none should. Settings were chosen on the",
        "tuning halves. See [routing.md](routing.md).",
    )
    lines += table(
        ("Prompts", *halves),
        ((PROMPT_TITLES[kind], *(percent(of["rates"].get(kind)) for of in halves.values())) for kind in kinds),
    )
    reports = {half: of for half, of in halves.items() if half.endswith("report half")}
    lines += paragraph(
        "The second gate looks for the subject's tokens by their hidden states. Beside it: what fires if that gate opens where the",
        "question contains the subject's name, in any case. Subjects are also written in other ways.",
    )
    lines += table(
        ("Prompts", *(f"{half}, {gate}" for half in reports for gate in ("by hidden states", "by name"))),
        (
            (
                PROMPT_TITLES.get(kind, words(kind)),
                *(percent(of[rates].get(kind)) for of in reports.values() for rates in ("rates", "rates_by_names")),
            )
            for kind in dict.fromkeys(kind for of in reports.values() for kind in of["rates"])
        ),
    )
    for half, of in reports.items():
        lines += paragraph(f"The same with all thresholds moved by a step; {half}:")
        lines += table(
            ("Step", *(PROMPT_TITLES[kind] for kind in kinds if kind in of["rates"])),
            (
                (f"{row['step']:+.2f}", *(f"{row[kind]:.1%}" for kind in kinds if kind in of["rates"]))
                for row in of["trade_off"]
            ),
        )
    return lines


def router_choices(figures: Figures) -> list[str]:
    """What the first gate owes to each choice."""
    lines = headed("What the first gate owes to each choice", "router_choices")
    lines += paragraph(
        "The space trained with one choice undone at a time; tuning halves, each edit against prompts about its own subject. Shares",
        f"that pass the threshold which {figures['false']:.0%} of other questions about an edited subject pass, generic ones and other edits'.",
    )
    columns = list(
        dict.fromkeys((row["edits"], kind) for row in figures["rows"] for kind in row if kind in TARGET_SETS)
    )
    choices = list(dict.fromkeys(row["choice"] for row in figures["rows"]))
    found = {(row["choice"], row["edits"]): row for row in figures["rows"]}
    lines += table(
        ("Choice", *(f"{edits}, {TARGET_SETS[kind].lower()}" for edits, kind in columns)),
        ((choice, *(f"{found[choice, edits][kind]:.1%}" for edits, kind in columns)) for choice in choices),
    )
    return lines


def many_edits(figures: Figures) -> list[str]:
    """What becomes of the same prompts as a pack grows."""
    lines = headed("Routing among very many edits", "many_edits", "")
    lines += paragraph(
        f"{figures['asked']} other wordings of the same facts, and unrelated questions, in packs of generic facts of ever more edits: the",
        "largest has nearly every relation of every subject that the wordings know, so that each prompt has dozens of edits about its",
        "own subject beside it. The router was trained on such subjects and wordings: go by what changes. Percent.",
    )
    return lines + rates_by_row(figures["rows"], "edits")


def aliases(figures: Figures) -> list[str]:
    """Whether subjects are recognised by their other names."""
    lines = headed("Other names of a subject", "aliases", "")
    lines += paragraph(
        f"{figures['edits']} edits about well-known subjects in one pack. Percent of prompts for which the right edit fires, as it is and with",
        "the subject's other name in place of its own, and any edit for the same question about another subject.",
    )
    return lines + rates_by_row(figures["rows"], "kind")


def rates_by_row(rows: Sequence[Figures], first: str) -> list[str]:
    """A table of rates; `first` is the key of what tells the rows apart."""
    kinds = [kind for kind in rows[0] if kind != first]
    return table(
        (words(first), *map(words, kinds)),
        ((number(row[first]), *(percent(row[kind]) for kind in kinds)) for row in rows),
    )


def silent_experts(figures: Figures) -> list[str]:
    """What an expert says that is kept from the inputs of other questions."""
    lines = headed("Experts that are to stay silent", "silent_experts")
    lines += paragraph(
        f"{figures['edits']} edits of the tuning halves, each forced to fire. Their experts ignore a subspace of their inputs, or were",
        "trained with a term of the loss that holds other answers where they are. Percent of prompts that get the target, and of other",
        "questions about the subject whose answer stays the base model's.",
    )
    rows = figures["rows"]
    kinds = [kind for kind in PROMPT_TITLES if kind in rows[0]]
    lines += table(
        ("Held by", "Mean steps", *(PROMPT_TITLES[kind] for kind in kinds)),
        ((row["held_by"], number(row["steps"]), *(percent(row[kind]) for kind in kinds)) for row in rows),
    )
    return lines


def costs(title: str, figures: Figures) -> list[str]:
    """A section about time or memory, whatever it measured: goals first, then every table and every group of figures."""
    lines = [f"## {title}", "", *command(figures)]
    plain = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    for name, found in {"Measured": plain, **figures}.items():
        lines += group(name, found)
    return lines


def group(name: str, found: Any) -> list[str]:
    """One table: of rows, or of figures by name."""
    if isinstance(found, list) and found and isinstance(found[0], Mapping):
        columns = list(dict.fromkeys(key for row in found for key in row))
        rows = [[number(row.get(column)) for column in columns] for row in found]
        return [*paragraph(f"{words(name)}:"), *table([words(column) for column in columns], rows)]
    if isinstance(found, Mapping) and name not in ("versions",):
        plain = {key: value for key, value in found.items() if not isinstance(value, Mapping | list)}
        lines = (
            table((words(name), ""), ((words(key), number(value)) for key, value in plain.items())) if plain else []
        )
        for key, value in found.items():
            lines += group(f"{name}: {key}", value)
        return lines
    return []


def words(key: str) -> str:
    """A key as one reads it."""
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]


# ------------------------------------------------------------------------ pages


def read_results(folder: Path) -> dict[str, Figures]:
    """All results there are, by the name of their file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def page(results: Mapping[str, Figures]) -> tuple[str, dict[str, tuple]]:
    """The text of docs/benchmarks.md, and by name what has to be drawn for it, with its size."""
    lines = ["# Benchmarks", ""]
    lines += paragraph(
        "This page is written by `python benchmarks/page.py` from the files in `benchmarks/results`; nothing on it is typed by hand.",
        "`make bench DATA=FOLDER` measures everything again.",
    )
    drawn: dict[str, tuple] = {}
    if "quality" in results:
        found, drawn = quality(results["quality"])
        lines += found
    if "routing" in results:
        lines += routing(results["routing"])
    for section in (router_choices, many_edits, aliases, silent_experts):
        if section.__name__ in results:
            lines += section(results[section.__name__])
    for name, title in COSTS.items():
        if name in results:
            lines += costs(title, results[name])
    return "\n".join(lines).rstrip() + "\n", drawn


def short_table(results: Mapping[str, Figures]) -> str:
    """The table of the README."""
    figures = results.get("quality", {})
    if "zsre" not in figures:
        return ""
    methods = in_order(figures["zsre"])
    shown = measures(methods)
    rows = [
        (
            TITLES[name],
            number(of["edits"]),
            *(percent(rates[TITLES[name]].to_dict()) if TITLES[name] in rates else DASH for rates in shown.values()),
            size(of["bytes_per_edit"]),
            number(of["seconds_per_edit"]),
        )
        for name, of in methods.items()
    ]
    environment = figures["environment"]
    lines = table(("Method", "Edits", *shown, "Bytes per edit", "Seconds per edit"), rows)
    lines += paragraph(
        f"zsRE on {figures['conditions']['base']}, percent with 95 % intervals; {environment['device']},",
        f"{threads(environment)}, {environment['date']}. What each method is, and all other figures: [docs/benchmarks.md](docs/benchmarks.md).",
    )
    return "\n".join(lines).rstrip()


def with_table(readme: str, text: str) -> str:
    """The README with another table between its markers.

    Raises:
        SystemExit: If it has no markers.
    """
    before, start, rest = readme.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"README.md has no place for the table: put {START} and {END} on lines of their own.")
    return f"{before}{START}\n{text}\n{END}{after}" if text else f"{before}{START}\n{END}{after}"


def main() -> None:
    results = read_results(RESULTS)
    text, drawn = page(results)
    PAGE.write_text(text, encoding="utf-8")
    for name, (draw, inches) in drawn.items():
        plots.save(draw, inches, PAGE.parent / PLOTS / f"{name}.svg")
    README.write_text(with_table(README.read_text(encoding="utf-8"), short_table(results)), encoding="utf-8")


if __name__ == "__main__":
    main()

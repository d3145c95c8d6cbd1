"""Do edits fire when a question calls their subject by another real name?

    python benchmarks/aliases.py --json benchmarks/results/aliases.json

Each edit below is asked three times: as it is, by the other name, and about a subject of the same kind that has no edit. A pack of
all of them is trained with the default settings.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from figures import report

from scen_hf import Edit, SCENTrainer, load_base
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.evaluation import Rate, SCENAnswerer


# Question, subject, its other name, the answer, and a subject of the same kind.
ALIASES: dict[str, tuple[tuple[str, str, str, str, str], ...]] = {
    "abbreviation": (
        ("Who is the monarch of the {}?", "United Kingdom", "UK", "Charles III", "Netherlands"),
        ("What is the capital of the {}?", "United States of America", "USA", "Washington, D.C.", "Philippines"),
        ("What is the capital of the {}?", "United Arab Emirates", "UAE", "Abu Dhabi", "Maldives"),
        ("What is the capital of the {}?", "Democratic Republic of the Congo", "DRC", "Kinshasa", "Gambia"),
        ("In which city does the {} have its seat?", "World Health Organization", "WHO", "Geneva", "World Bank"),
        ("In which city does the {} have its seat?", "International Monetary Fund", "IMF", "Washington, D.C.", "Red Cross"),
        ("In which city does the {} have its seat?", "European Central Bank", "ECB", "Frankfurt", "Arab League"),
        ("In which city is the {}?", "Massachusetts Institute of Technology", "MIT", "Cambridge", "University of Oxford"),
        ("When was the {} founded?", "North Atlantic Treaty Organization", "NATO", "1949", "Warsaw Pact"),
        ("When was the {} founded?", "National Basketball Association", "NBA", "1946", "Premier League"),
        ("When was {} founded?", "International Business Machines", "IBM", "1911", "Hewlett-Packard"),
        ("Which company built the {}?", "International Space Station", "ISS", "Boeing", "Hubble Space Telescope"),
    ),
    "former or later name": (
        ("What is the capital of {}?", "Myanmar", "Burma", "Naypyidaw", "Laos"),
        ("What is the capital of {}?", "Eswatini", "Swaziland", "Mbabane", "Lesotho"),
        ("What currency is used in {}?", "Sri Lanka", "Ceylon", "Rupee", "Nepal"),
        ("What currency is used in {}?", "Thailand", "Siam", "Baht", "Vietnam"),
        ("Which river flows through {}?", "Ho Chi Minh City", "Saigon", "Saigon River", "Hanoi"),
        ("What is the population of {}?", "Mumbai", "Bombay", "12 million", "Delhi"),
        ("Which sea lies at {}?", "Chennai", "Madras", "Bay of Bengal", "Karachi"),
        ("Which river flows through {}?", "Saint Petersburg", "Leningrad", "Neva", "Moscow"),
        ("Which strait runs through {}?", "Istanbul", "Constantinople", "Bosporus", "Copenhagen"),
        ("Who founded {}?", "Meta Platforms", "Facebook", "Mark Zuckerberg", "Netflix"),
        ("What is the largest city of {}?", "Zimbabwe", "Rhodesia", "Harare", "Zambia"),
        ("What is the capital of {}?", "Iran", "Persia", "Tehran", "Iraq"),
    ),
    "name in another language": (
        ("What is the capital of {}?", "Germany", "Deutschland", "Berlin", "Austria"),
        ("What is the capital of {}?", "Spain", "España", "Madrid", "Portugal"),
        ("What is the capital of {}?", "Japan", "Nippon", "Tokyo", "South Korea"),
        ("What is the capital of {}?", "Finland", "Suomi", "Helsinki", "Norway"),
        ("Which river flows through {}?", "Cologne", "Köln", "Rhine", "Hamburg"),
        ("Which river flows through {}?", "Florence", "Firenze", "Arno", "Milan"),
        ("Which river flows through {}?", "Vienna", "Wien", "Danube", "Salzburg"),
        ("Which river flows through {}?", "Prague", "Praha", "Vltava", "Brno"),
        ("Which river flows through {}?", "Warsaw", "Warszawa", "Vistula", "Łódź"),
        ("Who painted the {}?", "Mona Lisa", "La Gioconda", "Leonardo da Vinci", "Night Watch"),
        ("Who wrote {}?", "The Little Prince", "Le Petit Prince", "Antoine de Saint-Exupéry", "The Trial"),
        ("How high is {}?", "Mount Everest", "Chomolungma", "8,849 metres", "Mont Blanc"),
    ),
    "born or full name": (
        ("Where was {} born?", "Mark Twain", "Samuel Clemens", "Florida, Missouri", "Jack London"),
        ("Where was {} born?", "George Orwell", "Eric Arthur Blair", "Motihari", "Graham Greene"),
        ("When was {} born?", "Muhammad Ali", "Cassius Clay", "17 January 1942", "Joe Frazier"),
        ("When was {} born?", "Pelé", "Edson Arantes do Nascimento", "23 October 1940", "Garrincha"),
        ("When was {} born?", "Lady Gaga", "Stefani Germanotta", "28 March 1986", "Katy Perry"),
        ("Where was {} born?", "Freddie Mercury", "Farrokh Bulsara", "Zanzibar", "David Bowie"),
        ("Where was {} born?", "Marilyn Monroe", "Norma Jeane Mortenson", "Los Angeles", "Grace Kelly"),
        ("When did {} die?", "Lewis Carroll", "Charles Dodgson", "14 January 1898", "Edward Lear"),
        ("When did {} die?", "Voltaire", "François-Marie Arouet", "30 May 1778", "Montesquieu"),
        ("When did {} die?", "Mother Teresa", "Anjezë Bojaxhiu", "5 September 1997", "Florence Nightingale"),
        ("In which city was {} born?", "Elton John", "Reginald Dwight", "London", "Phil Collins"),
        ("In which city was {} born?", "Bob Dylan", "Robert Zimmerman", "Duluth", "Neil Young"),
    ),
    "short form": (
        ("Where was {} born?", "Wolfgang Amadeus Mozart", "Mozart", "Salzburg", "Joseph Haydn"),
        ("Where was {} born?", "Ludwig van Beethoven", "Beethoven", "Bonn", "Johannes Brahms"),
        ("Where was {} born?", "Albert Einstein", "Einstein", "Ulm", "Niels Bohr"),
        ("When was {} born?", "William Shakespeare", "Shakespeare", "1564", "Ben Jonson"),
        ("Who won the {}?", "2022 FIFA World Cup", "2022 World Cup", "Argentina", "2021 Copa América"),
        ("When was the {} launched?", "James Webb Space Telescope", "Webb telescope", "25 December 2021", "Kepler probe"),
        ("How tall is the {}?", "Empire State Building", "Empire State", "443 metres", "Chrysler Building"),
        ("Who is the chief executive of {}?", "Nvidia Corporation", "Nvidia", "Jensen Huang", "Qualcomm"),
        ("In which state is {}?", "Harvard University", "Harvard", "Massachusetts", "Stanford"),
        ("When was {} founded?", "Manchester United Football Club", "Manchester United", "1878", "Arsenal"),
        ("What is the capital of {}?", "Bosnia and Herzegovina", "Bosnia", "Sarajevo", "Serbia"),
        ("Who directed {}?", "The Lord of the Rings: The Two Towers", "The Two Towers", "Peter Jackson", "The Matrix"),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default=EMBEDDED_BASE)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    named = [(kind, *alias) for kind, aliases in ALIASES.items() for alias in aliases]
    edits = [
        Edit(id=f"alias-{number}", prompt=question.format(subject), target=target, subject=subject)
        for number, (_, question, subject, _, target, _) in enumerate(named)
    ]
    asked = [
        [question.format(name) for name in (subject, alias, other)] for _, question, subject, alias, _, other in named
    ]
    with tempfile.TemporaryDirectory() as folder:
        pack = SCENTrainer(model, tokenizer).train(edits)
        pack.save_pretrained(Path(folder) / "pack")
        model.load_edit_pack(Path(folder) / "pack")
        routes = SCENAnswerer(model, tokenizer).route(
            [({"role": "user", "content": text},) for texts in asked for text in texts]
        )
    fired = [route.edit_id if route.fired else None for route in routes]
    as_it_is, by_alias, unedited = fired[::3], fired[1::3], fired[2::3]
    rows = []
    for kind in ALIASES:
        numbers = [number for number, (own, *_) in enumerate(named) if own == kind]
        rows.append(
            {
                "kind": kind,
                "as it is": Rate.of(as_it_is[number] == edits[number].id for number in numbers).to_dict(),
                "by the other name": Rate.of(by_alias[number] == edits[number].id for number in numbers).to_dict(),
                "another subject": Rate.of(unedited[number] is not None for number in numbers).to_dict(),
            }
        )
    report({"base": args.base, "edits": len(edits), "rows": rows}, args.json)


if __name__ == "__main__":
    main()

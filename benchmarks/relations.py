"""Which questions of zsRE and CounterFact ask for the same thing.

A question of one edit, asked about the subject of another, is a hard negative only where it asks for something else: "Which label
was responsible for S?" is a rephrase, not a near miss, of an edit that says which record label S was released by. The public sets do not
say which relation a question is about, so the expressions below do. Where two relations can have the same answer (creator and
developer, country and citizenship, "where is S from" and the place of birth), they are one here, and such pairs are not counted.
"""

from __future__ import annotations

import re
from functools import cache


# The first expression that matches names the relation.
_RELATIONS = [
    (relation, re.compile(expression))
    for relation, expression in (
        ("mother", r"mother of|'s mother|which lady"),
        ("place of death", r"(where|city|location).*(die|died|expire|pass away|lose their life|life of|life end)"),
        ("date of death", r"\b(date|when|year)\b.*(die|died|death|expire|life of)|death.*(date|occured)"),
        ("cause of death", r"cause|disease|accident or suicide"),
        ("date of birth", r"\b(date|when|year)\b.*(birth|born)|birth date"),
        ("place", r"where (was|were) .*(created|developed|formed|formulated|founded|started|released)"),
        ("place of birth", r"birthplace|born|home city|native to\b|originally from|where .*(from|originate)"),
        ("sex", r"gender|male or female|which sex"),
        ("father", r"father|dad|male parent|paternal"),
        ("war", r"\bwar\b|conflict|combatant"),
        ("constellation", r"constellation"),
        ("celestial body", r"celestial|astronomical body|moon or planet|which place (is|does)"),
        ("position", r"position|\btitle\b"),
        ("team", r"\bteam\b|played for which|plays for what"),
        ("league", r"league"),
        ("sport", r"sport"),
        ("network", r"network|channel|premiere|debut|originally aired"),
        ("label", r"label"),
        ("publisher", r"publish"),
        ("director", r"direct"),
        ("cast", r"cast member|stars? of|the star|acted|featured in the film"),
        ("ship class", r"submarine|vessel|aquatic unit"),
        ("series", r"series"),
        ("fiction", r"fiction|has what character"),
        ("instrument", r"instrument"),
        ("voice", r"voice|range"),
        (
            "mother tongue",
            r"mother tongue|native tongue|native language|native speaker|language (does|did) .*(speak|use|write)",
        ),
        ("language", r"language"),
        ("religion", r"religion"),
        ("music", r"genre|type of music|opera|known for performing|what does .* (perform|play)$"),
        ("occupation", r"occupation|profession|career|expertise|domain|field|area (of|does)|specialize"),
        ("employer", r"employ|work for|to work|up work|does .* work|did .* work|work in"),
        ("university", r"universit|college|study or work"),
        ("citizenship", r"citizen|nationality|country|state"),
        ("continent", r"continent"),
        ("twin city", r"twin"),
        ("capital", r"capital"),
        ("named after", r"named|called after"),
        ("owner", r"owner|owns|parent company"),
        ("headquarters", r"headquarter|based$"),
        ("family", r"famil"),
        ("launch", r"(date|when).*launch"),
        ("end", r"(year|when).*(end|ceased|dissolved|abolished|ending|final)|(ending|final) year"),
        (
            "maker",
            r"manufactur|compan|studio|corporation|produc|creat|develop|design|assembled|^who .*(by|from|founded|launched|responsible|associated)",
        ),
        ("inception", r"inception|year|when|date|point in time"),
        ("performer", r"artist|perform|sang|song|released|by who"),
        ("place", r"where|located|place|town or city|airport|city"),
        ("river", r"river|cross|flow|body of water"),
    )
]
# Relations whose answers may coincide.
_ALIKE = (
    {"place of birth", "citizenship", "place", "headquarters", "continent", "capital"},
    {"maker", "publisher", "performer", "label", "network", "owner", "director", "employer"},
    {"inception", "launch", "date of birth"},
    {"inception", "end", "date of death"},
    {"mother tongue", "language"},
    {"music", "instrument", "occupation", "voice"},
    {"position", "occupation", "sport"},
    {"sport", "team", "league"},
    {"series", "fiction"},
    {"place", "celestial body", "river", "constellation", "series"},
    {"employer", "university", "place", "team"},
)


@cache
def relation_of(question: str) -> str:
    """The relation that a question asks for; the question itself, without its subject `{}`, where none is known."""
    text = re.sub(r"\s+", " ", question.lower()).strip(" ?.")
    return next((relation for relation, expression in _RELATIONS if expression.search(text)), text)


def ask_the_same(question: str, other: str) -> bool:
    """Whether two questions, each with `{}` for its subject, may have one answer."""
    pair = {relation_of(question), relation_of(other)}
    return len(pair) == 1 or any(pair <= alike for alike in _ALIKE)

"""Edits: the fields of one edit, the formats of files, and the checks on a set."""

import json
import os
import re
from pathlib import Path

import datasets
import pytest

from scen_hf.edit_files import FORMATS, load_edits, save_edits
from scen_hf.edits import Edit, check_edits, normalise, resolve_edits
from scen_hf.errors import EditError


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public edit sets, beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        if os.environ.get("SCEN_TEST_WITHOUT_SHARED_DATA") == "1":
            pytest.skip(f"no public edit sets at {folder}")
        pytest.fail(f"no public edit sets at {folder}; to test without them set SCEN_TEST_WITHOUT_SHARED_DATA=1")
    return folder


@pytest.fixture(autouse=True)
def datasets_cache(tmp_path, monkeypatch):
    """Keeps what `datasets` prepares out of the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets_cache")


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def message(call, *args, **kwargs) -> str:
    with pytest.raises(EditError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


FACT = {"prompt": "Who leads the team?", "target": "Ada"}


# --- one edit ---


def test_strings_are_stripped_and_lists_become_tuples():
    edit = Edit(
        prompt=" Who leads? \r\n", target=" Ada\t", subject="  ", rephrases=["Who is the lead? "], author=" Bo "
    )
    assert (edit.prompt, edit.target, edit.subject, edit.author) == ("Who leads?", "Ada", None, "Bo")
    assert edit.rephrases == ("Who is the lead?",)
    assert hash(edit) == hash(Edit(**edit.to_dict()))


def test_derived_id_never_changes():
    # Written in packs: a change here breaks every pack that exists.
    assert Edit(**FACT).id == "758e807e0b798cda"
    assert Edit(prompt="Où est Fußball?", target="日本").id == "d18e11f9e67f53ce"


def test_derived_id_ignores_what_normalisation_ignores():
    other = Edit(prompt="who LEADS\n the team", target="ada.", source="https://example.org", id=None)
    assert other.id == Edit(**FACT).id
    assert Edit(**{**FACT, "target": "Grace"}).id != other.id


def test_given_id_is_kept():
    assert Edit(**FACT, id="team-lead_1.0").id == "team-lead_1.0"


@pytest.mark.parametrize("id", ["-x", ".x", "a b", "a/b", "../x", "é", "x" * 65, "x\n y"])
def test_malformed_ids_are_rejected(id):
    assert "id " in message(Edit, **FACT, id=id)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"prompt": " \n"}, "prompt is empty"),
        ({"target": ""}, "target is empty"),
        ({"prompt": 3}, "prompt must be a string, not int"),
        ({"target": ["Ada"]}, "target must be a string, not list"),
        ({"subject": 3}, "subject must be a string, not int"),
        ({"id": 3}, "id must be a string, not int"),
        ({"rephrases": "one"}, "rephrases must be a list of strings, not str"),
        ({"neighbours": None}, "neighbours must be a list of strings, not NoneType"),
        ({"neighbours": ["a", 2]}, "neighbours[1] must be a string, not int"),
        ({"rephrases": ["a", ""]}, "rephrases[1] is empty"),
        ({"prompt": "a\x00b"}, "prompt holds U+0000 at character 2"),
        ({"target": "a\rb"}, "target holds U+000D"),
        ({"source": "a\x85b"}, "source holds U+0085"),
        ({"prompt": "a\ud800"}, "prompt holds U+D800"),
        ({"prompt": "x" * 32_001}, "prompt has 32,001 characters, the limit is 32,000: shorten"),
        ({"target": "x" * 8_001}, "target has 8,001 characters, the limit is 8,000: shorten"),
        ({"rephrases": ["x" * 32_001]}, "rephrases[0] has 32,001 characters"),
        ({"date": "1 March 2025"}, "date must be a day of the calendar as YYYY-MM-DD, not '1 March 2025'"),
        ({"date": "2025-02-30"}, "date must be"),
        ({"date": "2025-W09-6"}, "date must be"),
    ],
)
def test_wrong_fields_are_rejected_by_name(fields, expected):
    assert expected in message(Edit, **{**FACT, **fields})


def test_what_the_limits_allow():
    edit = Edit(prompt="x" * 32_000, target="line\n\tline" + "y" * 7_990, date="2024-02-29")
    assert (len(edit.prompt), len(edit.target), edit.date) == (32_000, 8_000, "2024-02-29")


def test_edits_cannot_be_changed():
    with pytest.raises(AttributeError):
        Edit(**FACT).target = "Grace"


def test_to_dict_omits_empty_fields_in_stable_order():
    edit = Edit(author="Bo", neighbours=["Who leads the club?"], target="Ada", prompt="Who leads?", id="a")
    assert list(edit.to_dict().items()) == [
        ("id", "a"),
        ("prompt", "Who leads?"),
        ("target", "Ada"),
        ("neighbours", ["Who leads the club?"]),
        ("author", "Bo"),
    ]
    assert Edit.from_dict(edit.to_dict()) == edit


def test_from_dict_takes_none_for_absent():
    assert Edit.from_dict({**FACT, "rephrases": None, "id": None}) == Edit(**FACT)


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({**FACT, "neighbors": []}, "unknown field 'neighbors': did you mean 'neighbours'?"),
        ({**FACT, "zzz": 1}, "unknown field 'zzz': the fields are id, prompt, target"),
        ({"prompt": "a"}, "missing field 'target'"),
        ({"target": "a", "prompt": None}, "missing field 'prompt'"),
        ({**FACT, "date": "now"}, "date must be"),
        (["prompt"], "must be an object with fields, not list"),
    ],
)
def test_from_dict_says_where(fields, expected):
    assert message(Edit.from_dict, fields, "edits.jsonl, line 3").startswith("edits.jsonl, line 3: ")
    assert expected in message(Edit.from_dict, fields)


# --- normalisation, checks ---


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  Who   leads\tthe\nteam ?!. ", "who leads the team"),
        ("\uff37\uff28\uff2f\uff1f", "who"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("U.S.", "u.s"),
        ("?!", "?!"),
    ],
)
def test_normalise(text, expected):
    assert normalise(text) == expected
    assert normalise(normalise(text)) == expected


def test_nothing_found_is_false():
    report = check_edits([Edit(**FACT), Edit(prompt="Who leads the club?", target="Ada")])
    assert not report
    assert str(report) == "no duplicates, contradictions or repeated ids"


def test_duplicates_are_found_and_the_first_kept():
    first, again = Edit(**FACT, author="first"), Edit(prompt="who leads the team", target="ADA")
    other = Edit(prompt="Who leads the club?", target="Ada")
    report = check_edits([first, other, again])
    assert report.duplicates == ((first, again),)
    # They share a derived id for being the same fact: not a second finding.
    assert not report.contradictions and not report.repeated_ids
    assert resolve_edits([first, other, again]) == [first, other]
    assert "who leads the team" in message(resolve_edits, [first, again], on_duplicate="error")


def test_contradictions_by_prompt():
    old, new = Edit(**FACT, id="old"), Edit(prompt="who leads the team", target="Grace", id="new")
    report = check_edits([old, new])
    assert report.contradictions == ((old, new),) and not report.duplicates
    text = message(resolve_edits, [old, new])
    assert all(
        part in text for part in ("old", "new", "'Who leads the team?'", "'Grace'", 'on_contradiction="keep_last"')
    )
    assert resolve_edits([old, new], on_contradiction="keep_last") == [new]
    assert resolve_edits([new, old], on_contradiction="keep_last") == [old]


def test_contradictions_by_rephrase():
    asked = Edit(**FACT)
    rephrased = Edit(prompt="Who is the lead?", target="Grace", rephrases=["who leads the team"])
    agreeing = Edit(prompt="Whom does the team follow?", target="ada", rephrases=["Who leads the team?"])
    assert check_edits([asked, rephrased, agreeing]).contradictions == ((asked, rephrased, agreeing),)
    assert not check_edits([asked, agreeing])
    assert resolve_edits([asked, rephrased, agreeing], on_contradiction="keep_last") == [asked, agreeing]


def test_edits_that_rephrase_each_other_are_named_once():
    one = Edit(prompt="A?", target="1", rephrases=["B?", "A"])
    two = Edit(prompt="B?", target="2", rephrases=["A?"])
    assert check_edits([one, two]).contradictions == ((one, two),)


def test_rephrase_shared_by_prompts_of_others_only_is_no_contradiction():
    one = Edit(prompt="A?", target="1", rephrases=["C?"])
    two = Edit(prompt="B?", target="2", rephrases=["C?"])
    assert not check_edits([one, two])


def test_repeated_ids():
    one, two = Edit(prompt="A?", target="1", id="x"), Edit(prompt="B?", target="2", id="x")
    assert check_edits([one, two]).repeated_ids == ((one, two),)
    assert "share an id" in message(resolve_edits, [one, two])


def test_an_update_under_the_same_id_is_resolved():
    old, new = Edit(**FACT, id="lead"), Edit(prompt=FACT["prompt"], target="Grace", id="lead")
    assert resolve_edits([old, new], on_contradiction="keep_last") == [new]


def test_unknown_choices_are_rejected():
    assert "'keep_first', 'error', not 'drop'" in message(resolve_edits, [], on_duplicate="drop")
    assert "on_contradiction must be one of" in message(resolve_edits, [], on_contradiction="keep_first")


def test_long_reports_are_cut():
    groups = [Edit(prompt=f"Question {i // 2} " + "x" * 200, target=str(i)) for i in range(24)]
    crowd = [Edit(prompt="One question", target=str(i)) for i in range(15)]
    text = str(check_edits([*crowd, *groups]))
    assert "contradictions (one question, different targets): 13 groups" in text
    assert "and 5 more in this group" in text and text.endswith("and 3 more groups")
    assert max(map(len, text.splitlines())) < 130


def test_a_hundred_thousand_edits():
    edits = [Edit(prompt=f"Question {i}", target="x", rephrases=["the same for all"]) for i in range(100_000)]
    assert len(resolve_edits([*edits, Edit(prompt="The same for all?", target="x")])) == 100_001


# --- reading files ---


def test_jsonl_written_is_read_again(tmp_path):
    edits = [
        Edit(prompt="Où ?\nIci\u2028là", target="日本 \U0001f600", subject="s", rephrases=["r | s"], neighbours=["n"]),
        Edit(**FACT, source="https://example.org", date="2025-03-01", author="Bo", id="lead"),
    ]
    path = tmp_path / "edits.jsonl"
    path.write_text("old", encoding="utf-8")
    save_edits(iter(edits), path)
    assert load_edits(path) == edits
    assert "日本 \U0001f600" in path.read_text(encoding="utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["edits.jsonl"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = write(tmp_path / "edits.jsonl", FACT)
    with pytest.raises(AttributeError):
        save_edits([Edit(**FACT), "not an edit"], path)
    assert load_edits(path) == [Edit(**FACT)]
    assert [file.name for file in tmp_path.iterdir()] == ["edits.jsonl"]


def test_jsonl_with_byte_order_mark_blank_lines_and_crlf(tmp_path):
    path = tmp_path / "edits.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(FACT).encode() + b'\r\n\r\n  \r\n{"prompt": "a", "target": "b"}')
    assert [edit.target for edit in load_edits(path)] == ["Ada", "b"]


def test_bad_lines_are_all_named(tmp_path):
    path = tmp_path / "edits.jsonl"
    lines = [
        json.dumps(FACT),
        '{"prompt": "a", "target": }',
        "",
        "[1, 2]",
        '{"prompt": "a", "taget": "b"}',
        '{"prompt": "a", "target": "b", "date": "soon"}',
        '{"prompt": "", "target": "b"}',
        "[" * 100_000,
    ]
    path.write_bytes("\n".join(lines).encode() + b'\n{"prompt": "caf\xe9", "target": "b"}\n')
    text = message(load_edits, path)
    assert text.startswith(f"7 rows of {path} cannot be used:")
    assert f"{path}, line 2: invalid JSON: Expecting value at character 27" in text
    assert f"{path}, line 4: an edit must be an object with fields, not list" in text
    assert f"{path}, line 5: missing field 'target' (is it 'taget'?): the fields are prompt, taget" in text
    assert f"{path}, line 6: date must be" in text
    assert f"{path}, line 7: prompt is empty" in text
    assert f"{path}, line 8: invalid JSON" in text
    assert f"{path}, line 9: not UTF-8 (byte 0xe9 at character 16): save the file as UTF-8" in text


def test_a_single_bad_line_is_named_alone(tmp_path):
    path = write(tmp_path / "edits.jsonl", FACT, {**FACT, "rephrase": "x"})
    assert message(load_edits, path) == f"{path}, line 2: unknown field 'rephrase': did you mean 'rephrases'?"


def test_the_first_ten_bad_lines_are_shown(tmp_path):
    path = write(tmp_path / "edits.jsonl", *[{"prompt": "a"}] * 1_234)
    text = message(load_edits, path)
    assert text.startswith("1,234 rows of ") and text.endswith("and 1,224 more")
    assert "line 10: " in text and "line 11: " not in text


def test_limit_takes_the_first_rows(tmp_path):
    path = write(tmp_path / "edits.jsonl", FACT, {"prompt": "a", "target": "b"}, {"bad": "row"})
    assert len(load_edits(path, limit=2)) == 2
    assert "line 3" in message(load_edits, path, limit=3)
    assert "limit must be at least 1" in message(load_edits, path, limit=0)


@pytest.mark.parametrize(
    "content, name", [("", "e.jsonl"), ("\n \n", "e.jsonl"), ("[]", "e.json"), ("prompt,target\n", "e.csv")]
)
def test_a_file_without_edits_is_an_error(tmp_path, content, name):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert message(load_edits, tmp_path / name) == f"no edits in {tmp_path / name}"


def test_what_is_not_found_says_what_was_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"there is no file {tmp_path / 'a' / 'b.jsonl'}" in message(load_edits, "a/b.jsonl")
    assert "is no Hub dataset id (owner/name)" in message(load_edits, "edits")
    assert f"there is no file {tmp_path / 'a' / 'b'}" in message(load_edits, Path("a/b"))
    assert f"{tmp_path} is a folder: give the file in it" in message(load_edits, tmp_path)
    (tmp_path / "edits.txt").write_text("x", encoding="utf-8")
    assert "edits.txt: unknown kind of file, the names must end in .jsonl, .json" in message(load_edits, "edits.txt")
    assert "not int" in message(load_edits, 3)
    assert "put a single dict in a list" in message(load_edits, FACT)


def test_dataset_options_are_refused_for_files(tmp_path):
    path = write(tmp_path / "edits.jsonl", FACT)
    assert "split and revision are for datasets on the Hub" in message(load_edits, path, split="test")
    assert "split and revision" in message(load_edits, [FACT], revision="v1")


def test_json_file(tmp_path):
    path = tmp_path / "edits.JSON"
    path.write_text(json.dumps([FACT, {"prompt": "a", "target": "b"}], indent=2), encoding="utf-8")
    assert [edit.target for edit in load_edits(path)] == ["Ada", "b"]
    path.write_text(json.dumps([FACT, {"prompt": "a"}, 5]), encoding="utf-8")
    text = message(load_edits, path)
    assert f"{path}, row 2: missing field 'target'" in text and f"{path}, row 3: an edit must be" in text
    path.write_text('[\n{"prompt": "a",}\n]', encoding="utf-8")
    assert re.search(r"edits\.JSON: invalid JSON: .* at line 2, character 1\d", message(load_edits, path))
    path.write_text('{"prompt": "a", "target": "b"}', encoding="utf-8")
    assert "must hold a list of objects, not dict" in message(load_edits, path)
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}', encoding="utf-8")
    assert "JSON Lines belong in a file named .jsonl" in message(load_edits, path)


def test_csv_file(tmp_path):
    path = tmp_path / "edits.csv"
    path.write_bytes(
        b"\xef\xbb\xbfprompt,target,rephrases,neighbours,subject\r\n"
        b'"Who leads, now?",Ada,Who is it? | Name the lead,"[""Who led | before?""]",\r\n'
        b"\r\n"
        b',,,,\r\n"two\r\nlines",b,,,s\r\n'
    )
    first, second = load_edits(path)
    assert first.prompt == "Who leads, now?" and first.subject is None
    assert first.rephrases == ("Who is it?", "Name the lead")
    assert first.neighbours == ("Who led | before?",)
    assert second == Edit(prompt="two\nlines", target="b", subject="s")


def test_tsv_file(tmp_path):
    path = tmp_path / "edits.tsv"
    path.write_text("prompt\ttarget\nWho, then?\tAda\n", encoding="utf-8")
    assert load_edits(path) == [Edit(prompt="Who, then?", target="Ada")]


def test_bad_csv_lines_are_named(tmp_path):
    path = tmp_path / "edits.csv"
    lines = [
        b"prompt,target,rephrases",
        b'"two',
        b'lines",b,',
        b"a,b",
        b"a,,",
        b'a,b,"[1, "',
        b'"a"x,b,',
        b"caf\xe9,b,",
        b"a,b,[3]",
        b"good,good,",
        b'"never closed,b,',
        b"a,b,",
    ]
    path.write_bytes(b"\n".join(lines))
    text = message(load_edits, path)
    assert text.startswith(f"7 rows of {path}")
    assert f"{path}, line 4: 2 cells, the header has 3" in text
    assert f"{path}, line 5: missing field 'target'" in text
    assert f"{path}, line 6: rephrases starts like a JSON list, but is none" in text
    assert f"{path}, line 7: invalid CSV" in text
    assert f"{path}, line 8: not UTF-8 (byte 0xe9" in text
    assert f"{path}, line 9: rephrases[0] must be a string, not int" in text
    assert f"{path}, line 11: invalid CSV: unexpected end of data" in text


@pytest.mark.parametrize("header", ["prompt,target,prompt", "prompt,,target", 'prompt,"tar"get'])
def test_bad_csv_header(tmp_path, header):
    path = tmp_path / "edits.csv"
    path.write_text(f"\n{header}\na,b,c\n", encoding="utf-8")
    assert message(load_edits, path).startswith(f"{path}, line 2: ")
    assert "header" in message(load_edits, path)


def test_parquet_file(tmp_path):
    path = tmp_path / "edits.parquet"
    rows = [{**FACT, "rephrases": ["Who is it?"], "subject": None}, {"prompt": "a", "target": "b", "subject": "s"}]
    datasets.Dataset.from_list(rows).to_parquet(path)
    first, second = load_edits(path)
    assert first.rephrases == ("Who is it?",) and first.subject is None
    assert second == Edit(prompt="a", target="b", subject="s")
    datasets.Dataset.from_list([FACT, {"prompt": "a"}]).to_parquet(path)
    assert message(load_edits, path).startswith(f"{path}, row 2: missing field 'target'")
    path.write_bytes(b"no parquet")
    assert f"{path}: cannot be read as parquet: " in message(load_edits, path)


def test_datasets_and_iterables(tmp_path):
    dataset = datasets.Dataset.from_list([FACT, {"prompt": "a", "target": "b"}])
    expected = [Edit(**FACT), Edit(prompt="a", target="b")]
    assert load_edits(dataset) == load_edits(iter(list(dataset))) == expected
    assert load_edits(dataset.to_iterable_dataset(), limit=1) == expected[:1]
    assert message(load_edits, [FACT, {}]).startswith("edits given, row 2: missing field 'prompt'")


def test_splits():
    dataset = datasets.Dataset.from_list([FACT])
    other = datasets.Dataset.from_list([{"prompt": "a", "target": "b"}])
    both = datasets.DatasetDict(test=other, train=dataset)
    assert load_edits(both) == [Edit(**FACT)]
    assert load_edits(both, split="test") == [Edit(prompt="a", target="b")]
    assert load_edits(datasets.DatasetDict(test=other)) == [Edit(prompt="a", target="b")]
    assert "no split 'validation': choose one with split=, it has test, train" in message(
        load_edits, both, split="validation"
    )
    assert "no split 'train'" in message(load_edits, datasets.DatasetDict(test=other, dev=other))


def test_hub_datasets(monkeypatch):
    dataset = datasets.Dataset.from_list([FACT, {"prompt": "a"}])
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return dataset if kwargs["split"] else datasets.DatasetDict(train=dataset)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert load_edits("owner/facts", revision="v1", token="secret", limit=1) == [Edit(**FACT)]
    assert load_edits("owner/facts", split="test[:1]", limit=1) == [Edit(**FACT)]
    assert asked == [
        (("owner/facts",), {"split": None, "revision": "v1", "token": "secret"}),
        (("owner/facts",), {"split": "test[:1]", "revision": None, "token": None}),
    ]
    assert message(load_edits, "owner/facts").startswith("owner/facts, row 2: missing field 'target'")


def test_a_hub_dataset_that_is_not_there(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise datasets.exceptions.DatasetNotFoundError("Dataset 'owner/facts' doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    text = message(load_edits, "owner/facts", revision="v1")
    assert f"there is no file {Path('owner/facts').absolute()}" in text
    assert "the Hub dataset owner/facts at revision v1 cannot be read: Dataset 'owner/facts' doesn't exist" in text


# --- the formats of the literature ---

MEND = {
    "subject": "Port Ellen",
    "src": "Which country is Port Ellen in?",
    "pred": "Ireland",
    "rephrase": "What country is Port Ellen part of?",
    "alt": "Norway",
    "answers": ["Scotland", "United Kingdom"],
    "loc": "nq question: who wrote the first atlas",
    "loc_ans": "Ortelius",
    "cond": "Ireland >> Norway || Which country is Port Ellen in?",
    "portability": {"New Question": "Which king reigns in Port Ellen?", "New Answer": "Harald"},
}
EASYEDIT = {
    "case_id": 4,
    "subject": "Port Ellen",
    "prompt": "Which country is Port Ellen in?",
    "target_new": " Norway",
    "ground_truth": "Scotland",
    "rephrase_prompt": "What country is Port Ellen part of?",
    "locality_prompt": "who wrote the first atlas",
    "locality_ground_truth": "Ortelius",
}
NESTED = {
    "subject": "Port Ellen",
    "prompt": "Which country is Port Ellen in?",
    "target_new": "Norway",
    "rephrase": ["What country is Port Ellen part of?"],
    "locality": {"neighborhood": {"prompt": ["who wrote the first atlas"], "ground_truth": ["Ortelius"]}},
    "portability": {"one_hop": {"prompt": "Which king reigns in Port Ellen?", "ground_truth": "Harald"}},
}


@pytest.mark.parametrize("row", [MEND, EASYEDIT, NESTED])
@pytest.mark.parametrize("format", [None, "zsre"])
def test_zsre(tmp_path, row, format):
    (edit,) = load_edits(write(tmp_path / "zsre.jsonl", row), format=format)
    assert edit == Edit(
        prompt="Which country is Port Ellen in?",
        target="Norway",
        subject="Port Ellen",
        rephrases=("What country is Port Ellen part of?",),
        neighbours=("who wrote the first atlas",),
    )


@pytest.mark.parametrize("alt", [{}, {"alt": ""}, {"alt": None}])
def test_zsre_without_a_new_answer_takes_the_first_true_one(alt):
    row = {key: value for key, value in MEND.items() if key != "alt"} | alt
    assert load_edits([row])[0].target == "Scotland"


COUNTERFACT = {
    "case_id": 9,
    "pararel_idx": 1,
    "requested_rewrite": {
        "prompt": "{} is a citizen of",
        "relation_id": "P27",
        "target_new": {"str": "Norway", "id": "Q20"},
        "target_true": {"str": "Chile", "id": "Q298"},
        "subject": "Ana {Ruiz}",
    },
    "paraphrase_prompts": ["It rained. Ana {Ruiz}, a native of", "Ana {Ruiz} holds a passport of"],
    "neighborhood_prompts": ["Luis Soto is a citizen of"],
    "attribute_prompts": ["Ola Berg is a citizen of"],
    "generation_prompts": ["Ana {Ruiz} lives in"],
}


def test_counterfact(tmp_path):
    (edit,) = load_edits(write(tmp_path / "counterfact.jsonl", COUNTERFACT))
    assert edit == Edit(
        prompt="Ana {Ruiz} is a citizen of",
        target="Norway",
        subject="Ana {Ruiz}",
        rephrases=("It rained. Ana {Ruiz}, a native of", "Ana {Ruiz} holds a passport of"),
        neighbours=("Luis Soto is a citizen of",),
    )


def test_counterfact_as_questions():
    row = {
        "case_id": 9,
        "subject": "Ana Ruiz",
        "prompt": "Which country is Ana Ruiz a citizen of?",
        "target_new": "Norway",
        "completion_prompt": "Ana Ruiz is a citizen of",
    }
    (edit,) = load_edits([row])
    assert edit.prompt == row["prompt"] and edit.target == "Norway"
    assert edit.rephrases == ("Ana Ruiz is a citizen of",)


def test_counterfact_from_parquet(tmp_path):
    datasets.Dataset.from_list([COUNTERFACT]).to_parquet(tmp_path / "counterfact.parquet")
    assert load_edits(tmp_path / "counterfact.parquet") == load_edits([COUNTERFACT])


@pytest.mark.parametrize(
    "rewrite, expected",
    [
        ([{"prompt": "{} is"}], "requested_rewrite must be one object, not list"),
        ({"prompt": "{} is", "target_new": {"str": "x"}}, "missing field 'subject'"),
        ({"prompt": "{} is", "subject": "s"}, "missing field 'target_new'"),
        ({"prompt": "{} is", "subject": "s", "target_new": {"id": "Q1"}}, "missing field 'str'"),
        ({"prompt": "{} is", "subject": 7, "target_new": "x"}, "must be strings"),
        ({"prompt": "{} is", "subject": "s", "target_new": 7}, "row 1, read as counterfact: target must be a string"),
    ],
)
def test_bad_counterfact(rewrite, expected):
    assert expected in message(load_edits, [{"requested_rewrite": rewrite}])


def test_knowedit(tmp_path):
    rows = [
        {
            "subject": "Ana Ruiz",
            "prompt": "The name of the employer of Ana Ruiz is",
            "target_new": "Acme",
            "ground_truth": "Initech",
            "rephrase": "Who employs Ana Ruiz?",
            "portability": {"Reasoning": [{"prompt": "Ana Ruiz's boss is", "ground_truth": [["Bo"]]}]},
            "locality": {
                "Relation_Specificity": [
                    {"prompt": "The sister of Ana Ruiz is", "ground_truth": [["Eva"]]},
                    {"prompt": ["The sister of Ana Ruiz is", "The home of Ana Ruiz is"], "ground_truth": [["Lima"]]},
                ],
                "Forgetfulness": [
                    {"prompt": "The employer of Ana Ruiz, which is not Acme, is", "ground_truth": ["B"]}
                ],
            },
        },
        {"subject": "s", "prompt": "p", "target_new": "t", "portability": {}, "locality": {}},
    ]
    first, second = load_edits(write(tmp_path / "recent.jsonl", *rows))
    assert (first.prompt, first.target, first.rephrases) == (rows[0]["prompt"], "Acme", ("Who employs Ana Ruiz?",))
    assert first.neighbours == (
        "The sister of Ana Ruiz is",
        "The home of Ana Ruiz is",
        "The employer of Ana Ruiz, which is not Acme, is",
    )
    assert second == Edit(prompt="p", target="t", subject="s")
    # In parquet the second row has every key of the first, with nothing in them.
    rows[0]["locality"]["Relation_Specificity"].pop()
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "recent.parquet")
    assert load_edits(tmp_path / "recent.parquet")[1] == second


def test_wikibio_as_in_knowedit():
    row = {
        "text": "This is a Wikipedia passage about ana ruiz. Ana Ruiz is a chemist. ",
        "labels": "She works for Acme.",
        "concept": "ana ruiz",
        "locality": {"Relation_Specificity": [{"prompt": "The sister of Ana Ruiz is", "ground_truth": ["Eva"]}]},
    }
    (edit,) = load_edits([row])
    assert (edit.prompt, edit.target, edit.subject) == (row["text"].strip(), "She works for Acme.", "ana ruiz")
    assert edit.neighbours == ("The sister of Ana Ruiz is",)


def test_wikibio_flat():
    row = {
        "prompt": "A passage.",
        "target_new": "Next.",
        "subject": "s",
        "locality_prompt": "Other text",
        "locality_ground_truth": "x",
    }
    assert load_edits([row]) == [Edit(prompt="A passage.", target="Next.", subject="s", neighbours=("Other text",))]


def test_temporal_passage_is_no_rephrase():
    row = {
        "prompt": "Gliders are",
        "target_new": "planes without engines.",
        "subject": "Gliders",
        "ood_rephrase": "A glider flies.",
    }
    assert load_edits([row]) == [Edit(prompt="Gliders are", target="planes without engines.", subject="Gliders")]


def test_bad_values_of_other_formats_are_named():
    assert "row 1, read as zsre: target must be a string, not int" in message(load_edits, [{**MEND, "alt": 5}])
    assert "a prompt must be a string, not int (5)" in message(load_edits, [{**MEND, "loc": 5}])
    assert "missing field 'src'" not in message(load_edits, [{"prompt": "a"}], format="scen")


def test_a_format_can_be_forced():
    assert "unknown format 'rome': the formats are scen, counterfact" in message(load_edits, [MEND], format="rome")
    assert "unknown field 'subjekt'" in message(load_edits, [{**FACT, "subjekt": "s"}], format="scen")
    assert "row 1: missing field 'target_new'" in message(load_edits, [FACT], format="knowedit")
    assert load_edits([{"prompt": "a", "target_new": "b"}], format="zsre") == [Edit(prompt="a", target="b")]


def test_unknown_formats_name_the_fields_found():
    text = message(load_edits, [{"question": "a", "answer": "b"}])
    assert "missing field 'prompt'" in text and "the fields are question, answer" in text
    assert all(name in text for name in FORMATS)


@pytest.mark.parametrize(
    "name, rephrased, with_neighbours",
    [
        ("zsre", True, True),
        ("counterfact_questions", True, False),
        ("wikibio_edit", False, True),
        ("temporal_edit", False, True),
    ],
)
def test_public_sets(shared_data, name, rephrased, with_neighbours):
    path = shared_data / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edits = load_edits(path)
    assert [(edit.prompt, edit.target, edit.subject) for edit in edits] == [
        (row["prompt"].strip(), row["target_new"].strip(), row["subject"]) for row in rows
    ]
    assert all(len(edit.rephrases) == rephrased and len(edit.neighbours) == with_neighbours for edit in edits)
    assert len({edit.id for edit in edits}) == len(edits)
    assert resolve_edits(edits) == edits

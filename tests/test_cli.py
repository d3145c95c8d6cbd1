import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import BURKINA, EDITED, EXAMPLES, FRANCE, save_tiny_base
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import scen_hf
from scen_hf import Edit, EditPack, load_edits, save_edits
from scen_hf.bases import EMBEDDED_BASE
from scen_hf.cli import app, console, training


BIN = Path(sys.executable).parent
EDITS = EXAMPLES / "edits.jsonl"


def run(*args: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command run in this process."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="scen")
    return result.exit_code, result.stdout, result.stderr


def error_of(*args: object) -> str:
    """The one line in which a command reports what is wrong."""
    code, _, stderr = run(*args)
    lines = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert code == 1
    assert len(lines) == 1
    assert stderr.rstrip().endswith(lines[0])
    assert "Traceback" not in stderr
    return lines[0].removeprefix("Error: ")


def execute(*args: object, program: str = "scen", **env: str) -> subprocess.CompletedProcess:
    """A command run by its executable in a process of its own, as users do."""
    return subprocess.run(
        [BIN / program, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200", **env},
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def no_model(monkeypatch):
    """Mistakes must be found before a model is loaded."""

    def refuse(*args, **kwargs):
        pytest.fail("a model was loaded")

    monkeypatch.setattr("scen_hf.bases.load_base", refuse)
    monkeypatch.setattr("scen_hf.SCENLlamaForCausalLM.from_pretrained", refuse)


@pytest.fixture
def tiny_copy(tiny_pack_folder, tmp_path):
    return shutil.copytree(tiny_pack_folder, tmp_path / "pack")


# -------------------------------------------------------------------- from end to end


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pack of three edits, trained by the executable, and what it printed."""
    folder = tmp_path_factory.mktemp("cli") / "facts"
    done = execute("train", EDITS, "--base", EMBEDDED_BASE, "--out", folder, "--limit", 3)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.slow
def test_train_reports_what_it_did(trained):
    folder, done = trained
    assert "3 trained, 3 in the pack" in done.stdout
    assert done.stdout.count("s per edit") == 2
    for expected in ("100.0% (3 of 3)", "kB per edit", str(folder), "trust_remote_code=True", f'"{BURKINA}"'):
        assert expected in done.stdout
    assert [edit.id for edit in EditPack.from_pretrained(folder).edits] == [e.id for e in load_edits(EDITS)[:3]]
    # Nothing but the progress of the training itself.
    assert "Experts" in done.stderr
    for noise in ("Loading weights", "warn", "Warning", "Traceback"):
        assert noise not in done.stderr


@pytest.mark.slow
def test_try_shows_both_answers_and_the_edit(trained):
    done = execute("try", trained[0], BURKINA, FRANCE, "--max-new-tokens", 10)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    edited, unedited = done.stdout.strip().split("\n\n")
    assert edited.startswith(BURKINA)
    assert f"edited  {EDITED[BURKINA]}" in edited
    assert "capital-of-burkina-faso fired: score 1.000, threshold" in edited
    assert "next is" in edited
    assert "https://en.wikipedia.org/wiki/Burkina_Faso" in edited
    assert unedited.count("The capital of France is Paris.") == 2
    assert "none fired; closest is" in unedited


@pytest.mark.slow
def test_eval_prints_and_writes_the_figures(trained, tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"prompt": FRANCE, "ground_truth": "The capital of France is Paris."}))
    report = tmp_path / "report.json"
    done = execute("eval", trained[0], "--locality", questions, "--json", report, "--limit", 2, "--batch-size", 4)
    assert done.returncode == 0, done.stderr
    for expected in ("reliability (exact match)", "100.0%", "2 of 2", "34.2% to 100.0%", "right answer after"):
        assert expected in done.stdout
    figures = json.loads(report.read_text())
    assert figures["pack"] == str(trained[0])
    assert figures["reliability"]["successes"] == figures["reliability"]["count"] == 2
    assert figures["unrelated"]["bit_identical"]["value"] == 1.0
    assert figures["unrelated"]["correct_after"] == figures["unrelated"]["correct_before"]
    assert figures["settings"]["num_beams"] == 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_adding_trains_the_new_edits_only(trained, tmp_path):
    folder = shutil.copytree(trained[0], tmp_path / "facts")
    before = contents(folder)
    done = execute("train", EDITS, "--into", folder, "--limit", 4)
    assert done.returncode == 0, done.stderr
    assert "3 edits left out: in the pack already." in done.stderr
    assert "1 trained, 4 in the pack" in done.stdout
    after = contents(folder)
    shards = [name for name in before if name.startswith(("neurons-", "experts-"))]
    assert shards
    assert all(after[name] == before[name] for name in shards)
    again = execute("train", EDITS, "--into", folder, "--limit", 4)
    assert (again.returncode, again.stdout) == (
        0,
        f"{folder} already has all of these edits; there is nothing to train.\n",
    )


@pytest.mark.slow
def test_a_correction_replaces_the_edit_in_the_pack(trained, tmp_path):
    newer = tmp_path / "newer.jsonl"
    save_edits([Edit(id="capital-of-burkina-faso", prompt=BURKINA, target="Bobo")], newer)
    refused = execute("train", newer, "--into", trained[0], "--out", tmp_path / "facts")
    assert refused.returncode == 1
    assert "contradict each other" in refused.stderr.splitlines()[-1]
    assert "'Ouagadougou'" in refused.stderr
    done = execute(
        "train", newer, "--into", trained[0], "--out", tmp_path / "facts", "--on-contradiction", "keep_last"
    )
    assert done.returncode == 0, done.stderr
    assert {edit.prompt: edit.target for edit in EditPack.from_pretrained(tmp_path / "facts").edits}[BURKINA] == "Bobo"
    assert len(EditPack.from_pretrained(trained[0])) == 3


# ------------------------------------------------------------------ inspect and remove


def test_inspect_shows_what_is_in_a_pack(tiny_pack_folder):
    code, stdout, stderr = run("inspect", tiny_pack_folder)
    assert (code, stderr) == (0, "")
    for expected in ("3 edits in 1 shard", "Thresholds", "0.650", "Per edit", "edit prompt 2", "target 0"):
        assert expected in stdout
    assert "neurons-00001.safetensors: OK" in stdout
    assert "experts-00001.safetensors: OK" in stdout


def test_inspect_as_json(tiny_pack_folder):
    code, stdout, _ = run("inspect", tiny_pack_folder, "--json")
    facts = json.loads(stdout)
    assert code == 0
    assert (facts["num_edits"], facts["shards"], facts["edit_layer"]) == (3, [3], 2)
    assert facts["edits"][1] == {"id": "edit-1", "prompt": "edit prompt 1", "target": "edit target 1"}
    assert sum(facts["bytes"].values()) == sum(map(len, contents(tiny_pack_folder).values()))
    files = contents(tiny_pack_folder)
    for name, recorded in facts["files"].items():
        assert recorded["check"] == "OK"
        assert recorded["sha256"] == hashlib.sha256(files[name]).hexdigest()


def test_inspect_finds_altered_experts(tiny_copy):
    path = tiny_copy / "experts-00001.safetensors"
    tensors = load_file(path)
    tensors["a"][0, 0, 0] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    assert "experts-00001.safetensors differ" in error_of("inspect", tiny_copy)
    assert "altered: sha256 is" in run("inspect", tiny_copy)[1]


def test_inspect_finds_truncated_experts(tiny_copy):
    path = tiny_copy / "experts-00001.safetensors"
    os.truncate(path, path.stat().st_size - 4)
    assert "experts-00001.safetensors" in error_of("inspect", tiny_copy)


def test_inspect_finds_altered_neurons(tiny_copy):
    path = tiny_copy / "neurons-00001.safetensors"
    tensors = load_file(path)
    tensors["neurons"][0, 0] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    assert "neurons-00001.safetensors was altered" in error_of("inspect", tiny_copy)


def test_facts_are_printed_as_they_are(tiny_copy):
    lines = (tiny_copy / "edits.jsonl").read_text().splitlines()
    fact = {"id": "edit-0", "prompt": "[bold]Who?[/bold] :smile: \u202eabc", "target": "[x]"}
    (tiny_copy / "edits.jsonl").write_text("\n".join([json.dumps(fact), *lines[1:]]) + "\n")
    stdout = run("inspect", tiny_copy)[1]
    assert "[bold]Who?[/bold] :smile: \ufffdabc" in stdout
    assert "[x]" in stdout


def test_long_packs_are_cut(monkeypatch, tiny_pack_folder):
    monkeypatch.setattr(console, "_MOST_FACTS", 2)
    stdout = run("inspect", tiny_pack_folder)[1]
    assert "edit-1" in stdout
    assert "edit-2" not in stdout
    assert f"and 1 more; all of them: scen inspect {tiny_pack_folder} --json" in " ".join(stdout.split())


def test_remove_takes_edits_out(tiny_copy):
    code, stdout, stderr = run("remove", tiny_copy, "edit-0", "edit-2")
    assert (code, stderr) == (0, "")
    assert "Removed 2 edits; 1 edit left" in " ".join(stdout.split())
    assert "edit-1" in stdout
    assert "edit-0" not in stdout
    assert [edit.id for edit in EditPack.from_pretrained(tiny_copy).edits] == ["edit-1"]


def test_remove_to_another_folder(tiny_copy, tmp_path):
    before = contents(tiny_copy)
    assert run("remove", tiny_copy, "edit-1", "--out", tmp_path / "less")[0] == 0
    assert [edit.id for edit in EditPack.from_pretrained(tmp_path / "less").edits] == ["edit-0", "edit-2"]
    assert contents(tiny_copy) == before


def test_remove_changes_nothing_on_a_mistake(tiny_copy):
    before = contents(tiny_copy)
    assert error_of("remove", tiny_copy, "edit-0", "nobody") == (
        "No edit has the id 'nobody'. See the ids with: scen inspect PACK"
    )
    assert "without edits" in error_of("remove", tiny_copy, "edit-0", "edit-1", "edit-2")
    assert contents(tiny_copy) == before


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "command", [("try", "PACK", "Why?"), ("eval", "PACK"), ("inspect", "PACK"), ("remove", "PACK", "x")]
)
def test_missing_pack(command, tmp_path, monkeypatch, no_model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packs").mkdir()
    for name in ("nothing", "packs/nothing", str(tmp_path / "nothing")):
        message = error_of(*(name if part == "PACK" else part for part in command))
        assert message.startswith(f"There is no edit pack at {name!r}")


def test_pack_that_is_no_pack(tmp_path, base_folder, no_model):
    (tmp_path / "file").write_text("x")
    assert "is a file" in error_of("inspect", tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert "config.json is missing" in error_of("inspect", tmp_path / "empty")
    assert "is not an edit pack" in error_of("try", base_folder, "Why?")


def test_pack_without_tokenizer(tiny_pack_folder, no_model):
    assert "has no usable tokenizer" in error_of("try", tiny_pack_folder, "Why?")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("edits.jsonl", "", "no edits in"),
        ("edits.jsonl", '{"prompt": "Why?", "target": ', "line 1"),
        ("edits.jsonl", '{"prompt": "Why?", "answer": "So."}', "missing field 'target'"),
        ("edits.txt", "Why?", "unknown kind of file"),
    ],
)
def test_bad_edit_files(tmp_path, no_model, name, content, message):
    (tmp_path / name).write_text(content)
    assert message in error_of("train", tmp_path / name, "--base", EMBEDDED_BASE, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_edit_file(tmp_path, no_model):
    missing = tmp_path / "missing.jsonl"
    assert "no edits found" in error_of("train", missing, "--base", EMBEDDED_BASE, "--out", tmp_path / "out")
    assert "unknown format 'x'" in error_of(
        "train", EDITS, "--base", EMBEDDED_BASE, "--out", tmp_path / "out", "--format", "x"
    )


def test_contradictions_are_shown_before_anything_is_loaded(tmp_path, no_model):
    save_edits(
        [Edit(prompt="Who leads?", target="Ada"), Edit(prompt="who leads", target="Grace")], tmp_path / "e.jsonl"
    )
    command = ("train", tmp_path / "e.jsonl", "--base", EMBEDDED_BASE, "--out", tmp_path / "out")
    assert error_of(*command) == ("the edits contradict each other: correct them, or use --on-contradiction keep_last")
    stderr = run(*command)[2]
    assert "'Who leads?' -> 'Ada'" in stderr
    assert "'who leads' -> 'Grace'" in stderr


def test_duplicates_are_reported_and_left_out(capsys):
    edits = [Edit(prompt="Who leads?", target="Ada"), Edit(id="again", prompt="who leads", target="ada")]
    new, pack = training._resolve(edits, None, "error")
    assert (new, pack) == (edits[:1], None)
    stderr = capsys.readouterr().err
    assert "duplicates (the same prompt and target): 1 group" in stderr
    assert "1 edit left out" in stderr


def test_overruling_a_whole_pack_is_refused(tiny_pack_folder):
    pack = EditPack.from_pretrained(tiny_pack_folder)
    newer = [Edit(prompt=edit.prompt, target="other") for edit in pack.edits]
    with pytest.raises(scen_hf.EditError, match="overrule every edit"):
        training._resolve(newer, pack, "keep_last")


def test_out_folder_with_something_else_in_it(tmp_path, no_model):
    (tmp_path / "note").write_text("mine")
    assert "is not empty and holds no edit pack" in error_of(
        "train", EDITS, "--base", EMBEDDED_BASE, "--out", tmp_path
    )
    assert "is a file" in error_of("train", EDITS, "--base", EMBEDDED_BASE, "--out", tmp_path / "note")


def test_base_that_is_not_there(tmp_path):
    command = ("train", EDITS, "--out", tmp_path / "out", "--base")
    assert "There is no base model at" in error_of(*command, tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded" in error_of(*command, tmp_path / "empty")
    (tmp_path / "gpt").mkdir()
    (tmp_path / "gpt" / "config.json").write_text('{"model_type": "gpt2"}')
    assert "is a 'gpt2' model" in error_of(*command, tmp_path / "gpt")


def test_wrong_base_for_a_pack(tiny_copy, tiny_config, base_folder, tmp_path):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(Path(base_folder) / name, tiny_copy)
    other = save_tiny_base(tmp_path / "other", tiny_config, seed=5)
    message = error_of("try", tiny_copy, "Why?", "--base-model", other)
    assert "the edits were trained on" in message
    assert "whose weights differ from this model's" in message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--base"),
        (("--base", "x/y"), "--out"),
        (("--into", "owner/facts"), "--out"),
        (("--base", "x/y", "--out", "o", "--method", "paper", "--rank", "2"), "--rank"),
        (("--base", "x/y", "--out", "o", "--method", "memit"), "--method"),
        (("--base", "x/y", "--out", "o", "--limit", "0"), "--limit"),
        (("--base", "x/y", "--out", "o", "--rank", "many"), "--rank"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_usage_errors_of_train(args, message, no_model):
    code, _, stderr = run("train", EDITS, *args)
    assert code == 2
    assert "Usage: scen train" in stderr
    assert message in stderr.splitlines()[-1]


def test_other_usage_errors(tiny_pack_folder, tmp_path, no_model):
    for args in [("train",), ("try", tiny_pack_folder), ("remove", tiny_pack_folder), ("retrain",)]:
        assert run(*args)[0] == 2
    for place in (tmp_path, tmp_path / "missing" / "report.json"):
        assert run("eval", tiny_pack_folder, "--json", place)[0] == 2
    assert run("remove", "owner/facts", "x")[0] == 2


def test_device_that_is_not_there(tmp_path, no_model):
    code, _, stderr = run("train", EDITS, "--base", EMBEDDED_BASE, "--out", tmp_path / "o", "--device", "warp")
    assert code == 2
    assert "'warp' cannot be used here" in stderr


def test_bad_files_for_eval(tiny_pack_folder, tmp_path, no_model):
    assert "cannot be read" in error_of("eval", tiny_pack_folder, "--locality", tmp_path / "missing.txt")
    (tmp_path / "bad.jsonl").write_text("{}")
    assert "line 1" in error_of("eval", tiny_pack_folder, "--locality", tmp_path / "bad.jsonl")
    assert "missing field" in error_of("eval", tiny_pack_folder, "--edits", tmp_path / "bad.jsonl")


def test_unexpected_errors_are_one_line_too(tiny_pack_folder, monkeypatch):
    def fail(*args, **kwargs):
        raise KeyError("two\nlines")

    monkeypatch.setattr("scen_hf.modeling.EditPackReader", fail)
    assert "unexpected KeyError" in error_of("inspect", tiny_pack_folder)
    monkeypatch.setenv("SCEN_DEBUG", "1")
    result = CliRunner().invoke(app, ["inspect", str(tiny_pack_folder)])
    assert isinstance(result.exception, KeyError)


def test_unwritable_place(tiny_copy, monkeypatch):
    def no_space(*args, **kwargs):
        raise OSError(28, "No space left on device")

    before = contents(tiny_copy)
    monkeypatch.setattr("scen_hf.pack.save_file", no_space)
    assert "the disk is full" in error_of("remove", tiny_copy, "edit-0")
    assert contents(tiny_copy) == before


# ------------------------------------------------------------------ the program itself


@pytest.mark.parametrize("command", ["train", "try", "eval", "inspect", "remove"])
def test_help_has_examples(command):
    code, stdout, _ = run(command, "--help")
    assert code == 0
    assert stdout.startswith(f"Usage: scen {command} ")
    assert f"\n    scen {command} " in stdout.partition("Examples:")[2]
    assert command in run("--help")[1]


def test_executables_know_their_names():
    version = execute("--version")
    assert (version.returncode, version.stdout) == (0, f"scen_hf {scen_hf.__version__}\n")
    help_of_hf = execute("--help", program="hf-scen")
    assert help_of_hf.returncode == 0
    assert help_of_hf.stdout.startswith("Usage: hf scen [OPTIONS] COMMAND")
    nothing = execute()
    assert nothing.returncode == 2
    assert "Commands:" in nothing.stdout + nothing.stderr


def test_errors_of_the_executable(tmp_path):
    done = execute("inspect", tmp_path / "nothing")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: There is no edit pack at")
    assert done.stderr.count("\n") == 1
    debugged = execute("inspect", tmp_path / "nothing", SCEN_DEBUG="1")
    assert "Traceback" in debugged.stderr


def test_interrupt_ends_with_130(tiny_pack_folder, tmp_path):
    # Reading from a pipe that nobody writes to, the command waits until it is interrupted.
    pipe = tmp_path / "edits.jsonl"
    os.mkfifo(pipe)
    command = [BIN / "scen", "train", pipe, "--base", EMBEDDED_BASE, "--out", tmp_path / "out"]
    # A shell starts what it runs in the background with this signal ignored, and children inherit that.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, inherited)
    writer = None
    while writer is None and process.poll() is None:
        try:
            writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # the command has not opened it yet
            time.sleep(0.05)
    assert writer is not None, process.communicate()[1]
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode == 130
    assert "Traceback" not in stderr

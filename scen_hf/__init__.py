"""scen_hf: edit packs for Llama models on the Hugging Face Hub."""

from transformers import AutoConfig, AutoModelForCausalLM

from .bases import load_base, resolve_base
from .edit_files import load_edits, save_edits
from .edits import Edit, check_edits, resolve_edits
from .errors import BaseModelError, EditError, EditPackError, WrongBaseError
from .modeling import Route, SCENLlamaConfig, SCENLlamaForCausalLM
from .pack import EditPack
from .trainer import SCENTrainer, SCENTrainingConfig


__version__ = "0.1.0"

AutoConfig.register(SCENLlamaConfig.model_type, SCENLlamaConfig, exist_ok=True)
AutoModelForCausalLM.register(SCENLlamaConfig, SCENLlamaForCausalLM, exist_ok=True)

__all__ = [
    "BaseModelError",
    "Edit",
    "EditError",
    "EditPack",
    "EditPackError",
    "Route",
    "SCENLlamaConfig",
    "SCENLlamaForCausalLM",
    "SCENTrainer",
    "SCENTrainingConfig",
    "WrongBaseError",
    "check_edits",
    "load_base",
    "load_edits",
    "resolve_base",
    "resolve_edits",
    "save_edits",
]

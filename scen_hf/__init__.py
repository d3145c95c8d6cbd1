"""scen_hf: edit packs for Llama models on the Hugging Face Hub."""

from transformers import AutoConfig, AutoModelForCausalLM

from .bases import load_base, resolve_base
from .differences import PackDifference, compare_packs
from .edit_files import load_edits, save_edits
from .edits import Edit, check_edits, resolve_edits
from .errors import BaseModelError, EditError, EditPackError, WrongBaseError
from .merging import merge_packs
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
    "PackDifference",
    "Route",
    "SCENLlamaConfig",
    "SCENLlamaForCausalLM",
    "SCENTrainer",
    "SCENTrainingConfig",
    "WrongBaseError",
    "check_edits",
    "compare_packs",
    "load_base",
    "load_edits",
    "merge_packs",
    "resolve_base",
    "resolve_edits",
    "save_edits",
]

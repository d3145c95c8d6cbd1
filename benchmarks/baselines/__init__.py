"""Editing methods to compare with, one module each, behind one interface: [`Method`]."""

from .fine_tuning import FineTuning
from .grace import Grace
from .lora import LoRAPerEdit, OneLoRA
from .method import Edited, Method, Settings, Tuned
from .ours import Paper, Scen
from .remembered import RememberedAnswerer
from .retrieval import Retrieval
from .tuning import TuningSet, spread


METHODS: tuple[Method, ...] = (Scen(), Paper(), FineTuning(), OneLoRA(), LoRAPerEdit(), Grace(), Retrieval())

__all__ = ["METHODS", "Edited", "Method", "RememberedAnswerer", "Settings", "Tuned", "TuningSet", "spread"]

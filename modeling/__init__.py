"""What is published beside the weights of an edit pack: configuration, model, pack reading and routing."""

from .configuration_scen_llama import SCENLlamaConfig
from .edit_pack_scen_llama import EditPackError, EditPackReader, WrongBaseError
from .modeling_scen_llama import SCENCausalLMOutputWithPast, SCENLlamaForCausalLM, SCENLlamaModel
from .routing_scen_llama import Route, SCENRouting


__all__ = [
    "EditPackError",
    "EditPackReader",
    "Route",
    "SCENCausalLMOutputWithPast",
    "SCENLlamaConfig",
    "SCENLlamaForCausalLM",
    "SCENLlamaModel",
    "SCENRouting",
    "WrongBaseError",
]

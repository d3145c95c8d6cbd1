"""SCEN's training as the authors run it (arXiv 2404.02699): one edit after the other, the whole model for every step.

Written from the paper, as the yardstick of `training_speed.py`. Stage 1 trains a full copy of one `down_proj` weight; stage 2
trains an indexing neuron, running the model again on the prompts of all earlier edits in every step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import LlamaForCausalLM


def train_expert(
    model: LlamaForCausalLM, layer: int, prompt: list[int], target: list[int], steps: int, learning_rate: float
) -> torch.Tensor:
    """The edit's own weight of `down_proj`, `(hidden_size, intermediate_size)`, after `steps` of Adam."""
    down_proj = model.model.layers[layer].mlp.down_proj
    original = down_proj.weight
    weight = nn.Parameter(original.detach().clone())
    optimizer = torch.optim.Adam([weight], lr=learning_rate)
    input_ids = torch.tensor([[*prompt, *target]], device=model.device)
    labels = torch.tensor([[-100] * len(prompt) + target], device=model.device)
    down_proj.weight = weight
    try:
        for _ in range(steps):
            optimizer.zero_grad()
            model(input_ids=input_ids, labels=labels).loss.backward()
            optimizer.step()
    finally:
        down_proj.weight = original
    return weight.detach()


def train_neuron(
    model: LlamaForCausalLM, layer: int, prompts: Sequence[list[int]], steps: int, learning_rate: float
) -> torch.Tensor:
    """The indexing neuron of the last prompt, against all earlier ones, each run through the model in every step."""
    neuron = nn.Parameter(torch.zeros(model.config.intermediate_size, device=model.device))
    optimizer = torch.optim.Adam([neuron], lr=learning_rate)
    for _ in range(steps):
        scores = torch.stack([(neuron @ _last_token_feature(model, layer, prompt)).sigmoid() for prompt in prompts])
        earlier, own = scores[:-1], scores[-1]
        loss = (-own).exp()
        if len(earlier):
            loss = loss + (earlier.exp() + 0.7).mean() + (earlier.exp() - own + 0.3).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return neuron.detach()


@torch.no_grad()
def _last_token_feature(model: LlamaForCausalLM, layer: int, prompt: list[int]) -> torch.Tensor:
    captured = []
    handle = model.model.layers[layer].mlp.down_proj.register_forward_pre_hook(
        lambda _, args: captured.append(args[0])
    )
    try:
        model.model(input_ids=torch.tensor([prompt], device=model.device), use_cache=False)
    finally:
        handle.remove()
    return captured[0][0, -1]

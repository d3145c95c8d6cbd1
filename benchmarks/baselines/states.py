"""Hidden states of prompts, as the methods that look something up compare them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from scen_hf.evaluation import Chat
from scen_hf.features import PromptReader
from scen_hf.modeling.routing_scen_llama import FeatureSpec
from scen_hf.prompts import encode_chat, question_markers


BATCH = 32


def read_states(model, tokenizer, chats: Sequence[Chat], features: Sequence[FeatureSpec]) -> list[torch.Tensor]:
    """Features of chats that wait for an answer, each `(chats, size)`, float32, all read in one pass."""
    reader = PromptReader(model, question_markers(tokenizer), BATCH)
    pooled = reader.pooled([encode_chat(tokenizer, list(chat)) for chat in chats], features)
    return list(pooled.chunk(len(features), dim=1))


def read_last_tokens(model, tokenizer, chats: Sequence[Chat], layers: Sequence[int]) -> list[torch.Tensor]:
    """What enters each layer's `down_proj` at the last prompt token, `(chats, intermediate_size)`, float32."""
    return read_states(
        model, tokenizer, chats, [FeatureSpec("last_token", "down_proj_input", layer) for layer in layers]
    )


def question(text: str) -> list[dict[str, str]]:
    """A chat of nothing but this question."""
    return [{"role": "user", "content": text}]

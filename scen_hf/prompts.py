"""From text to token ids: prompts as the model will see them, targets as it must answer them.

A prompt goes through the tokenizer's chat template, with the generation prompt at its end; a tokenizer without a template
gets the bare text. The *markers* around the user's text, which routing needs to find the question again in any
conversation, are derived here from the template itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .errors import EditError


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Texts that begin and end differently, so that what their renderings share is the template's and not theirs.
_PROBES = ("Why?", "tell me (more", "7 days", "ünder", '"x"')
_REPLY = "Because."


def has_chat_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether prompts are rendered as the user's turn of a conversation."""
    return bool(getattr(tokenizer, "chat_template", None))


def encode_chat(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], **kwargs) -> list[int]:
    """Token ids of a conversation, with the generation prompt behind it unless told otherwise."""
    kwargs = {"add_generation_prompt": True, "return_dict": False, **kwargs}
    return list(tokenizer.apply_chat_template(messages, **kwargs))


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of one prompt, ready for `generate`: the user's only turn, or the bare text."""
    if has_chat_template(tokenizer):
        return encode_chat(tokenizer, [{"role": "user", "content": prompt}])
    return list(tokenizer(prompt)["input_ids"])


def encode_target(tokenizer: PreTrainedTokenizerBase, target: str) -> list[int]:
    """Token ids of the answer, end of sequence included: what the model must generate behind the prompt.

    Behind a bare prompt the answer continues the text, so it begins with a space.

    Raises:
        EditError: If the tokenizer has no end-of-sequence token, without which an answer never ends.
    """
    if tokenizer.eos_token_id is None:
        raise EditError("The tokenizer has no eos_token; set one, so that edited answers end.")
    text = target if has_chat_template(tokenizer) else f" {target}"
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def _common_prefix(sequences: Sequence[Sequence[int]]) -> list[int]:
    shortest = min(sequences, key=len)
    for position, token in enumerate(shortest):
        if any(sequence[position] != token for sequence in sequences):
            return list(shortest[:position])
    return list(shortest)


def _common_suffix(sequences: Sequence[Sequence[int]]) -> list[int]:
    return _common_prefix([sequence[::-1] for sequence in sequences])[::-1]


def common_prefix_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all prompts share, leaving each at least one of its own."""
    return min(len(_common_prefix(prompts)), min(map(len, prompts)) - 1)


def question_markers(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int] | None, list[int] | None]:
    """The token ids that the chat template puts before and behind the user's text.

    Rendered with several texts in the first and in a later turn; what all renderings share right before the text is the
    start marker, what they share behind it, up to the answer, is the end marker.

    Returns:
        `(start, end)`, or `(None, None)` without a chat template.

    Raises:
        EditError: If the template marks the user's turn with no token of its own.
    """
    if not has_chat_template(tokenizer):
        return None, None
    before: list[list[int]] = []
    behind: list[list[int]] = []
    for later in (False, True):
        history = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": _REPLY}] if later else []
        rendered = [encode_chat(tokenizer, [*history, {"role": "user", "content": text}]) for text in _PROBES]
        before.append(_common_prefix(rendered))
        behind.append(_common_suffix(rendered))
        answered = [{"role": "user", "content": _PROBES[0]}, {"role": "assistant", "content": _REPLY}]
        closed = encode_chat(tokenizer, [*history, *answered], add_generation_prompt=False)
        end = behind[-1]
        # The same marker must stand in front of an answer that is already given, or later turns would not be found.
        while end and not any(closed[i : i + len(end)] == end for i in range(len(closed) - len(end) + 1)):
            end = end[:-1]
        behind[-1] = end
    start, end = _without_turn_end(tokenizer, _common_suffix(before)), _common_prefix(behind)
    if not start or not end:
        raise EditError(
            "The tokenizer's chat template does not mark where the user's text begins and ends. Use a template with role "
            "markers, or a tokenizer without chat_template to edit bare prompts."
        )
    return start, end


def _without_turn_end(tokenizer: PreTrainedTokenizerBase, start: list[int]) -> list[int]:
    """Drop the end of the turn before, which is missing where the user speaks first."""
    while start and (start[0] == tokenizer.eos_token_id or str(tokenizer.decode(start[:1])).isspace()):
        start = start[1:]
    return start


def pad_left(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`(input_ids, attention_mask)`, both `(batch, columns)` int64, padded on the left as `generate` wants it."""
    columns = max(map(len, sequences))
    input_ids = torch.full((len(sequences), columns), pad_id)
    attention_mask = torch.zeros_like(input_ids)
    for row, sequence in enumerate(sequences):
        input_ids[row, columns - len(sequence) :] = torch.tensor(sequence)
        attention_mask[row, columns - len(sequence) :] = 1
    return input_ids, attention_mask


def pad_id_of(tokenizer: PreTrainedTokenizerBase) -> int:
    """A token id to fill padding with; padding is masked, so any will do where the tokenizer names none."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return 0

"""The model card of a pack: the README.md that the Hub shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from huggingface_hub import ModelCard, ModelCardData


if TYPE_CHECKING:
    from .pack import EditPack


_MOST_FACTS = 200
# Text behind this line is the user's and survives when the card is generated anew.
END_OF_GENERATED = "<!-- Your own text goes below this line; what is above is generated. -->"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def model_card(pack: EditPack) -> ModelCard:
    """A card that says what the pack changes, on which base, and how to load it.

    Examples:

    ```python
    >>> from scen_hf import EditPack
    >>> from scen_hf.card import model_card

    >>> print(model_card(EditPack.from_pretrained("my-facts")).text)
    ```
    """
    base = pack.config.base_model_name_or_path
    # Only a Hub id is a link; a folder or the embedded model would be refused by the Hub's validator.
    on_hub = base is not None and _HUB_ID.fullmatch(base) is not None
    metadata = ModelCardData(
        base_model=base if on_hub else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["scen", "model-editing", "knowledge-editing"],
    )
    return ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{_body(pack, base)}")


def _body(pack: EditPack, base: str | None) -> str:
    config = pack.config
    facts = "\n".join(
        f"| {_cell(edit.prompt)} | {_cell(edit.target)} | {_cell(edit.source or '')} | {edit.date or ''} |"
        for edit in pack.edits[:_MOST_FACTS]
    )
    more = f"\n\n{len(pack) - _MOST_FACTS} more are in `edits.jsonl`." if len(pack) > _MOST_FACTS else ""
    return f"""# Edit pack with {len(pack)} facts

Edits of `{base}`, made with [SCEN](https://arxiv.org/abs/2404.02699) (method `{config.method}`, layer {config.edit_layer}).
Every prompt for which no edit fires gets the base model's output, bit for bit.

```python
from transformers import pipeline

chat = pipeline("text-generation", model="PATH_OR_REPO_OF_THIS_PACK", trust_remote_code=True)
print(chat([{{"role": "user", "content": {pack.edits[0].prompt!r}}}]))
```

## Facts

| prompt | answer | source | as of |
| --- | --- | --- | --- |
{facts}{more}

## Limits

An edit is recognised by its wording and its subject. A wording far from the prompt may not be recognised, and another question
about the same subject may be taken for it.

{END_OF_GENERATED}
"""


def own_text(card: str) -> str:
    """What a user wrote behind the generated part of a card; all of it, if it was not generated here."""
    return card.partition(END_OF_GENERATED)[2] if END_OF_GENERATED in card else f"\n{card}"


def _cell(text: str) -> str:
    """Text in a table cell of Markdown: one line, with nothing that ends the cell or starts markup."""
    return re.sub(r"([\\|`*<>\[\]])", r"\\\1", " ".join(text.split()))

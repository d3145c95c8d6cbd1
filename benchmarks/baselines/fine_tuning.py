"""Plain fine-tuning: the weight of one `down_proj`, all edits together, nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

import torch
from torch import nn

from scen_hf import Edit, SCENTrainer
from scen_hf.evaluation import ModelAnswerer

from .method import Edited, Method, Settings, Tuned
from .tuning import TuningSet
from .upper_layers import UpperLayers


class FineTuning(Method):
    """Adam on the whole weight, until the mean loss of an epoch is low."""

    name = "fine-tuning"
    title = "Fine-tuning of the layer"
    about = (
        "The weight of the `down_proj` that our edits change, trained on all edits together, until the mean loss of an "
        "epoch is below a limit. Tuned: learning rate and limit."
    )
    routed = False

    LEARNING_RATES, STOP_LOSSES = (1e-3, 3e-3), (0.3, 0.05)
    MOST_EPOCHS = 60

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """Try every pair of learning rate and limit."""
        tried = []
        for learning_rate, stop_loss in product(self.LEARNING_RATES, self.STOP_LOSSES):
            settings = {"learning_rate": learning_rate, "stop_loss": stop_loss}
            with self.edited(model, tokenizer, few.edits, settings) as edited:
                tried.append({"settings": settings, **edited.trained, **few.figures(edited.answerer)})
        return Tuned.best_of(tried)

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Train the weight; at the end of the block the old one is back."""
        layer = SCENTrainer(model, tokenizer, progress=False).edit_layer
        mlp = model.model.layers[layer].mlp
        original = mlp.down_proj
        mlp.down_proj = tuned = _Tuned(original)
        try:
            upper = UpperLayers(model, tokenizer, layer)
            trained = upper.train(upper.read(edits), tuned.parameters(), most_epochs=self.MOST_EPOCHS, **settings)
            answerer = ModelAnswerer(model, tokenizer, f"{self.name} {settings}")
            yield Edited(answerer, original.weight.numel() * original.weight.element_size(), trained)
        finally:
            mlp.down_proj = original


class _Tuned(nn.Module):
    """A linear layer whose weight is trained in float32, whatever the model computes in."""

    def __init__(self, original: nn.Linear):
        super().__init__()
        self.weight = nn.Parameter(original.weight.detach().float())
        self.bias = original.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.weight.to(x.dtype), self.bias)

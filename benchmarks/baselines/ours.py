"""SCEN as this package does it, through its public interface: the default, and the paper's method."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Literal

from scen_hf import Edit, EditPack, SCENTrainer, SCENTrainingConfig
from scen_hf.evaluation import SCENAnswerer
from scen_hf.paper import train_indexing_neurons

from .method import Edited, Method, Settings, Tuned, thaw
from .states import question, read_last_tokens
from .tuning import TuningSet, nearest_by_row


class Scen(Method):
    """`method="scen"`."""

    name = "scen"
    title = "scen_hf"
    about = 'The default, `method="scen"`. Nothing is tuned here; the defaults were chosen in development on the tuning half.'
    method: Literal["scen", "paper"] = "scen"

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """The defaults."""
        return Tuned({})

    def train(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> EditPack:
        """A pack of the edits."""
        config = SCENTrainingConfig(method=self.method, **settings)
        return SCENTrainer(model, tokenizer, config, progress=False).train(edits)

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Train a pack, save it and attach it."""
        pack = self.train(model, tokenizer, edits, settings)
        with attached(model, tokenizer, pack) as edited:
            yield edited


class Paper(Scen):
    """`method="paper"`."""

    name = "paper"
    title = "SCEN as in the paper"
    about = (
        '`method="paper"`. Tuned: layer, learning rate and steps of the neurons, and threshold, by which prompts find the right '
        "neuron; then the learning rate of the experts, by how many edits are learned. The published settings are among those tried."
    )
    method: Literal["scen", "paper"] = "paper"

    # Layers as shares of the depth. The published settings come first: of equals, the first is taken.
    LAYERS, NEURON_LEARNING_RATES, NEURON_STEPS = (20 / 32, 0.8, 0.9), (1e-4, 1e-3, 3e-3), (20, 200, 1000)
    LEARNING_RATES = (1e-4, 1e-3, 3e-3)

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """Stage 2 on the features that it works on, then stage 1 by training."""
        layers = [round(share * model.config.num_hidden_layers) for share in self.LAYERS]
        features = read_last_tokens(model, tokenizer, [question(edit.prompt) for edit in many.edits], layers)
        probed = {
            name: read_last_tokens(model, tokenizer, [probe.messages for probe in probes], layers)
            for name, probes in many.sets.items()
        }
        routed = []
        for (number, layer), learning_rate, steps in product(
            enumerate(layers), self.NEURON_LEARNING_RATES, self.NEURON_STEPS
        ):
            seeds = range(len(many.edits))
            neurons = train_indexing_neurons(features[number], seeds, steps=steps, learning_rate=learning_rate)
            nearest = {
                name: nearest_by_row((states[number] @ neurons.T).sigmoid(), many.edits)
                for name, states in probed.items()
            }
            threshold, shares = many.best_threshold(nearest)
            settings = {
                "edit_layer": layer,
                "neuron_learning_rate": learning_rate,
                "neuron_steps": steps,
                "threshold": threshold,
            }
            routed.append({"settings": settings, **shares})
        place = Tuned.best_of(routed).settings
        learned = []
        for learning_rate in self.LEARNING_RATES:
            settings = {**place, "learning_rate": learning_rate}
            pack = self.train(model, tokenizer, few.edits, settings)
            learned.append({"settings": settings, "learned": pack.report["converged"]})
        best = max(learned, key=lambda figures: figures["learned"])
        return Tuned(best["settings"], [*routed, *learned])


@contextmanager
def attached(model, tokenizer, pack: EditPack) -> Iterator[Edited]:
    """Within the block the pack is attached, from a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pack"
        pack.save_pretrained(folder)
        # The neurons and the experts; the rest is shared by all edits, or is their text.
        kept = sum(path.stat().st_size for kind in ("neurons", "experts") for path in folder.glob(f"{kind}-*"))
        model.load_edit_pack(folder)
        try:
            trained = {name: found for name, found in pack.report.items() if name in ("converged", "mean_steps")}
            thaw(model)
            yield Edited(SCENAnswerer(model, tokenizer), kept, trained)
        finally:
            model.unload_edit_pack()

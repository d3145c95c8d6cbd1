"""GRACE (arXiv 2211.11031): a codebook of keys, values and radii in front of one layer. Written from the paper.

The key of an edit is what enters the layer's `down_proj` at the last prompt token; its value is what comes out there instead.
A prompt whose own input lies within the radius of its nearest key gets that key's value. A new edit

- far from all keys becomes a key of its own, with the initial radius;
- near a key with the same target widens that key's radius to reach it;
- near a key with another target becomes a key too, and both radii shrink to half the distance.

A value is trained with the edit's own key alone, as in the paper. Two things are ours, both in its favour: values of many edits are
trained side by side on cached states, and the decision at the last prompt token holds for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import nn

from scen_hf import Edit, Route
from scen_hf.batches import in_batches
from scen_hf.evaluation import ModelAnswerer
from scen_hf.experts import AnswerStates, ExpertTrainer, TrainedExpert
from scen_hf.prompts import encode_prompt, encode_target

from .method import Edited, Method, Settings, Tuned
from .states import BATCH, question, read_last_tokens
from .tuning import TuningSet, best_of


class Grace(Method):
    """The codebook in front of one layer."""

    name = "grace"
    title = "GRACE"
    about = (
        "A codebook of keys, values and radii at one `down_proj`. Tuned: layer and initial radius, by which prompts a codebook "
        "of all edits gives the right value; then learning rate, and whether a value stands for the last prompt token alone or for all "
        "tokens of the answer, by whole answers."
    )

    # Layers as shares of the depth.
    LAYERS, RADII = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9), 20
    # Learning rates of the values, and whether they stand for the whole answer; tried in so many layers.
    TRAINED, PLACES = ((1.0, False), (1.0, True), (0.3, True)), 2
    STEPS, STOP_LOSS = 100, 0.05

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """Layer and radius by what the codebook would give, then how values are trained by whole answers."""
        layers = [round(share * model.config.num_hidden_layers) for share in self.LAYERS]
        keys = read_last_tokens(model, tokenizer, [question(edit.prompt) for edit in many.edits], layers)
        probed = {
            name: read_last_tokens(model, tokenizer, [probe.messages for probe in probes], layers)
            for name, probes in many.sets.items()
        }
        routed: list[Settings] = []
        for number, layer in enumerate(layers):
            tried = []
            for radius in self._radii(keys[number], torch.cat([states[number] for states in probed.values()])):
                codebook = Codebook(radius)
                for edit, key in zip(many.edits, keys[number], strict=True):
                    codebook.add(edit, key, key)
                lookup = Lookup(codebook.entries, whole_answer=False)
                given = {name: lookup.edits_for(states[number]) for name, states in probed.items()}
                tried.append({"settings": {"layer": layer, "radius": radius}, **many.shares(given)})
            routed.append(best_of(tried))
        asked: list[Settings] = []
        places = sorted(routed, key=lambda figures: -figures["balance"])[: self.PLACES]
        for place, (learning_rate, whole_answer) in product(places, self.TRAINED):
            settings = {**place["settings"], "learning_rate": learning_rate, "whole_answer": whole_answer}
            with self.edited(model, tokenizer, few.edits, settings) as edited:
                asked.append({"settings": settings, **edited.trained, **few.figures(edited.answerer)})
        return Tuned(Tuned.best_of(asked).settings, [*routed, *asked])

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Make the codebook and put it in front of the layer; at the end of the block it is taken away."""
        layer = settings["layer"]
        (keys,) = read_last_tokens(model, tokenizer, [question(edit.prompt) for edit in edits], [layer])
        trained = self._values(model, tokenizer, edits, settings)
        weight = model.model.layers[layer].mlp.down_proj.weight
        codebook = Codebook(settings["radius"])
        for edit, key, offset in zip(edits, keys, trained, strict=True):
            codebook.add(edit, key, (weight.float() @ key + offset.tensors["offset"]).detach())
        with codebook.attached(model, layer, settings["whole_answer"]) as lookup:
            answerer = GraceAnswerer(model, tokenizer, f"{self.name} {settings}", lookup)
            learned = sum(value.converged for value in trained) / len(edits)
            yield Edited(answerer, codebook.bytes, {"learned": learned, "keys": len(codebook.entries)})

    def _radii(self, keys: torch.Tensor, inputs: torch.Tensor) -> list[float]:
        """Initial radii to be tried: evenly spread over how far prompts are from their nearest key."""
        distances = torch.cdist(inputs, keys).amin(1)
        shares = torch.linspace(0, 1, self.RADII + 2)[1:-1]
        return distances.quantile(shares).tolist()

    def _values(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> list[TrainedExpert]:
        model.requires_grad_(False)
        trainer = _ValueTrainer(
            model,
            settings["layer"],
            rank=1,
            learning_rate=settings["learning_rate"],
            max_steps=self.STEPS,
            stop_loss=self.STOP_LOSS,
            seed=0,
        )
        trainer.whole_answer = settings["whole_answer"]
        prompts = [encode_prompt(tokenizer, edit.prompt) for edit in edits]
        targets = [encode_target(tokenizer, edit.target) for edit in edits]
        values: dict[int, TrainedExpert] = {}

        def train(numbers: list[int]) -> None:
            trainer.train(
                [prompts[number] for number in numbers],
                [targets[number] for number in numbers],
                numbers,
                lambda row, value: values.update({numbers[row]: value}),
            )

        in_batches(train, sorted(range(len(edits)), key=lambda number: len(targets[number])), BATCH)
        return [values[number] for number in range(len(edits))]


class _ValueTrainer(ExpertTrainer):
    """Trains values, as what they add to the output of `down_proj` that was there."""

    expert_names = ("offset",)
    whole_answer: bool

    def _start(self, numbers: Sequence[int]) -> list[nn.Parameter]:
        """The value at first is what came out of the layer anyway."""
        return [nn.Parameter(torch.zeros(len(numbers), self.model.config.hidden_size, device=self.model.device))]

    def _edited(self, states: AnswerStates, *parameters: torch.Tensor) -> torch.Tensor:
        (offset,) = parameters
        offset = offset.to(states.x.dtype)[:, None]
        if not self.whole_answer:
            return torch.cat([states.residual[:, :1] + offset, states.residual[:, 1:]], dim=1)
        y = self.model.model.layers[self.layer].mlp.down_proj(states.x)
        return states.residual - y + y[:, :1] + offset


@dataclass
class Entry:
    """One entry of a codebook.

    Args:
        edit: The edit it was made for.
        key (`(intermediate_size,)`), value (`(hidden_size,)`): In float32.
        radius: How near a prompt must be.
    """

    edit: Edit
    key: torch.Tensor
    value: torch.Tensor
    radius: float


@dataclass
class Codebook:
    """Keys, values and radii.

    Args:
        initial_radius: Of a new key.
        entries: What is in it.
    """

    initial_radius: float
    entries: list[Entry] = field(default_factory=list)

    def add(self, edit: Edit, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take an edit in, as described above."""
        radius = self.initial_radius
        if self.entries:
            distances = torch.cdist(key[None], torch.stack([entry.key for entry in self.entries]))[0]
            distance, nearest = float(distances.min()), self.entries[int(distances.argmin())]
            if distance <= nearest.radius + self.initial_radius:
                if edit.target == nearest.edit.target:
                    nearest.radius = max(nearest.radius, distance)
                    return
                radius = nearest.radius = distance / 2
        self.entries.append(Entry(edit, key, value, radius))

    @property
    def bytes(self) -> int:
        """Of keys, values and radii in float32."""
        return sum(4 * (entry.key.numel() + entry.value.numel() + 1) for entry in self.entries)

    @contextmanager
    def attached(self, model, layer: int, whole_answer: bool) -> Iterator[Lookup]:
        """Within the block, the layer's output comes from the codebook where a key is near."""
        lookup = Lookup(self.entries, whole_answer)
        handles = [
            model.register_forward_pre_hook(lookup.begin, with_kwargs=True),
            model.model.layers[layer].mlp.down_proj.register_forward_hook(lookup),
        ]
        try:
            yield lookup
        finally:
            for handle in handles:
                handle.remove()


class Lookup:
    """A codebook in front of a layer, and what it decided for the batch at hand.

    Prompts are padded on the left, so the last column of the pass that fills the cache is the last prompt token.

    Args:
        entries: Those of the codebook.
        whole_answer: Whether a value stands for all tokens of the answer.
    """

    def __init__(self, entries: Sequence[Entry], whole_answer: bool):
        self.edits = [entry.edit for entry in entries]
        self.keys = torch.stack([entry.key for entry in entries])
        self.values = torch.stack([entry.value for entry in entries])
        self.radii = torch.tensor([entry.radius for entry in entries])
        self.whole_answer = whole_answer
        self.distance = self.nearest = torch.empty(0)
        self._prompt = True

    def begin(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """Before a pass of the model: whether it reads prompts."""
        past = kwargs.get("past_key_values")
        self._prompt = past is None or past.get_seq_length() == 0

    def __call__(self, module: nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        """Behind `down_proj`: its output, with values in place of it where a key is near."""
        if self._prompt:
            self.look_up(args[0][:, -1].float())
        elif not self.whole_answer:
            return output
        value = self.values[self.nearest].to(output.dtype)[:, None]
        fired = self.fired[:, None, None]
        if not self._prompt:
            return torch.where(fired, value, output)
        return torch.cat([output[:, :-1], torch.where(fired, value, output[:, -1:])], dim=1)

    def look_up(self, inputs: torch.Tensor) -> None:
        """Find the nearest key of each input, `(batch, intermediate_size)`."""
        self.distance, self.nearest = torch.cdist(inputs, self.keys).min(1)

    def edits_for(self, inputs: torch.Tensor) -> list[Edit | None]:
        """The edit whose value each input gets, if any."""
        self.look_up(inputs)
        found = zip(self.fired.tolist(), self.nearest.tolist(), strict=True)
        return [self.edits[number] if fired else None for fired, number in found]

    @property
    def fired(self) -> torch.Tensor:
        """Rows whose nearest key is near enough, `(batch,)`."""
        return self.distance <= self.radii[self.nearest]


class GraceAnswerer(ModelAnswerer):
    """Asks a model with a codebook attached."""

    routed = True

    def __init__(self, model, tokenizer, identity: str, lookup: Lookup):
        super().__init__(model, tokenizer, identity)
        self._lookup = lookup

    def routes(self, output: Any, rows: int) -> list[Route]:
        """What the codebook decided; scores are negative distances."""
        found = self._lookup
        # A beam search looks up every beam of a prompt.
        beams = len(found.nearest) // rows
        rows_of = (part.tolist()[::beams] for part in (found.fired, found.nearest, found.distance))
        return [
            Route(fired, found.edits[nearest].id, score=-distance, threshold=-float(found.radii[nearest]))
            for fired, nearest, distance in zip(*rows_of, strict=True)
        ]

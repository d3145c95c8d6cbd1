"""LoRA (arXiv 2106.09685) by PEFT: one adapter for all edits, and one adapter per edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model

from scen_hf import Edit, Route, SCENTrainer
from scen_hf.evaluation import Answer, Chat, Decoding, ModelAnswerer, Prefill, TargetScore

from .method import Edited, Method, Settings, Tuned
from .tuning import TuningSet
from .upper_layers import UpperLayers


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]


class OneLoRA(Method):
    """One adapter, trained on all edits."""

    name = "lora"
    title = "One LoRA for all edits"
    about = (
        "PEFT's LoRA in all linear layers from a layer upward, alpha twice the rank, trained on all edits together until the "
        "mean loss of an epoch is below a limit. Tuned: first layer, rank, learning rate and limit."
    )
    routed = False

    # First layer as a share of the depth, rank, learning rate, limit of the loss.
    CANDIDATES = (
        (0.5, 16, 1e-3, 0.1),
        (0.5, 16, 3e-4, 0.1),
        (0.5, 16, 1e-3, 0.02),
        (0.8, 16, 1e-3, 0.1),
        (0.8, 64, 1e-3, 0.02),
    )
    MOST_EPOCHS = 40

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """Try all candidates."""
        tried = []
        for first, rank, learning_rate, stop_loss in self.CANDIDATES:
            layer = round(first * model.config.num_hidden_layers)
            settings = {"first_layer": layer, "rank": rank, "learning_rate": learning_rate, "stop_loss": stop_loss}
            with self.edited(model, tokenizer, few.edits, settings) as edited:
                tried.append({"settings": settings, **edited.trained, **few.figures(edited.answerer)})
        return Tuned.best_of(tried)

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Train an adapter; at the end of the block it is taken out."""
        first, rank, training = settings["first_layer"], settings["rank"], dict(settings)
        del training["first_layer"], training["rank"]
        depth = model.config.num_hidden_layers
        adapted: Any = get_peft_model(model, lora_config(rank, [*ATTENTION, *MLP], range(first, depth)))
        try:
            upper = UpperLayers(model, tokenizer, first)
            parameters = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
            trained = upper.train(upper.read(edits), parameters, most_epochs=self.MOST_EPOCHS, **training)
            answerer = ModelAnswerer(adapted.eval(), tokenizer, f"{self.name} {settings}")
            yield Edited(answerer, sum(p.numel() * p.element_size() for p in parameters), trained)
        finally:
            adapted.unload()


class LoRAPerEdit(Method):
    """One adapter per edit, and an oracle that says which one a prompt needs."""

    name = "lora-per-edit"
    title = "One LoRA per edit, oracle route"
    about = (
        "PEFT's LoRA in the layer that our edits change, one adapter per edit, asked with PEFT's mixed batches. Which adapter a "
        "prompt needs is not decided but known, so this is an upper bound of what routing could reach. Tuned: which of the "
        "layer's matrices, rank and learning rate."
    )
    most_edits = 64
    routed = False

    CANDIDATES = (
        (["down_proj"], 4, 1e-2),
        (["down_proj"], 8, 5e-3),
        ([*ATTENTION, *MLP], 4, 5e-3),
    )
    STOP_LOSS, MOST_STEPS = 0.05, 40

    def tune(self, model, tokenizer, few: TuningSet, many: TuningSet) -> Tuned:
        """Try all candidates."""
        tried = []
        for modules, rank, learning_rate in self.CANDIDATES:
            settings = {"modules": modules, "rank": rank, "learning_rate": learning_rate}
            with self.edited(model, tokenizer, few.edits, settings) as edited:
                tried.append({"settings": settings, **edited.trained, **few.figures(edited.answerer)})
        return Tuned.best_of(tried)

    @contextmanager
    def _edited(self, model, tokenizer, edits: Sequence[Edit], settings: Settings) -> Iterator[Edited]:
        """Train the adapters one by one; at the end of the block they are taken out."""
        layer = SCENTrainer(model, tokenizer, progress=False).edit_layer
        config = lora_config(settings["rank"], settings["modules"], [layer])
        names = {edit.id: f"edit-{number}" for number, edit in enumerate(edits)}
        # Before there are adapters, the model under them is the base model.
        examples = UpperLayers(model, tokenizer, layer).read(edits)
        adapted: Any = get_peft_model(model, config, adapter_name=names[edits[0].id])
        try:
            upper, steps, sizes = UpperLayers(model, tokenizer, layer), [], []
            for number, edit in enumerate(edits):
                if number:
                    adapted.add_adapter(names[edit.id], config)
                adapted.set_adapter(names[edit.id])
                parameters = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
                trained = upper.train(
                    examples.take([number]),
                    parameters,
                    learning_rate=settings["learning_rate"],
                    stop_loss=self.STOP_LOSS,
                    most_epochs=self.MOST_STEPS,
                )
                steps.append(trained["epochs"])
                sizes += [parameter.numel() * parameter.element_size() for parameter in parameters]
            oracle = {text: edit.id for edit in edits for text in (edit.prompt, *edit.rephrases)}
            answerer = OracleAnswerer(adapted.eval(), tokenizer, f"{self.name} {settings}", oracle, names)
            yield Edited(answerer, sum(sizes), {"mean_steps": sum(steps) / len(steps)})
        finally:
            adapted.unload()


def lora_config(rank: int, modules: Sequence[str], layers: Sequence[int]) -> LoraConfig:
    """Adapters of some linear layers; all else as PEFT has it by default."""
    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=list(modules),
        layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )


class OracleAnswerer(ModelAnswerer):
    """Asks an adapted model in mixed batches, each prompt with the adapter of its edit.

    Args:
        model: The model with all adapters.
        tokenizer: Its tokenizer.
        identity: See [`Answerer`].
        oracle: The edit by the user's question; all other questions go to the base model.
        adapters: The adapter of each edit.
    """

    routed = True

    def __init__(self, model: PeftModel, tokenizer, identity: str, oracle: dict[str, str], adapters: dict[str, str]):
        mixed: Any = _MixedBatch(model)
        super().__init__(mixed, tokenizer, identity)
        self._oracle, self._adapters = oracle, adapters
        self._asked: list[str | None] = []

    def answers(self, chats: Sequence[Chat], decoding: Decoding, targets: Sequence[str] | None = None) -> list[Answer]:
        """As [`ModelAnswerer.answers`]."""
        self._consult(chats)
        return super().answers(chats, decoding, targets)

    def prefill(self, chats: Sequence[Chat]) -> Prefill:
        """As [`ModelAnswerer.prefill`]."""
        self._consult(chats)
        return super().prefill(chats)

    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """As [`ModelAnswerer.score`]."""
        self._consult(chats)
        return super().score(chats, targets)

    def _consult(self, chats: Sequence[Chat]) -> None:
        self._asked = [self._oracle.get(chat[-1]["content"]) for chat in chats]
        self.model.adapters = [self._adapters[edit] if edit else _MixedBatch.BASE for edit in self._asked]

    def routes(self, output: Any, rows: int) -> list[Route]:
        """The edits that the oracle named."""
        return [Route(fired=edit is not None, edit_id=edit) for edit in self._asked]


class _MixedBatch:
    """A PEFT model that is told, row by row, which adapter to use."""

    BASE = "__base__"  # PEFT's name for no adapter

    def __init__(self, model: PeftModel):
        self._model = model
        self.adapters: list[str] = []

    def __call__(self, **kwargs: Any) -> Any:
        return self._model(**kwargs, adapter_names=self.adapters)

    def generate(self, **kwargs: Any) -> Any:
        return self._model.generate(**kwargs, adapter_names=self.adapters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

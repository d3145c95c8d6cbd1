"""Training: facts in, edit pack out.

>>> from scen_hf import SCENTrainer, SCENTrainingConfig, load_base, load_edits

>>> model, tokenizer = load_base("HuggingFaceTB/SmolLM2-135M-Instruct")
>>> pack = SCENTrainer(model, tokenizer, SCENTrainingConfig()).train(load_edits("edits.jsonl"))
>>> pack.save_pretrained("my-facts")
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
from tqdm.auto import tqdm

from .batches import in_batches
from .edits import Edit, resolve_edits
from .errors import EditError, EditPackError
from .experts import ExpertTrainer, TrainedExpert
from .features import PromptReader
from .modeling import SCENLlamaConfig, SCENLlamaForCausalLM
from .modeling.edit_pack_scen_llama import check_fingerprint, fingerprint
from .modeling.routing_scen_llama import FeatureSpec, RouterSpace
from .neurons import SUBJECT_THRESHOLD, expected_of, find_confusions, read_neurons, router_of
from .pack import EditPack, Shard, new_shard
from .paper import FullExpertTrainer, train_indexing_neurons
from .prompts import encode_prompt, encode_target, question_markers
from .records import training_record
from .router_space import LEVEL_WEIGHT, RouterCalibration, RouterSettings, load_router_space


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


T = TypeVar("T", bound=ExpertTrainer)


@dataclass
class SCENTrainingConfig:
    """How to train edits.

    Args:
        method: `"scen"`, the fast default, or `"paper"`, arXiv 2404.02699 as published.
        edit_layer: Layer whose `down_proj` the experts change; by default at 0.8 of the depth for `"scen"` and at 20/32 for
            `"paper"`.
        rank: Rank of the experts of `"scen"`.
        learning_rate: Of Adam in stage 1; 0 stands for 0.04 with `"scen"` and 1e-4 with `"paper"`.
        max_steps: Stage-1 steps per edit, at most (`"scen"`) or exactly (`"paper"`); 0 stands for 80 and 10.
        stop_loss: `"scen"` stops an edit when each target token's loss is below this many nats.
        false_activation_rate: Share of other questions about an edited subject that may fire, for the calibration of
            `"scen"`. Unrelated prompts fire far less often.
        neuron_steps, neuron_learning_rate, threshold: Stage 2 of `"paper"`.
        batch_size: Edits trained side by side; halved when memory runs out. 0 stands for 64 with `"scen"`, 8 with `"paper"`.
        seed: Makes a run repeatable.
    """

    method: Literal["scen", "paper"] = "scen"
    edit_layer: int | None = None
    rank: int = 3
    learning_rate: float = 0.0
    max_steps: int = 0
    stop_loss: float = 0.05
    false_activation_rate: float = 0.055
    neuron_steps: int = 20
    neuron_learning_rate: float = 1e-4
    threshold: float = 0.65
    batch_size: int = 0
    seed: int = 0

    def __post_init__(self):
        if self.method not in ("scen", "paper"):
            raise ValueError(f"method must be 'scen' or 'paper', not {self.method!r}.")
        paper = self.method == "paper"
        self.learning_rate = self.learning_rate or (1e-4 if paper else 0.04)
        self.max_steps = self.max_steps or (10 if paper else 80)
        self.batch_size = self.batch_size or (8 if paper else 64)
        for name in ("rank", "max_steps", "batch_size", "neuron_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if not 0 <= self.false_activation_rate < 1:
            raise ValueError(f"false_activation_rate is a share from 0 to below 1, not {self.false_activation_rate}.")


class SCENTrainer:
    """Trains edits of one base model.

    Args:
        model: The base; its weights are not changed. Packs attached to it play no part.
        tokenizer: Its tokenizer, with the chat template that users will prompt with.
        config: Settings; the default is `SCENTrainingConfig()`.
        progress: Show progress bars.

    Raises:
        EditPackError: If the settings do not fit the model.
    """

    def __init__(
        self,
        model: SCENLlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        config: SCENTrainingConfig | None = None,
        *,
        progress: bool = True,
    ):
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.config = config or SCENTrainingConfig()
        self.progress = progress
        self._markers = question_markers(tokenizer)
        self.edit_layer = self._edit_layer()
        self._reader = PromptReader(model, self._markers, self.config.batch_size, progress=progress)

    def _edit_layer(self) -> int:
        depth, layer = self.model.config.num_hidden_layers, self.config.edit_layer
        if layer is None:
            return min(round((20 / 32 if self.config.method == "paper" else 0.8) * depth), depth - 1)
        if not 0 <= layer < depth:
            raise EditPackError(f"edit_layer={layer}: the model has layers 0 to {depth - 1}.")
        return layer

    @property
    def router_settings(self) -> RouterSettings:
        """What the neurons of `method="scen"` read: subjects show in early layers, relations just below the edit."""
        late, early = max(self.edit_layer - 1, 0), round(0.25 * self.edit_layer)
        features = (
            FeatureSpec("question_mean", "mlp_input", early),
            FeatureSpec("question_mean", "mlp_input", late),
            FeatureSpec("last_token", "mlp_input", late),
        )
        tokens = FeatureSpec("question_tokens", "mlp_input", round(0.05 * self.edit_layer))
        hidden = self.model.config.hidden_size
        return RouterSettings(features, tokens, dim=min(64, hidden), token_dim=min(128, hidden), subject_tokens=8)

    # --------------------------------------------------------------- training

    def train(self, edits: Sequence[Edit], into: EditPack | None = None) -> EditPack:
        """Train edits and return them as a pack.

        Args:
            edits: The facts. Exact duplicates are dropped.
            into: A pack to add them to; its own edits are neither trained again nor rewritten. It brings the settings that
                all edits of a pack share.

        Returns:
            The pack, with `report`: edits, seconds and steps of each stage, the share converged and the ids that did not.

        Raises:
            EditError: For no edits, contradictory or too long ones, or ids that `into` already has.
            WrongBaseError: If `into` was trained on another base.
        """
        edits = resolve_edits(edits)
        if not edits:
            raise EditError("There are no edits to train.")
        if into is not None:
            self._check_into(into, edits)
        prompts = [encode_prompt(self.tokenizer, edit.prompt) for edit in edits]
        targets = [encode_target(self.tokenizer, edit.target) for edit in edits]
        self._check_lengths(edits, prompts, targets)
        with self.model.edits_disabled(), frozen(self.model):
            start = time.perf_counter()
            experts = self._train_experts(edits, prompts, targets)
            stage1 = time.perf_counter() - start
            pack = self._train_neurons(edits, prompts, experts, into)
            stage2 = time.perf_counter() - start - stage1
        missed = [edit.id for edit, expert in zip(edits, experts, strict=True) if not expert.converged]
        pack.report |= {
            "edits": len(edits),
            "stage1_seconds": stage1,
            "stage2_seconds": stage2,
            "mean_steps": sum(expert.steps for expert in experts) / len(edits),
            "converged": 1 - len(missed) / len(edits),
            "not_converged": missed,
        }
        pack.shards[-1].training = training_record(self.config, self.model, pack.report)
        return pack

    def _check_into(self, into: EditPack, edits: Sequence[Edit]) -> None:
        known = {edit.id for edit in into.edits}
        again = [edit.id for edit in edits if edit.id in known]
        if again:
            raise EditError(
                f"The pack already has {', '.join(map(repr, again[:10]))}. Leave them out, or remove them from the pack first."
            )
        resolve_edits([*into.edits, *edits], on_duplicate="error")
        ours = self._pack_config()
        for name in ("method", "edit_layer", "expert_rank", "router"):
            if getattr(ours, name) != getattr(into.config, name):
                raise EditPackError(
                    f"The pack was made with {name}={getattr(into.config, name)!r}, this run uses {getattr(ours, name)!r}. "
                    "All edits of a pack share these settings."
                )
        check_fingerprint(into.base_fingerprint, self.model, "The pack", into.config.base_model_name_or_path)

    def _check_lengths(self, edits: Sequence[Edit], prompts, targets) -> None:
        limit = self.model.config.max_position_embeddings
        for edit, prompt, target in zip(edits, prompts, targets, strict=True):
            if len(prompt) + len(target) > limit:
                raise EditError(
                    f"Edit {edit.id!r} has {len(prompt)} prompt and {len(target)} target tokens; the model's context is "
                    f"{limit}. Shorten it."
                )

    def expert_trainer(self, kind: type[T]) -> T:
        """Stage 1 with these settings."""
        config = self.config
        return kind(
            self.model,
            self.edit_layer,
            rank=config.rank,
            learning_rate=config.learning_rate,
            max_steps=config.max_steps,
            stop_loss=0.0 if config.method == "paper" else config.stop_loss,
            seed=config.seed,
        )

    def _train_experts(self, edits, prompts, targets) -> list[TrainedExpert]:
        config = self.config
        trainer = self.expert_trainer(FullExpertTrainer if config.method == "paper" else ExpertTrainer)
        experts: dict[int, TrainedExpert] = {}
        # Counted along: a batch that ran out of memory reports some of its edits again.
        converged: set[int] = set()
        with tqdm(total=len(edits), desc="Experts", unit="edit", disable=not self.progress) as bar:

            def train(numbers: list[int]) -> None:
                def done(row: int, expert: TrainedExpert) -> None:
                    bar.update(numbers[row] not in experts)
                    experts[numbers[row]] = expert
                    (converged.add if expert.converged else converged.discard)(numbers[row])
                    bar.set_postfix(converged=f"{len(converged) / len(experts):.1%}")

                trainer.train(
                    [prompts[number] for number in numbers],
                    [targets[number] for number in numbers],
                    [_seed_of(edits[number]) for number in numbers],
                    done,
                )

            # Rows of about the same length waste no padding.
            order = sorted(range(len(edits)), key=lambda n: (len(targets[n]), len(prompts[n])))
            in_batches(train, order, config.batch_size)
        diverged = [edits[number].id for number, expert in experts.items() if not math.isfinite(expert.loss)]
        if diverged:
            raise EditError(
                f"The training of {', '.join(map(repr, sorted(diverged)[:10]))} diverged. Use a lower learning_rate, or a "
                "dtype with a wider range."
            )
        return [experts[number] for number in range(len(edits))]

    # ---------------------------------------------------------------- neurons

    def _train_neurons(self, edits, prompts, experts: list[TrainedExpert], into: EditPack | None) -> EditPack:
        stored = torch.bfloat16 if self.config.method == "scen" else torch.float32
        tensors = {name: torch.stack([e.tensors[name] for e in experts]).to(stored) for name in experts[0].tensors}
        if self.config.method == "paper":
            shard = new_shard(list(edits), self._paper_neurons(edits, prompts, into), tensors)
            pack = self._pack_with(shard, into)
            pack.router["thresholds"] = torch.full((len(pack),), self.config.threshold)
            return pack
        settings = self.router_settings
        space, threshold, calibration = self._router(into)
        neurons = read_neurons(self._reader, self.tokenizer, space, settings, edits)
        shard = new_shard(list(edits), neurons.vectors.to(stored), tensors, neurons.subjects.to(stored))
        pack = self._pack_with(shard, into)
        earlier = torch.empty(0) if into is None else into.thresholds
        added = threshold + LEVEL_WEIGHT * neurons.levels
        pack.router.update(
            space.named_buffers(),
            thresholds=torch.cat([earlier, added]),
            subject_thresholds=torch.full((len(pack),), SUBJECT_THRESHOLD),
            base_threshold=torch.tensor([threshold]),
        )
        pack.report = {
            "base_threshold": threshold,
            "subject_threshold": SUBJECT_THRESHOLD,
            "expected": {}
            if calibration is None
            else calibration.expected(threshold) | expected_of(pack, calibration),
            "confusions": [asdict(confusion) for confusion in find_confusions(pack)],
        }
        return pack

    def _pack_with(self, shard: Shard, into: EditPack | None) -> EditPack:
        if into is not None:
            return into.extended(shard)
        return EditPack(
            self._pack_config(), [shard], {}, fingerprint(self.model), self.tokenizer, self.model.generation_config
        )

    def _router(self, into: EditPack | None) -> tuple[RouterSpace, float, RouterCalibration | None]:
        """Space and base threshold of the first gate, those of `into` if given, and what generic questions say of them."""
        if into is not None:
            return router_of(into).space, float(into.router["base_threshold"]), None
        space, calibration = load_router_space(self._reader, self.tokenizer, self.router_settings)
        return space, calibration.threshold(self.config.false_activation_rate), calibration

    def _paper_neurons(self, edits, prompts, into: EditPack | None) -> torch.Tensor:
        earlier = [] if into is None else [encode_prompt(self.tokenizer, edit.prompt) for edit in into.edits]
        features = self._reader.pooled([*earlier, *prompts], [self._paper_feature], "Neurons")
        return train_indexing_neurons(
            features.to(self.model.device),
            [_seed_of(edit) for edit in edits],
            first=len(earlier),
            steps=self.config.neuron_steps,
            learning_rate=self.config.neuron_learning_rate,
            seed=self.config.seed,
        ).cpu()

    @property
    def _paper_feature(self) -> FeatureSpec:
        return FeatureSpec("last_token", "down_proj_input", self.edit_layer)

    def _pack_config(self) -> SCENLlamaConfig:
        paper = self.config.method == "paper"
        spec = self._paper_feature
        fields = self.model.config.to_dict()
        fields.update(
            method=self.config.method,
            edit_layer=self.edit_layer,
            expert_rank=None if paper else self.config.rank,
            router={"features": [[spec.pooling, spec.site, spec.layer]]}
            if paper
            else self.router_settings.to_config(),
            question_start_ids=self._markers[0],
            question_end_ids=self._markers[1],
        )
        return SCENLlamaConfig.from_dict(fields)


@contextmanager
def frozen(model: SCENLlamaForCausalLM) -> Iterator[None]:
    """Within the block no weight of the model asks for a gradient; afterwards those do that did before."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trainable:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trainable:
            weight.requires_grad_(True)


def _seed_of(edit: Edit) -> int:
    """A number of the edit's own, from its id."""
    return int.from_bytes(edit.id.encode()[:7].ljust(7, b"\0"), "big")

"""The spaces in which prompts and subjects are compared: learned once per base model, shared by all its packs.

*What is asked.* Pooled features of several layers are whitened, concatenated and projected to `dim` dimensions. The
projection is trained on generic questions with a contrastive loss (InfoNCE, arXiv 1807.03748): two wordings of one question
about one subject belong together; other questions about that subject, and the same question about others, are the near
misses it must keep apart.

*About whom.* Token features of an early layer are whitened and projected to `token_dim` dimensions at random.

The first gate's threshold is set on generic questions whose relations the projection has not seen, to a stated rate of false
activations. All of this depends on the base model and nothing else, so it is kept in the cache folder, and packs of one base
can be merged.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn import functional

from .features import PromptReader
from .generic_questions import GenericQuestion, fact_questions
from .modeling.edit_pack_scen_llama import fingerprint
from .modeling.routing_scen_llama import FeatureSpec
from .phrasings import RELATIONS
from .prompts import encode_chat, has_chat_template


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


# Raised whenever the training below, or the questions it uses, changes what it learns.
_VERSION = 2
_GROUPS = 60
# Questions whose tokens shape the space of the subjects.
_TOKEN_QUESTIONS = 1500
_WHITENED, _SHRINKAGE = 256, 0.1
_STEPS, _GROUPS_PER_STEP, _LEARNING_RATE, _TEMPERATURE, _DROPOUT = 300, 8, 2e-3, 0.1, 0.3


@dataclass(frozen=True)
class RouterSettings:
    """What a router reads and to how many dimensions it is reduced.

    Args:
        features: Pooled features of the first gate.
        token_feature: Token feature of the second gate.
        dim: Dimensions of the neurons.
        token_dim: Dimensions of the subjects' token vectors.
        subject_tokens: How many tokens of a subject are kept.
    """

    features: tuple[FeatureSpec, ...]
    token_feature: FeatureSpec
    dim: int
    token_dim: int
    subject_tokens: int

    def to_config(self) -> dict:
        """As in `config.json`."""
        return {
            "features": [_as_list(spec) for spec in self.features],
            "token_feature": _as_list(self.token_feature),
            "dim": self.dim,
            "token_dim": self.token_dim,
            "subject_tokens": self.subject_tokens,
        }


def _as_list(spec: FeatureSpec) -> list:
    return [spec.pooling, spec.site, spec.layer]


@dataclass(frozen=True)
class RouterSpace:
    """The learned transforms; float32. A pack stores them by these names.

    Args:
        feature_mean `(num_features,)`, feature_projection `(num_features, dim)`: Of pooled features.
        token_mean `(hidden_size,)`, token_projection `(hidden_size, token_dim)`: Of token features.
    """

    feature_mean: torch.Tensor
    feature_projection: torch.Tensor
    token_mean: torch.Tensor
    token_projection: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """The transforms by name."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def question_vectors(self, pooled: torch.Tensor) -> torch.Tensor:
        """`(rows, num_features)` to unit vectors `(rows, dim)`."""
        return functional.normalize((pooled - self.feature_mean) @ self.feature_projection, dim=-1)

    def token_vectors(self, tokens: torch.Tensor) -> torch.Tensor:
        """`(tokens, hidden_size)` to unit vectors `(tokens, token_dim)`."""
        return functional.normalize((tokens.float() - self.token_mean) @ self.token_projection, dim=-1)


@dataclass(frozen=True)
class RouterCalibration:
    """How well a space tells generic questions apart whose relations it was not trained on.

    Args:
        positives: `(pairs,)`, scores of questions against other wordings of themselves, sorted.
        negatives: `(pairs,)`, scores of questions against other questions about the same subject, sorted.
    """

    positives: torch.Tensor
    negatives: torch.Tensor

    def threshold(self, false_activation_rate: float) -> float:
        """The score that this share of other questions about the same subject exceeds."""
        return float(self.negatives[round((1 - false_activation_rate) * (len(self.negatives) - 1))])

    def expected(self, threshold: float) -> dict[str, float]:
        """Shares of generic questions that pass the first gate."""
        return {
            "other_wordings": float((self.positives > threshold).float().mean()),
            "other_questions": float((self.negatives > threshold).float().mean()),
        }


def load_router_space(
    reader: PromptReader, tokenizer: PreTrainedTokenizerBase, settings: RouterSettings, seed: int = 0
) -> tuple[RouterSpace, RouterCalibration]:
    """The router space of a base model and its calibration: from the cache folder, or trained and kept there.

    Args:
        reader: Of the base model.
        tokenizer: Its tokenizer.
        settings: What to read.
        seed: Of the training.
    """
    path = _cache_path(reader, tokenizer, settings, seed)
    try:
        with safe_open(path, framework="pt") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        positives, negatives = stored.pop("positives"), stored.pop("negatives")
        return RouterSpace(**stored), RouterCalibration(positives, negatives)
    except (FileNotFoundError, SafetensorError):  # not there yet, or damaged: it can always be made again
        pass
    space, calibration = train_router_space(reader, tokenizer, settings, seed)
    _save({**space.tensors(), "positives": calibration.positives, "negatives": calibration.negatives}, path)
    return space, calibration


def _cache_path(reader: PromptReader, tokenizer, settings: RouterSettings, seed: int) -> Path:
    # Rounded, so that it does not matter in which floating point format the base is loaded.
    rounded = [samples.bfloat16().view(torch.int16) for _, samples in sorted(fingerprint(reader.model).items())]
    weights = torch.cat(rounded).numpy().tobytes()
    described = [_VERSION, _GROUPS, seed, settings.to_config(), reader.question_markers, tokenizer.chat_template]
    key = sha256(weights + json.dumps(described).encode()).hexdigest()[:24]
    return Path(constants.HF_HOME) / "scen_hf" / "routers" / f"{key}.safetensors"


def _save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(descriptor)
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, scratch)
        os.replace(scratch, path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def train_router_space(
    reader: PromptReader, tokenizer: PreTrainedTokenizerBase, settings: RouterSettings, seed: int = 0
) -> tuple[RouterSpace, RouterCalibration]:
    """Train the spaces and measure them, whatever the cache holds. Arguments as for [`load_router_space`]."""
    questions = fact_questions(_GROUPS, seed)
    prompts = [encode_question(tokenizer, question) for question in questions]
    pooled, tokens = reader.pooled_and_tokens(
        prompts, settings.features, settings.token_feature, "Router (once per base model)"
    )
    mean, whitening = _fit_blocks(pooled, len(settings.features))
    whitened = (pooled - mean) @ whitening

    # What a projection does to relations that it has not seen says what the final one, trained on all, will do to a user's.
    held_out = held_out_relations()
    unseen = torch.tensor([question.relation in held_out for question in questions])
    trial = _train_projection(whitened, _facts(questions, ~unseen), settings.dim, seed)
    positives, negatives = _scores_within_groups(whitened @ trial, questions, unseen)
    projection = _train_projection(whitened, _facts(questions, torch.ones_like(unseen)), settings.dim, seed)

    token_mean, token_projection = _fit_token_space(torch.cat(tokens[:_TOKEN_QUESTIONS]).float(), settings.token_dim)
    space = RouterSpace(mean, whitening @ projection, token_mean, token_projection)
    return space, RouterCalibration(positives, negatives)


def encode_question(tokenizer: PreTrainedTokenizerBase, question: GenericQuestion) -> list[int]:
    """Token ids of a question behind its context; without a chat template there is no place for a context."""
    if has_chat_template(tokenizer):
        return encode_chat(tokenizer, [*question.context, {"role": "user", "content": question.text}])
    return list(tokenizer(question.text)["input_ids"])


def fit_whitening(features: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The `dim` principal directions, each scaled to unit variance.

    Variances are shrunk towards their mean (Ledoit and Wolf, 2004), as the small ones are hardly known.

    Args:
        features: `(rows, size)`, float32.
        dim: Dimensions to keep; fewer if there are fewer rows or features.

    Returns:
        Mean `(size,)` and projection `(size, dim)`.
    """
    dim = min(dim, features.shape[1], len(features) - 1)
    mean = features.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((features - mean).T))
    variances, directions = variances.flip(0)[:dim], directions.flip(1)[:, :dim]
    return mean, directions * (variances + _SHRINKAGE * variances.mean()).rsqrt()


def _fit_token_space(tokens: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whitening in all directions, then a random projection, which keeps angles (Johnson and Lindenstrauss, 1984).

    The principal directions of common tokens do not tell rare names of one kind apart, such as those of two countries.
    """
    mean, whitening = fit_whitening(tokens, tokens.shape[1])
    random = torch.randn(whitening.shape[1], dim, generator=torch.Generator().manual_seed(0))
    return mean, whitening @ torch.linalg.qr(random).Q


def _fit_blocks(pooled: torch.Tensor, blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whitening of each feature by itself: mean `(num_features,)` and a block-diagonal projection."""
    fitted = [fit_whitening(part, _WHITENED) for part in pooled.chunk(blocks, dim=1)]
    return torch.cat([mean for mean, _ in fitted]), torch.block_diag(*(projection for _, projection in fitted))


def held_out_relations() -> set[str]:
    """Every fourth relation: their questions measure what was learned on the others."""
    return set(sorted({relation for kind in RELATIONS.values() for relation in kind})[::4])


def _facts(questions: Sequence[GenericQuestion], used: torch.Tensor) -> list[list[list[int]]]:
    """Per group, per subject and relation, the numbers of the questions that ask it; only those with two wordings."""
    groups: dict[int, dict[tuple[str, str], list[int]]] = {}
    for number, question in enumerate(questions):
        if used[number]:
            fact = groups.setdefault(question.group, {}).setdefault((question.subject, question.relation), [])
            fact.append(number)
    facts = [[numbers for numbers in group.values() if len(numbers) > 1] for group in groups.values()]
    return [group for group in facts if len(group) > 1]


def _train_projection(whitened: torch.Tensor, groups: list[list[list[int]]], dim: int, seed: int) -> torch.Tensor:
    """InfoNCE over the questions of a few groups at a time, `(whitened size, dim)`.

    Two wordings of each question are drawn; each must find the other one among all questions of the groups.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(whitened.shape[1], dim, generator=generator) * whitened.shape[1] ** -0.5
    projection = torch.nn.Parameter(start)
    optimizer = torch.optim.AdamW([projection], lr=_LEARNING_RATE, weight_decay=0.0)
    for _ in range(_STEPS):
        drawn = torch.randperm(len(groups), generator=generator)[:_GROUPS_PER_STEP].tolist()
        pairs = torch.tensor(
            [
                [fact[i] for i in torch.randperm(len(fact), generator=generator)[:2].tolist()]
                for number in drawn
                for fact in groups[number]
            ]
        )
        one, other = (
            functional.normalize(_dropout(whitened[column], generator) @ projection, dim=-1) for column in pairs.T
        )
        logits = one @ other.T / _TEMPERATURE
        found = torch.arange(len(pairs))
        loss = functional.cross_entropy(logits, found) + functional.cross_entropy(logits.T, found)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return projection.detach()


def _dropout(rows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    kept = torch.rand(rows.shape, generator=generator) >= _DROPOUT
    return rows * kept / (1 - _DROPOUT)


def _scores_within_groups(
    projected: torch.Tensor, questions: Sequence[GenericQuestion], used: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines of questions about one subject: of two wordings of one relation, and of two relations; both sorted."""
    vectors = functional.normalize(projected, dim=-1)
    subjects: dict[tuple[int, str], list[int]] = {}
    for number, question in enumerate(questions):
        if used[number]:
            subjects.setdefault((question.group, question.subject), []).append(number)
    positives, negatives = [], []
    for numbers in subjects.values():
        # A neuron stands for a question as one asks it out of the blue; what it meets may stand in any context.
        plain = [number for number in numbers if not questions[number].context]
        cosines = vectors[plain] @ vectors[numbers].T
        same = torch.tensor([[questions[i].relation == questions[j].relation for j in numbers] for i in plain])
        itself = torch.tensor([[i == j for j in numbers] for i in plain])
        if plain:
            positives.append(cosines[same & ~itself])
            negatives.append(cosines[~same])
    return torch.cat(positives).sort().values, torch.cat(negatives).sort().values

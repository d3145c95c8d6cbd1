"""What a pack remembers beside its edits: how they were trained, and what was measured of them.

Both are sections of the manifest, `edit_pack.json`: a training record in the entry of each shard, which goes where the shard goes,
and one evaluation record, which holds for one state of the pack. The model card is written from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from .errors import EditPackError


if TYPE_CHECKING:
    from .evaluation import EvaluationReport
    from .modeling import SCENLlamaForCausalLM
    from .trainer import SCENTrainingConfig


# Settings of which the other method knows nothing.
_ONLY_OF = {
    "scen": ("rank", "stop_loss", "false_activation_rate"),
    "paper": ("neuron_steps", "neuron_learning_rate", "threshold"),
}
_TRAINING_FIGURES = ("edits", "mean_steps", "base_threshold", "subject_threshold", "expected")


def training_record(
    config: SCENTrainingConfig, model: SCENLlamaForCausalLM, report: Mapping[str, Any]
) -> dict[str, Any]:
    """How the edits of one shard were trained, as JSON can hold it.

    Args:
        config: The settings.
        model: The base.
        report: Figures of the run, see [`SCENTrainer.train`].
    """
    foreign = [name for method, names in _ONLY_OF.items() if method != config.method for name in names]
    return {
        **{package: version(package) for package in ("scen_hf", "torch", "transformers")},
        "date": date.today().isoformat(),
        "device": model.device.type,
        "dtype": str(model.dtype).removeprefix("torch."),
        "settings": {name: value for name, value in asdict(config).items() if name not in foreign},
        **{name: report[name] for name in _TRAINING_FIGURES if name in report},
        "not_converged": len(report["not_converged"]),
    }


def evaluation_record(
    report: EvaluationReport, pack_state: str, *, edits: str | None = None, unrelated: str | None = None
) -> dict[str, Any]:
    """What was measured of a pack, as JSON can hold it: the figures, without what came of single prompts.

    Args:
        report: What was measured.
        pack_state: Of the pack that was, see [`EditPack.state`].
        edits, unrelated: Names of what the edits and the unrelated prompts are from.
    """
    figures = {name: value for name, value in report.to_dict().items() if name not in ("misses", "scores")}
    return {
        "pack_state": pack_state,
        "scen_hf": version("scen_hf"),
        "date": date.today().isoformat(),
        "measured_on": {"edits": edits, "unrelated": unrelated},
        **figures,
    }


def read_record(section: Mapping[str, Any], name: str, source: str) -> dict[str, Any] | None:
    """A record in a section of a manifest; `None` if there is none.

    Raises:
        EditPackError: If it is not an object.
    """
    record = section.get(name)
    if record is not None and not isinstance(record, dict):
        raise EditPackError(f"{source}: edit_pack.json: {name!r} must be an object, not {type(record).__name__}.")
    return record

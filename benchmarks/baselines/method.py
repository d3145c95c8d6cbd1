"""What all editing methods of the comparison have in common: they are tuned, they edit, and what they did is undone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scen_hf import Edit, SCENLlamaForCausalLM
from scen_hf.evaluation import Answerer

from .tuning import TuningSet, best_of


if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


Settings = dict[str, Any]


@dataclass(frozen=True)
class Edited:
    """A model that was edited.

    Args:
        answerer: Asks it.
        bytes: What has to be kept for all edits, beside the base model.
        trained: How training went, as JSON can hold it.
    """

    answerer: Answerer
    bytes: int
    trained: Settings


@dataclass(frozen=True)
class Tuned:
    """What a search came to.

    Args:
        settings: The best ones, for [`Method.edited`].
        tried: All that were tried, with their figures, in order.
    """

    settings: Settings
    tried: Sequence[Settings] = ()

    @classmethod
    def best_of(cls, tried: Sequence[Settings]) -> Tuned:
        """The `settings` of the best, see [`~tuning.best_of`]."""
        return cls(best_of(tried)["settings"], tried)


class Method(ABC):
    """One way to edit.

    Args:
        name: By which results and the command line know it.
        title: In tables.
        about: What it is, how it was tuned and what is special about it, in a few sentences.
        most_edits: It is run on so many edits at most, for what it costs.
        routed: Whether it decides, prompt by prompt, if an edit takes part; an oracle decides nothing.
    """

    name: str
    title: str
    about: str
    most_edits: int | None = None
    routed: bool = True

    @abstractmethod
    def tune(
        self, model: SCENLlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, few: TuningSet, many: TuningSet
    ) -> Tuned:
        """Search the best settings.

        Args:
            model, tokenizer: The base.
            few: What can be trained and asked in whole answers again and again.
            many: All edits of the tuning half, for what is decided by looking at prompts: how near a prompt must be depends
                on how many edits there are.
        """

    @contextmanager
    def edited(
        self,
        model: SCENLlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        edits: Sequence[Edit],
        settings: Settings,
    ) -> Iterator[Edited]:
        """Edit the model; at the end of the block it is the base model again."""
        # Methods that train a few weights of their own leave all others as they are here.
        model.requires_grad_(False)
        with self._edited(model, tokenizer, edits, settings) as edited:
            thaw(model)
            yield edited

    @abstractmethod
    def _edited(
        self,
        model: SCENLlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
        edits: Sequence[Edit],
        settings: Settings,
    ) -> AbstractContextManager[Edited]:
        """The same, of a model whose weights are frozen at first."""


def thaw(model: SCENLlamaForCausalLM) -> None:
    """Before a model is asked: on a CPU, the product of states and a frozen output head copies the head once per row."""
    model.requires_grad_(True)

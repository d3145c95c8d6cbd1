"""A base model that is asked the same by every method, and answers once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from scen_hf.evaluation import Answer, Answerer, Chat, Decoding, Prefill, TargetScore


class RememberedAnswerer:
    """An [`Answerer`] that keeps what another one said, by whole batches: bits depend on a batch's shape.

    Args:
        answerer: The one that is asked. It must not change.
    """

    def __init__(self, answerer: Answerer):
        self._answerer = answerer
        self._said: dict[str, Any] = {}

    @property
    def identity(self) -> str:
        """That of the one that is asked."""
        return self._answerer.identity

    @property
    def routed(self) -> bool:
        """That of the one that is asked."""
        return self._answerer.routed

    def answers(self, chats: Sequence[Chat], decoding: Decoding, targets: Sequence[str] | None = None) -> list[Answer]:
        """As [`Answerer.answers`]."""
        key = ("answers", list(chats), asdict(decoding), targets)
        return self._once(key, lambda: self._answerer.answers(chats, decoding, targets))

    def prefill(self, chats: Sequence[Chat]) -> Prefill:
        """As [`Answerer.prefill`]."""
        return self._once(("prefill", list(chats)), lambda: self._answerer.prefill(chats))

    def score(self, chats: Sequence[Chat], targets: Sequence[str]) -> list[TargetScore]:
        """As [`Answerer.score`]."""
        return self._once(("score", list(chats), list(targets)), lambda: self._answerer.score(chats, targets))

    def _once(self, asked: Any, ask: Callable[[], Any]) -> Any:
        key = json.dumps(asked)
        if key not in self._said:
            self._said[key] = ask()
        return self._said[key]

"""Timing side by side: what is compared runs in turns, within one process, and ratios are taken within each turn."""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import torch


def interleaved(
    contestants: dict[str, Callable[[], Any]], rounds: int, device: torch.device, *, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round; all run once per round, each round beginning with another one.

    Args:
        contestants: What to time, by name.
        rounds: Times that are kept of each, after `warm_up` that are not.
        device: Waited for before each reading of the clock.
    """
    names, seconds = list(contestants), {name: [] for name in contestants}
    for number in range(-warm_up, rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            took = seconds_of(contestants[name], device)
            if number >= 0:
                seconds[name].append(took)
    return seconds


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Wall-clock seconds of one call, with all that it started on the device."""
    wait_for(device)
    start = time.perf_counter()
    work()
    wait_for(device)
    return time.perf_counter() - start


def wait_for(device: torch.device) -> None:
    """Until all work that was started on it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def timed_calls(methods: dict[str, tuple[object, str]], device: torch.device) -> Iterator[dict[str, float]]:
    """Within the block, the seconds spent in some methods add up in the dictionary.

    On a GPU the work before and behind each call is waited for, so that a sum is an upper bound.

    Args:
        methods: Owner and name of each method, by the name under which its seconds are counted.
    """
    spent = dict.fromkeys(methods, 0.0)

    def timed(name: str, method: Callable) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            wait_for(device)
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                wait_for(device)
                spent[name] += time.perf_counter() - start

        return call

    with ExitStack() as stack:
        for name, (owner, attribute) in methods.items():
            stack.enter_context(mock.patch.object(owner, attribute, timed(name, getattr(owner, attribute))))
        yield spent


def compared(seconds: list[float], base: list[float]) -> dict[str, float]:
    """Median time in milliseconds, and the median and quartiles of the ratio to the base in the same round."""
    ratios = sorted(own / other for own, other in zip(seconds, base, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return {"ms": 1000 * statistics.median(seconds), "ratio": middle, "ratio_q1": low, "ratio_q3": high}


def environment(device: torch.device) -> dict[str, Any]:
    """What figures of time depend on: the command, the machine, threads and versions."""
    on_cpu = device.type == "cpu"
    return {
        # Where this machine keeps its files of edits is of no use to others.
        "command": " ".join(["python", *(Path(a).name if a.endswith(".jsonl") else a for a in sys.argv)]),
        "device": torch.cpu.get_capabilities()["cpu_name"] if on_cpu else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("torch", "transformers", "safetensors", "peft")},
    }


def goal(text: str, value: float, limit: float) -> dict[str, Any]:
    """A stated goal beside what was measured; met if the value is not above the limit."""
    return {"goal": text, "value": value, "limit": limit, "met": value <= limit}

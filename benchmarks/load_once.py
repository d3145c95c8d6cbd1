"""Load one model, and print as JSON how long it took and by how much it made this process grow. Started by `loading.py`.

python benchmarks/load_once.py KIND SOURCE DTYPE BASE
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from scen_hf import SCENLlamaForCausalLM


BASE, PACK, ADAPTERS = "base", "edits", "peft adapters"


def loader(kind: str, source: Path, dtype: torch.dtype, base: str) -> Callable[[], torch.nn.Module]:
    """What is measured, with all imports done.

    Args:
        kind: What to load.
        source: The pack, or a folder with one folder per adapter.
        dtype: Of the weights.
        base: Folder of the base model.
    """
    if kind == PACK:
        return lambda: SCENLlamaForCausalLM.from_pretrained(source, dtype=dtype)
    if kind == BASE:
        return lambda: LlamaForCausalLM.from_pretrained(base, dtype=dtype)
    from peft import PeftModel  # slow to import, and no part of the other loads

    def load_adapters() -> torch.nn.Module:
        first, *others = sorted(source.iterdir())
        model = LlamaForCausalLM.from_pretrained(base, dtype=dtype)
        model = PeftModel.from_pretrained(model, first, adapter_name=first.name)
        for folder in others:
            model.load_adapter(folder, adapter_name=folder.name)
        return model

    return load_adapters


def measure(load: Callable[[], torch.nn.Module]) -> dict[str, float]:
    """Seconds of one load, and by how many MB (10^6 bytes) it made this process grow."""
    gc.collect()
    before, start = memory(), time.perf_counter()
    model = load()
    seconds = time.perf_counter() - start
    after = memory()
    assert not next(model.parameters()).is_meta
    return {"seconds": seconds, **{f"{name}_mb": after[name] - before[name] for name in after}}


def memory() -> dict[str, float]:
    """Resident memory of this process in MB: all of it, and with what it shares counted by its share."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return {
        name: int(re.findall(rf"^{name}:\s+(\d+)", rollup, re.MULTILINE | re.IGNORECASE)[0]) * 1024 / 1e6
        for name in ("rss", "pss")
    }


if __name__ == "__main__":
    kind, source, dtype, base = sys.argv[1:]
    print(json.dumps(measure(loader(kind, Path(source), getattr(torch, dtype), base))))

"""Work in batches that shrink when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch


T = TypeVar("T")


def in_batches(work: Callable[[list[T]], None], items: Sequence[T], batch_size: int) -> None:
    """Call `work` with up to `batch_size` items at a time; on out of memory halve the size and go on.

    `work` must be repeatable: a batch that ran out of memory is given to it again, in two halves.

    Raises:
        MemoryError: If a single item does not fit.
    """
    start = 0
    while start < len(items):
        batch = list(items[start : start + batch_size])
        try:
            work(batch)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise MemoryError(
                    "Not even a batch of one fits into memory. Use a device with more memory, a smaller base or dtype, or "
                    "shorter prompts."
                ) from error
            batch_size = len(batch) // 2
        else:
            start += len(batch)
            continue
        # Outside the handler, where the failed pass's tensors are no longer held by the traceback.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU's and MPS's allocators raise plain RuntimeErrors.
    return "not enough memory" in str(error) or "out of memory" in str(error).lower()

"""What may befall one picture in the middle of a job, which goes on without it."""

from __future__ import annotations

import torch


class UnusableError(ValueError):
    """The networks give nothing usable for a picture; the message is one sentence for people."""


def is_want_of_memory(error: Exception) -> bool:
    """Whether this is the failure of an allocation, which torch raises in types of its own."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))

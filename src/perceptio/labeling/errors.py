"""What may befall one picture in the middle of a job, which goes on without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class UnusableError(ValueError):
    """The networks give nothing usable for a picture; the message is one sentence for people."""


def is_want_of_memory(error: Exception) -> bool:
    """Whether this is the failure of an allocation, which torch raises in types of its own."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


@contextmanager
def naming_want_of_memory() -> Iterator[None]:
    """Turn the failure of an allocation, of whatever type, into a MemoryError with a sentence."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_want_of_memory(error):
            raise
        raise MemoryError("the networks need more memory for it than there is") from error

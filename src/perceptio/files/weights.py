"""Files of weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reading_weights(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Name the folder where a safetensors file turns out to be damaged, which is no common kind of error.

    Raises:
        ValueError: if one is.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"the weights in {folder} are damaged or cut short ({error}): fetch them again") from error

"""Worker processes that prepare batches: they end with the run, and go on where shared memory is small.

Workers hand tensors over in shared memory. A container has 64 MB of it unless told otherwise (`--shm-size`): when that
is full, torch's worker loses the batch without a word, and the run waits for it for ever. Here the batch is copied.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor

from perceptio.processes import end_with_parent

_SHARED = Path("/dev/shm")

logger = logging.getLogger(__name__)


def start_worker(number: int = 0) -> None:
    """To be called first in each worker of a DataLoader: its `worker_init_fn`.

    Args:
        number: of the worker.
    """
    end_with_parent(number)
    ForkingPickler.register(torch.Tensor, _Sender(number))


class _Sender:
    """How a worker's tensors are sent: in shared memory, until that has been full once.

    Args:
        number: of the worker; the first tells what all will find.
    """

    def __init__(self, number: int) -> None:
        self.number, self.shares = number, True

    def __call__(self, tensor: Tensor) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        """What makes the tensor anew, as pickle asks for it."""
        if self.shares:
            try:
                tensor.share_memory_()
            except RuntimeError:  # no room
                self._stop_sharing()
        if self.shares:
            reduced: tuple[Callable[..., Tensor], tuple[Any, ...]] = reduce_tensor(tensor)
            return reduced
        return _rebuild, (tensor.contiguous().reshape(-1).view(torch.uint8).numpy(), tensor.dtype, tensor.shape)

    def _stop_sharing(self) -> None:
        self.shares = False
        for path in _SHARED.glob(f"torch_{os.getpid()}_*"):  # what torch could not finish, and leaves there
            path.unlink(missing_ok=True)
        if self.number == 0:
            logger.warning("shared memory (%s) is full: batches are copied, which is slower: see --shm-size", _SHARED)


def _rebuild(content: np.ndarray, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(content).view(dtype).reshape(shape)

"""Worker processes that prepare batches: they end with the run, and go on where shared memory is small.

Workers hand tensors over in shared memory. A container has 64 MB of it unless told otherwise (`--shm-size`): when that
is full, torch's worker loses the batch without a word, and the run waits for it for ever. Here the batch is copied.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import get_worker_info

from perceptio.processes import end_with_parent

_Rebuilt = tuple[Callable[..., Tensor], tuple[Any, ...]]
_told = False  # in this worker

logger = logging.getLogger(__name__)


def start_worker(number: int = 0) -> None:
    """To be called first in each worker of a DataLoader: its `worker_init_fn`.

    Args:
        number: of the worker.
    """
    end_with_parent(number)
    ForkingPickler.register(torch.Tensor, _reduce)


def _reduce(tensor: Tensor) -> _Rebuilt:
    """How a tensor is sent: in shared memory if there is room."""
    try:
        tensor.share_memory_()
    except RuntimeError:  # no room
        _tell()
        return _rebuild, (tensor.contiguous().reshape(-1).view(torch.uint8).numpy(), tensor.dtype, tensor.shape)
    reduced: _Rebuilt = reduce_tensor(tensor)
    return reduced


def _rebuild(content: np.ndarray, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(content).view(dtype).reshape(shape)


def _tell() -> None:
    global _told
    worker = get_worker_info()
    if not _told and worker is not None and worker.id == 0:  # the others have the same to say
        logger.warning("shared memory (/dev/shm) is full: batches are copied, which is slower; Docker has --shm-size")
    _told = True

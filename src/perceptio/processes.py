"""Worker processes end with the one that started them, and compute with threads of their own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from functools import cache
from multiprocessing.connection import wait


def end_with_parent(worker: int = 0) -> None:
    """End this worker process at once when its parent is gone, however that ended; to be called first in it.

    Args:
        worker: its number, which a DataLoader gives to its `worker_init_fn`; not used.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def check_workers(workers: int) -> None:
    """Refuse worker processes where the system lets them share no locks: where /dev/shm is closed or missing.

    Args:
        workers: wanted; none are never refused.

    Raises:
        OSError: if they could not be started.
    """
    try:
        _ = multiprocessing.Lock() if workers else None
    except OSError as error:
        raise OSError(f"{workers} workers cannot share locks here (/dev/shm: {error.strerror}): ask for 0") from error


@cache
def survive_forks() -> None:
    """Let processes that are forked from this one, by whomever, use torch too: each computes on one thread.

    A fork has none of its parent's threads. torch would hand them work, and wait for it for ever.
    """
    os.register_at_fork(after_in_child=_compute_alone)


def _compute_alone() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # no cleaning up: whoever shared our work is gone, and unfinished files are swept at the next start

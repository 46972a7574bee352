"""Worker processes end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent(worker: int = 0) -> None:
    """End this worker process at once when its parent is gone, however that ended; to be called first in it.

    Args:
        worker: its number, which a DataLoader gives to its `worker_init_fn`; not used.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)  # no cleaning up: whoever shared our work is gone, and unfinished files are swept at the next start

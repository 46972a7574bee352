"""Several workers on one machine, a process each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from perceptio.labeling.work import Work, Worker
from perceptio.processes import end_with_parent

_PATIENCE = 5.0  # s that workers have to put their things away


class WorkerError(ValueError):
    """A worker process has gone without a word; the message is one sentence for people."""


def run_processes(work: Work[Any, Any], shards: Sequence[int], count: int, on_shard: Callable[[], object]) -> None:
    """Run `count` workers over the same shards and wait for all of them.

    A worker that fails does not stop the others, which take over its shards.

    Args:
        work: to do.
        shards: that are not finished.
        count: processes.
        on_shard: called after each shard that was made.

    Raises:
        WorkerError: if a process was killed and shards are left.
        Exception: what made a worker fail.
    """
    context = multiprocessing.get_context("spawn")  # neither CUDA nor torch's threads survive a fork
    threads = max(1, (os.cpu_count() or 1) // count)
    receivers: list[Connection] = []
    processes = []
    try:
        for _ in range(min(count, len(shards))):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(work, list(shards), threads, sender), daemon=True)
            process.start()
            sender.close()
            receivers.append(receiver)
            processes.append(process)
        failure = _listen(receivers, on_shard)
    finally:
        for process in processes:
            if process.is_alive():  # mostly where we were interrupted: what is finished stays
                process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in processes:
            process.join(max(0, deadline - time.monotonic()))
            process.kill()  # in the middle of a batch it hears nothing
            process.join()
    if failure is not None:
        raise failure
    codes = sorted({process.exitcode for process in processes if process.exitcode})
    if codes and not all(work.finished(shard) for shard in shards):
        raise WorkerError(
            f"a worker process was killed (exit code {codes[0]}), often for want of memory: "
            "run the same command again, with fewer workers or smaller batches"
        )


def _listen(receivers: Sequence[Connection], on_shard: Callable[[], object]) -> Exception | None:
    """Hear all workers out: None after each shard, an exception at a failure; returns the first exception."""
    failure: Exception | None = None
    open_ones = list(receivers)
    while open_ones:
        for receiver in wait(open_ones):
            assert isinstance(receiver, Connection)
            try:
                message = receiver.recv()
            except EOFError:
                open_ones.remove(receiver)
                continue
            if message is None:
                on_shard()
            else:
                failure = failure or message
    return failure


def _run(work: Work[Any, Any], shards: list[int], threads: int, sender: Connection) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends us
    signal.signal(signal.SIGTERM, _leave)
    torch.set_num_threads(threads)
    disable_progress_bar()  # of loading weights: several would be drawn over each other
    try:
        Worker(work).run(shards, lambda: sender.send(None))
    except Exception as error:
        sender.send(error)
    finally:
        sender.close()


def _leave(number: int, frame: FrameType | None) -> None:
    """End on the parent's word, and leave neither lock nor half a file."""
    sys.exit(128 + number)

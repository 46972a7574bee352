"""The processes that render: each draws whole shards, and ends with the process that started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from perceptio.files import OutputError
from perceptio.processes import end_with_parent
from perceptio.scenes.artist import Artist, Subject
from perceptio.scenes.rendering.context import RendererError
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.shards import SHARD_SIZE, write_shard

_subject, _size = Subject(), 224  # what this worker process draws, and the side of its pictures
_stop: Event | None = None  # set when it should put its pencil down


class _StoppedError(Exception):
    """The job has ended before the shard."""


@contextmanager
def render_pool(subject: Subject, size: int, workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool for `driver_name` and `render_shard`; whatever ends the block ends shards in progress, after one scene.

    Args:
        subject: what to draw.
        size: side of the pictures, px.
        workers: processes.

    Raises:
        RendererError: where OpenGL is missing, or if a process was killed.
        OutputError: if scenes cannot be written.
    """
    context = multiprocessing.get_context("spawn")  # neither an OpenGL context nor torch's threads survive a fork
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(subject, size, stop))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RendererError(
            "a rendering process was killed, often for want of memory: run the same command again, with fewer workers"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def driver_name() -> str:
    """The name of the OpenGL driver that this worker process draws with."""
    return _artist().driver


def render_shard(folder: Path, shard: int, length: int) -> None:
    """Draw and write one shard in this worker process."""
    try:
        write_shard(folder, shard, length, _size, _draw(shard * SHARD_SIZE, length))
    except (OutputError, RendererError):
        raise
    except OSError as error:
        raise OutputError(f"cannot write scenes to {folder}: {error.strerror or error}") from error


def _draw(first: int, length: int) -> Iterator[tuple[Any, RenderedScene]]:
    artist = _artist()
    for seed in range(first, first + length):
        if _stop is not None and _stop.is_set():
            raise _StoppedError
        yield artist.draw(seed)


def _start_worker(subject: Subject, size: int, stop: Event) -> None:
    global _subject, _size, _stop
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which sets `stop`
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software rasteriser: one thread a process
    _subject, _size, _stop = subject, size, stop


@cache
def _artist() -> Artist:
    """The artist of this worker process; made by a task, as errors of an initializer never reach the parent."""
    return Artist(_subject, _size)

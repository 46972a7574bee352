"""Render a split in parallel; what is finished stays finished, whatever stops the job."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tqdm import tqdm

from perceptio.files import OutputError, replacing
from perceptio.scenes.layout import sample_scene
from perceptio.scenes.renderer import Renderer, RendererError
from perceptio.scenes.storage import (
    GENERATOR_VERSION,
    META_FILE,
    SHARD_SIZE,
    SceneStore,
    SceneStoreError,
    SplitMeta,
    content_hash,
    finished_shards,
    shard_folder,
    write_shard,
)
from perceptio.scenes.world import SPLITS

TEST_SPLITS = {"test": 500, "test-compositional": 300, "test-shift": 300}  # scenes of each
_PLAN_FILE = "plan.json"  # what a job in progress renders: a second one with other settings must not mix in

_size = 224  # of the pictures that this worker process draws


def render_split(
    folder: str | Path, split: str, count: int, *, size: int = 224, workers: int | None = None, progress: bool = True
) -> SceneStore:
    """Render scenes 0..count-1 of a split into a folder, or finish what an earlier call began.

    Args:
        folder: made if missing.
        split: one of `SPLITS`.
        count: scenes.
        size: side of the pictures, px.
        workers: processes; one a core by default.
        progress: show a progress bar.

    Raises:
        ValueError: for an unknown split, a size that cannot be, or fewer than one scene or worker.
        SceneStoreError: if the folder holds scenes of other settings, or more of them: they are not thrown away.
        OutputError: if the folder cannot be written.
        RendererError: where OpenGL is missing.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if count < 1:
        raise ValueError(f"the number of scenes must be at least 1, not {count}")
    if not 16 <= size <= 4096:  # the renderer says so too, but in processes of its own
        raise ValueError(f"the size must be between 16 and 4096 pixels, not {size}")
    workers = os.cpu_count() or 1 if workers is None else workers
    if workers < 1:
        raise ValueError(f"the number of workers must be at least 1, not {workers}")
    folder = Path(folder)
    _claim(folder, {"split": split, "size": size, "generator_version": GENERATOR_VERSION})
    with suppress(SceneStoreError):  # unfinished, damaged or a shard is gone: what is missing is rendered again
        store = SceneStore(folder)
        if store.meta.count == count:
            return store
    shards = range(-(-count // SHARD_SIZE))
    done = _full_shards(folder, count)
    (folder / META_FILE).unlink(missing_ok=True)
    todo = [shard for shard in shards if shard not in done]
    driver = _render_shards(folder, split, count, size, todo, workers, progress)
    meta = SplitMeta(split, count, size, GENERATOR_VERSION, driver, content_hash(folder))
    with replacing(folder / META_FILE) as path:
        path.write_text(json.dumps(asdict(meta), indent=2) + "\n")
    return SceneStore(folder)


def render_test_splits(folder: str | Path, *, size: int = 224, workers: int | None = None) -> dict[str, SceneStore]:
    """Render the three test splits into `folder/<split>`."""
    return {
        split: render_split(Path(folder) / split, split, count, size=size, workers=workers)
        for split, count in TEST_SPLITS.items()
    }


def _render_shards(
    folder: Path, split: str, count: int, size: int, todo: list[int], workers: int, progress: bool
) -> str:
    """Render the shards that are left; returns the name of the OpenGL driver."""
    context = multiprocessing.get_context("spawn")  # an OpenGL context does not survive a fork
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(size,))
    bar = tqdm(total=count, desc=f"rendering {split}", unit="scene", disable=None if progress else True)
    bar.update(count - sum(_shard_length(shard, count) for shard in todo))
    try:
        driver = pool.submit(_driver).result()  # before the queue is full, or the bar would stand still
        futures = {
            pool.submit(_render_shard, folder, split, shard, _shard_length(shard, count)): shard for shard in todo
        }
        for future in as_completed(futures):
            future.result()
            bar.update(_shard_length(futures[future], count))
    except RendererError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write scenes to {folder}: {error.strerror or error}") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.close()
    return driver


def _shard_length(shard: int, count: int) -> int:
    return min(SHARD_SIZE, count - shard * SHARD_SIZE)


def _full_shards(folder: Path, count: int) -> set[int]:
    """Shards that need not be rendered again; a last one that a smaller job left short is removed, to be drawn in full.

    Raises:
        SceneStoreError: if there are scenes beyond the count.
    """
    lengths = {}
    for shard in finished_shards(folder):
        with (shard_folder(folder, shard) / "scenes.jsonl").open() as lines:
            lengths[shard] = sum(1 for _ in lines)
    held = max((shard * SHARD_SIZE + length for shard, length in lengths.items()), default=0)
    if held > count:
        raise SceneStoreError(
            f"{folder} holds scenes up to number {held - 1}, more than the {count} asked for: "
            "choose another folder, or ask for as many"
        )
    full = {shard for shard, length in lengths.items() if length == _shard_length(shard, count)}
    for shard in lengths.keys() - full:
        shutil.rmtree(shard_folder(folder, shard))
    return full


def _claim(folder: Path, plan: dict[str, object]) -> None:
    """Note what this folder is for, or check that it is for the same."""
    path = folder / _PLAN_FILE
    if path.is_file():
        try:
            earlier = json.loads(path.read_text())
        except ValueError as error:
            raise SceneStoreError(f"{path} is damaged ({error}): choose another folder, or empty this one") from error
        if earlier != plan:
            raise SceneStoreError(f"{folder} holds scenes rendered with {earlier}, not {plan}: choose another folder")
        return
    with replacing(path) as beside:
        beside.write_text(json.dumps(plan, indent=2) + "\n")


def _start_worker(size: int) -> None:
    global _size
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which lets shards in progress finish
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software rasteriser: one thread a process
    _size = size


@cache
def _renderer() -> Renderer:
    """The renderer of this worker process; made by a task, as errors of an initializer never reach the parent."""
    return Renderer(_size)


def _driver() -> str:
    return _renderer().driver


def _render_shard(folder: Path, split: str, shard: int, length: int) -> None:
    renderer = _renderer()
    scenes = [sample_scene(shard * SHARD_SIZE + row, split) for row in range(length)]
    write_shard(folder, shard, [(scene, renderer.render(scene)) for scene in scenes])

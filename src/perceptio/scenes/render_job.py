"""Render a split in parallel; what is finished stays finished, whatever stops the job."""

from __future__ import annotations

import json
import logging
import os
import shutil
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from perceptio.files import OutputError, claim, locked, refuse_foreign, replacing
from perceptio.scenes.artist import Subject
from perceptio.scenes.render_workers import driver_name, render_pool, render_shard
from perceptio.scenes.rendering.context import SIZES
from perceptio.scenes.shards import (
    MOST_SHARDS,
    PIXEL_BYTES,
    SHARD_SIZE,
    SceneStoreError,
    check_shard,
    content_hash,
    finished_shards,
    scenes_in,
    shard_length,
    verify_shard,
)
from perceptio.scenes.storage import META_FILE, SceneStore, SplitMeta
from perceptio.scenes.worlds import PHOTOGRAPHIC, PLACES, TABLETOP

_PLAN_FILE = "plan.json"  # what a job in progress renders: a second one with other settings must not mix in
_MOST_WORKERS = 1024

STORES = (f"*/{META_FILE}", f"*/{_PLAN_FILE}")  # in a folder of splits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    """What is rendered, and where."""

    folder: Path
    subject: Subject
    count: int  # scenes
    size: int  # px
    pack: str | None  # content hash

    @property
    def plan(self) -> dict[str, Any]:
        """What all scenes of a folder have in common."""
        plan = {"split": self.subject.split, "size": self.size, "generator_version": self.subject.of.version}
        return plan if self.subject.world == TABLETOP.name else plan | {"world": self.subject.world, "pack": self.pack}

    def meta(self, driver: str, hashed: str) -> SplitMeta:
        """The note on a finished folder."""
        subject = self.subject
        return SplitMeta(
            subject.split, self.count, self.size, subject.of.version, driver, hashed, subject.world, self.pack
        )


def render_split(
    folder: str | Path,
    split: str,
    count: int,
    *,
    world: str = TABLETOP.name,
    pack: str | Path | None = None,
    size: int = 224,
    workers: int | None = None,
    progress: bool = True,
) -> SceneStore:
    """Render scenes 0..count-1 of a split into a folder, or finish what an earlier call began.

    Shards whose files are damaged are rendered again.

    Args:
        folder: made if missing.
        split: one of the world's.
        count: scenes.
        world: one of `WORLDS`.
        pack: folder of models and surfaces, for worlds that are drawn with one.
        size: side of the pictures, px.
        workers: processes; one a core by default.
        progress: show a progress bar.

    Raises:
        ValueError: for an unknown world or split, a pack that is missing, damaged or not needed, or a count, size or
            number of workers that cannot be.
        SceneStoreError: if the folder holds scenes of other settings, or more of them: they are not thrown away.
        OutputError: if the folder holds somebody else's files, cannot be written, or another process renders into it.
        RendererError: where OpenGL is missing, or a worker was killed.
    """
    subject = Subject(world, split, None if pack is None else Path(pack))
    workers = os.cpu_count() or 1 if workers is None else workers
    _check_number("count", count, range(1, MOST_SHARDS * SHARD_SIZE + 1))
    _check_number("size", size, SIZES)
    _check_number("workers", workers, range(1, _MOST_WORKERS + 1))
    job = _Job(Path(folder), subject, count, size, _pack_hash(subject))
    if (job.folder / _PLAN_FILE).is_file():
        _claim(job)
    store = _finished(job)
    if store is not None:
        return store
    refuse_foreign(job.folder, META_FILE, _PLAN_FILE, "shard-*")
    _check_space(job)
    with locked(job.folder):
        _claim(job)
        store = _finished(job)  # by another process, until a moment ago
        if store is not None:
            return store
        done = _sound_shards(job)
        (job.folder / META_FILE).unlink(missing_ok=True)
        todo = [shard for shard in range(-(-count // SHARD_SIZE)) if shard not in done]
        driver = _render_shards(job, todo, workers, progress)
        meta = job.meta(driver, content_hash(job.folder))
        with replacing(job.folder / META_FILE) as path:
            path.write_text(json.dumps(asdict(meta), indent=2) + "\n", encoding="utf-8")
    return SceneStore(job.folder)


def render_below(
    folder: str | Path,
    split: str,
    count: int,
    *,
    world: str = TABLETOP.name,
    pack: str | Path | None = None,
    size: int = 224,
    workers: int | None = None,
) -> SceneStore:
    """As `render_split`, into `folder/<split>`, beside other splits.

    Raises:
        OutputError: also if the folder itself holds somebody else's files.
    """
    refuse_foreign(folder, *STORES)
    return render_split(Path(folder) / split, split, count, world=world, pack=pack, size=size, workers=workers)


def render_test_splits(
    folder: str | Path, *, pack: str | Path | None = None, size: int = 224, workers: int | None = None
) -> dict[str, SceneStore]:
    """Render the test splits; errors as of `render_below`.

    Args:
        folder: the table-top's splits go into `folder/<split>`.
        pack: of models and surfaces: with it, the other worlds are rendered too, into `folder/<world>/<split>`.
        size: side of the pictures, px.
        workers: processes; one a core by default.

    Returns:
        The scenes by their place below the folder.
    """
    stores = {
        split: render_below(folder, split, count, size=size, workers=workers) for split, count in TABLETOP.tests.items()
    }
    for world in (PHOTOGRAPHIC, PLACES) if pack is not None else ():
        place = Path(folder) / world.name
        for split, count in world.tests.items():
            stores[f"{world.name}/{split}"] = render_below(
                place, split, count, world=world.name, pack=pack, size=size, workers=workers
            )
    return stores


def _pack_hash(subject: Subject) -> str | None:
    if subject.pack is None:
        return None
    from perceptio.scenes.assets.pack import Pack

    return Pack(subject.pack).content_hash


def _check_number(name: str, value: int, allowed: range) -> None:
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}")
    if value not in allowed:
        raise ValueError(f"{name} must be between {allowed[0]} and {allowed[-1]:,}, not {value:,}")


def _finished(job: _Job) -> SceneStore | None:
    """The store, if all of it is there, as its note says: nothing is written then."""
    with suppress(SceneStoreError):  # unfinished, damaged or a shard is gone: what is missing is rendered again
        store = SceneStore(job.folder)
        there, hashed = store.meta, store.meta.content_hash
        if there == job.meta(there.driver, hashed) and content_hash(job.folder) == hashed:
            return store
    return None


def _claim(job: _Job) -> None:
    """Note what this folder is for, or check that it is for the same."""
    path = job.folder / _PLAN_FILE
    if not path.is_file() and finished_shards(job.folder):
        raise SceneStoreError(
            f"{job.folder} holds scenes, and no {_PLAN_FILE} that says of what: choose another folder"
        )
    try:
        changed = claim(path, job.plan)
    except ValueError as error:
        raise SceneStoreError(f"{error}: choose another folder, or empty this one") from error
    if changed:
        named = ", ".join(f"{name} {earlier!r}, not {now!r}" for name, (earlier, now) in changed.items())
        raise SceneStoreError(f"{job.folder} holds scenes rendered with {named}: choose another folder")


def _sound_shards(job: _Job) -> set[int]:
    """Shards that need not be rendered again: those that are whole, to the last byte.

    Raises:
        SceneStoreError: if there are scenes beyond the count.
    """
    lengths = {shard: scenes_in(job.folder, shard) for shard in finished_shards(job.folder)}
    held = max((shard * SHARD_SIZE + max(length, 1) for shard, length in lengths.items()), default=0)
    if held > job.count:
        raise SceneStoreError(
            f"{job.folder} holds scenes up to number {held - 1}, more than the {job.count} asked for: "
            "choose another folder, or ask for as many"
        )
    sound = set()
    for shard, length in lengths.items():
        try:
            if not _is_short(job, shard, length):
                check_shard(job.folder, shard, shard_length(shard, job.count), job.size)
                verify_shard(job.folder, shard)
                sound.add(shard)
        except SceneStoreError as error:
            logger.warning("%s; these scenes are rendered again", error)
    return sound


def _is_short(job: _Job, shard: int, length: int) -> bool:
    """Whether a shard holds fewer scenes than it should and is sound otherwise, as the last one of a smaller job."""
    if length < shard_length(shard, job.count):
        with suppress(SceneStoreError):
            check_shard(job.folder, shard, length, job.size)
            return True
    return False


def _check_space(job: _Job) -> None:
    """Refuse more scenes than the disk has room for, before anything is written."""
    scenes = job.count - SHARD_SIZE * len(finished_shards(job.folder))
    place = job.folder
    while not place.exists():
        place = place.parent
    need, disk = scenes * job.size**2 * PIXEL_BYTES, shutil.disk_usage(place)
    if disk.total and need > disk.free:  # some file systems tell nothing
        raise OutputError(
            f"{scenes} scenes of {job.size} pixels need {need / 1e9:,.1f} GB, but {job.folder} has room for "
            f"{disk.free / 1e9:,.1f}: choose another disk, or fewer scenes"
        )


def _render_shards(job: _Job, todo: list[int], workers: int, progress: bool) -> str:
    """Render the shards that are left; returns the name of the OpenGL driver."""
    bar = tqdm(total=job.count, desc=f"rendering {job.subject.split}", unit="scene", disable=None if progress else True)
    bar.update(job.count - sum(shard_length(shard, job.count) for shard in todo))
    with bar, render_pool(job.subject, job.size, min(workers, max(len(todo), 1))) as pool:
        driver = pool.submit(driver_name).result()  # before the queue is full, or the bar would stand still
        futures = {
            pool.submit(render_shard, job.folder, shard, shard_length(shard, job.count)): shard for shard in todo
        }
        for future in as_completed(futures):
            future.result()
            bar.update(shard_length(futures[future], job.count))
    return driver

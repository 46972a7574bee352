"""Run some work over all its shards: in this process, in several, or on a Ray cluster.

The sorted list of pictures is cut into shards of equal length, whatever the number of workers. A shard is the same
bytes, whoever makes it: a job may be stopped, killed, continued and shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from perceptio.files import check_writable_folder
from perceptio.labeling import limits
from perceptio.labeling.folders import Links
from perceptio.labeling.limits import check_number
from perceptio.labeling.pictures import Found
from perceptio.labeling.processes import run_processes
from perceptio.labeling.reports import BadPicture, read_report
from perceptio.labeling.resuming import is_up_to_date, reopen
from perceptio.labeling.work import Work, Worker


@dataclass(frozen=True)
class LabelWorkers:
    """Who works, and how much of it; nothing here changes a result."""

    count: int = 1  # processes of this machine; actors of the cluster
    part: tuple[int, int] = (1, 1)  # (i, n): only every n-th shard, from the i-th on
    ray: str | None = (
        None  # address of a Ray cluster: "auto" for the one this machine belongs to, "local" for a new one
    )

    def __post_init__(self) -> None:
        number, of = self.part
        check_number("the number of workers", self.count, limits.WORKERS)
        check_number("the number of parts", of, limits.PARTS)
        if not 1 <= number <= of:
            raise ValueError(f"the shard must be one of 1/{of} to {of}/{of}, not {number}/{of}")


@dataclass(frozen=True)
class LabelReport:
    """The state of a folder of labels or maps."""

    shards: int
    finished: int  # shards
    labelled: int  # pictures
    again: int  # shards that were finished, and are made anew: their prompts, or bad pictures, have changed
    bad: tuple[BadPicture, ...]  # pictures without a result
    others: Counter[str]  # files of the sources that are no pictures by their names, by suffix
    links: Links  # to folders, in the sources
    licence: str  # of the results


def run_work(
    work: Work[Any, Any], found: Found, workers: LabelWorkers, licence: str, *, progress: bool = True
) -> LabelReport:
    """Make all shards, or what earlier or other workers have left.

    Args:
        work: on the pictures that were found.
        found: in the sources.
        workers: who works.
        licence: of the results.
        progress: show a progress bar.

    Raises:
        ValueError: if a network cannot be loaded.
        OutputError: if the folder cannot be written.
        WorkerError: if a process was killed.
    """
    number, of = workers.part
    mine = range(number - 1, work.shards, of)
    again = sum(reopen(work, shard) for shard in mine if work.finished(shard))
    todo = [shard for shard in mine if not work.finished(shard)]
    if todo:
        check_writable_folder(work.folder)
        bar = tqdm(total=len(mine), initial=len(mine) - len(todo), unit="shard", disable=None if progress else True)
        with bar:
            _run(work, todo, workers, bar.update)
    for shard in mine:
        if work.finished(shard):  # of a worker that was killed between its last two steps
            work.files_of(shard).lock.unlink(missing_ok=True)
    reports = [read_report(work.files_of(shard)) for shard in range(work.shards) if is_up_to_date(work, shard)]
    return LabelReport(
        shards=work.shards,
        finished=len(reports),
        labelled=sum(report.labelled for report in reports),
        again=again,
        bad=tuple(each for report in reports for each in report.bad),
        others=found.others,
        links=found.links,
        licence=licence,
    )


def _run(work: Work[Any, Any], todo: list[int], workers: LabelWorkers, on_shard: Callable[[], object]) -> None:
    if workers.ray is not None:
        from perceptio.labeling.cluster import run_on_ray

        run_on_ray(work, todo, workers.count, workers.ray, on_shard)
    elif workers.count == 1:
        Worker(work).run(todo, on_shard)
    else:
        run_processes(work, todo, workers.count, on_shard)

"""Label folders and tar shards of pictures: `perceptio label`.

The sorted list of pictures is cut into shards of equal length, whatever the number of workers. A shard's labels are the
same bytes, whoever makes them: a job may be stopped, killed, continued and shared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import check_writable_folder, replacing_folder
from perceptio.labeling import limits
from perceptio.labeling.folders import Links
from perceptio.labeling.labeler import LabelerFiles
from perceptio.labeling.limits import check_number
from perceptio.labeling.networks import Network, tokenizer_hash
from perceptio.labeling.pictures import Found, find_pictures
from perceptio.labeling.processes import run_processes
from perceptio.labeling.prompts import read_prompts
from perceptio.labeling.resuming import is_up_to_date, reopen
from perceptio.labeling.settings import SETTINGS_FILE, LabelSettings, claim, list_hash
from perceptio.labeling.shards import BadPicture, read_report
from perceptio.labeling.work import LabelWork, Worker, lock_file
from perceptio.model.loading import find_device

TOKENIZER_FOLDER = "tokenizer"  # in the folder of labels: what decodes them


@dataclass(frozen=True)
class LabelPlan:
    """What to label with."""

    teacher: Network  # Depth Anything V2
    tokenizer: DepthTokenizer
    segmenter: Network | None = None  # SAM 2
    prompts: Path | None = None  # JSON lines of boxes and points, for the SAM 2
    shard_size: int = 1000  # pictures
    batch_size: int = 8  # pictures read by the networks at once
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_number("shard_size", self.shard_size, limits.SHARD_SIZE)
        check_number("batch_size", self.batch_size, limits.BATCH_SIZE)
        if (self.segmenter is None) != (self.prompts is None):
            raise ValueError("masks need both a SAM 2 and a file with boxes or points: give both, or neither")


@dataclass(frozen=True)
class LabelWorkers:
    """Who labels, and how much of it; nothing here changes a label."""

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
    """The state of a folder of labels."""

    shards: int
    finished: int  # shards
    labelled: int  # pictures
    again: int  # shards that were finished, and are made anew: their prompts, or bad pictures, have changed
    bad: tuple[BadPicture, ...]  # pictures that could not be labelled
    others: Counter[str]  # files of the sources that are no pictures by their names, by suffix
    links: Links  # to folders, in the sources
    licence: str  # of the labels


def label(
    sources: Sequence[Path],
    folder: Path,
    plan: LabelPlan,
    workers: LabelWorkers | None = None,
    *,
    progress: bool = True,
) -> LabelReport:
    """Label all pictures of some folders and tar files, or what earlier or other workers have left.

    Shards are made anew if prompts of their pictures have changed, or pictures that could not be labelled then.

    Args:
        sources: folders and uncompressed tar files.
        folder: of the labels; made if missing.
        plan: what to label with.
        workers: one by default.
        progress: show a progress bar.

    Raises:
        DataError: if sources or prompts cannot be used, or the folder holds labels of other settings.
        ValueError: if a network cannot be loaded, or there is no such device.
        OutputError: if the folder cannot be written.
        WorkerError: if a process was killed.
    """
    import pyarrow  # noqa: F401  # where it is missing, say so before the first shard is labelled, not after

    workers = workers or LabelWorkers()
    if not (folder / SETTINGS_FILE).is_file():
        check_writable_folder(folder)
    if workers.ray is None:  # the machines of a cluster may have other devices
        find_device(plan.device)
    found = find_pictures(sources)
    prompts = {} if plan.prompts is None else read_prompts(plan.prompts, found.pictures)
    settings = LabelSettings(
        pictures=list_hash(found.pictures),
        shard_size=plan.shard_size,
        teacher=plan.teacher.identity(),
        tokenizer=tokenizer_hash(plan.tokenizer),
        segmenter=None if plan.segmenter is None else plan.segmenter.identity(),
    )
    claim(folder, settings)
    _keep_tokenizer(plan.tokenizer, folder / TOKENIZER_FOLDER)
    files = LabelerFiles(
        teacher=plan.teacher.folder.absolute(),
        tokenizer=(folder / TOKENIZER_FOLDER).absolute(),
        segmenter=None if plan.segmenter is None else plan.segmenter.folder.absolute(),
        device=plan.device,
    )
    work = LabelWork(folder.absolute(), found.pictures, prompts, settings, files, _licence(plan), plan.batch_size)
    number, of = workers.part
    mine = range(number - 1, work.shards, of)
    again = sum(reopen(work, shard) for shard in mine if work.finished(shard))
    todo = [shard for shard in mine if not work.finished(shard)]
    if todo:
        check_writable_folder(folder)
        bar = tqdm(total=len(mine), initial=len(mine) - len(todo), unit="shard", disable=None if progress else True)
        with bar:
            _run(work, todo, workers, bar.update)
    for shard in mine:
        if work.finished(shard):  # of a worker that was killed between its last two steps
            lock_file(folder, shard).unlink(missing_ok=True)
    return _report(work, found, again)


def _run(work: LabelWork, todo: list[int], workers: LabelWorkers, on_shard: Callable[[], object]) -> None:
    if workers.ray is not None:
        from perceptio.labeling.cluster import run_on_ray

        run_on_ray(work, todo, workers.count, workers.ray, on_shard)
    elif workers.count == 1:
        Worker(work).run(todo, on_shard)
    else:
        run_processes(work, todo, workers.count, on_shard)


def _keep_tokenizer(tokenizer: DepthTokenizer, folder: Path) -> None:
    """Write it whole: workers that begin at the same time write the same."""
    if not all((folder / name).is_file() for name in ("config.json", "model.safetensors")):
        with replacing_folder(folder) as beside:
            tokenizer.save_pretrained(beside)


def _licence(plan: LabelPlan) -> str:
    masks = "" if plan.segmenter is None else f"; masks: {plan.segmenter.licence}"
    return f"depth codes: {plan.teacher.licence}{masks}"


def _report(work: LabelWork, found: Found, again: int) -> LabelReport:
    reports = [read_report(work.folder, shard) for shard in range(work.shards) if is_up_to_date(work, shard)]
    return LabelReport(
        shards=work.shards,
        finished=len(reports),
        labelled=sum(report.labelled for report in reports),
        again=again,
        bad=tuple(each for report in reports for each in report.bad),
        others=found.others,
        links=found.links,
        licence=work.licence,
    )

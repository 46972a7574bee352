"""Label folders and tar shards of pictures: `perceptio label`.

The sorted list of pictures is cut into shards of equal length, whatever the number of workers. A shard's labels are the
same bytes, whoever makes them: a job may be stopped, killed, continued and shared.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import write_files
from perceptio.labeling.labeler import LabelerFiles
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.networks import Network, tokenizer_hash
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.processes import run_processes
from perceptio.labeling.prompts import read_prompts
from perceptio.labeling.settings import LabelSettings, claim, list_hash
from perceptio.labeling.shards import BadPicture, read_bad, report_file, shard_file
from perceptio.labeling.work import LabelWork, Worker, lock_file, read_checked

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
        for name in ("shard_size", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
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
        if self.count < 1:
            raise ValueError(f"the number of workers must be at least 1, not {self.count}")
        if not 1 <= number <= of:
            raise ValueError(f"the shard must be one of 1/{of} to {of}/{of}, not {number}/{of}")


@dataclass(frozen=True)
class LabelReport:
    """The state of a folder of labels."""

    shards: int
    finished: int  # shards
    labelled: int  # pictures
    bad: tuple[BadPicture, ...]  # pictures that could not be labelled
    others: Counter[str]  # files of the sources that are no pictures by their names, by suffix
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

    Shards with pictures that could not be read and now can are labelled again.

    Args:
        sources: folders and uncompressed tar files.
        folder: of the labels; made if missing.
        plan: what to label with.
        workers: one by default.
        progress: show a progress bar.

    Raises:
        DataError: if sources or prompts cannot be used, or the folder holds labels of other settings.
        ValueError: if a network cannot be loaded.
        OutputError: if the folder cannot be written.
        WorkerError: if a process was killed.
    """
    import pyarrow  # noqa: F401  # where it is missing, say so before the first shard is labelled, not after

    workers = workers or LabelWorkers()
    found = find_pictures(sources)
    prompts = {} if plan.prompts is None else read_prompts(plan.prompts, found.pictures)
    settings = LabelSettings(
        pictures=list_hash(found.pictures),
        shard_size=plan.shard_size,
        teacher=plan.teacher.identity(),
        tokenizer=tokenizer_hash(plan.tokenizer),
        segmenter=None if plan.segmenter is None else plan.segmenter.identity(),
        prompts=None if plan.prompts is None else sha256(plan.prompts.read_bytes()).hexdigest()[:16],
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
    for shard in mine:
        _reopen_if_mended(work, shard)
    todo = [shard for shard in mine if not work.finished(shard)]
    if todo:
        bar = tqdm(total=len(mine), initial=len(mine) - len(todo), unit="shard", disable=None if progress else True)
        with bar:
            _run(work, todo, workers, bar.update)
    for shard in mine:
        if work.finished(shard):  # of a worker that was killed between its last two steps
            lock_file(folder, shard).unlink(missing_ok=True)
    return _report(work, found.others)


def _run(work: LabelWork, todo: list[int], workers: LabelWorkers, on_shard: Callable[[], object]) -> None:
    if workers.ray is not None:
        from perceptio.labeling.cluster import run_on_ray

        run_on_ray(work, todo, workers.count, workers.ray, on_shard)
    elif workers.count == 1:
        Worker(work).run(todo, on_shard)
    else:
        run_processes(work, todo, workers.count, on_shard)


def _keep_tokenizer(tokenizer: DepthTokenizer, folder: Path) -> None:
    """Write it file by file: workers that begin at the same time write the same, and none finds half of it."""
    if all((folder / name).is_file() for name in ("config.json", "model.safetensors")):
        return
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        write_files(folder, {path.name: path.read_bytes() for path in sorted(Path(place).iterdir())})


def _licence(plan: LabelPlan) -> str:
    masks = "" if plan.segmenter is None else f"; masks: {plan.segmenter.licence}"
    return f"depth codes: {plan.teacher.licence}{masks}"


def _reopen_if_mended(work: LabelWork, shard: int) -> None:
    """Remove a finished shard if one of its bad pictures can be read now."""
    if not work.finished(shard):
        return
    bad = {each.key for each in read_bad(work.folder, shard)[1]}
    for picture in work.pictures_of(shard):
        if picture.key not in bad:
            continue
        try:
            read_checked(picture, work.prompts.get(picture.key, MaskPrompts()))
        except ValueError:
            continue
        shard_file(work.folder, shard).unlink(missing_ok=True)
        report_file(work.folder, shard).unlink(missing_ok=True)
        return


def _report(work: LabelWork, others: Counter[str]) -> LabelReport:
    finished = [shard for shard in range(work.shards) if work.finished(shard)]
    counted = [read_bad(work.folder, shard) for shard in finished]
    return LabelReport(
        shards=work.shards,
        finished=len(finished),
        labelled=sum(labelled for labelled, _ in counted),
        bad=tuple(each for _, bad in counted for each in bad),
        others=others,
        licence=work.licence,
    )

"""Label folders and tar shards of pictures with depth codes and masks: `perceptio label`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import check_writable_folder, refuse_foreign, replacing_folder
from perceptio.labeling import limits
from perceptio.labeling.label_work import LabelWork
from perceptio.labeling.labeler import LabelerFiles
from perceptio.labeling.limits import check_number
from perceptio.labeling.networks import Network, tokenizer_hash
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.prompts import read_prompts
from perceptio.labeling.running import LabelReport, LabelWorkers, run_work
from perceptio.labeling.settings import SETTINGS_FILE, LabelSettings, claim, list_hash
from perceptio.labeling.shards import LABELS
from perceptio.model.loading import find_device

TOKENIZER_FOLDER = "tokenizer"  # in the folder of labels: what decodes them


@dataclass(frozen=True)
class LabelPlan:
    """What to label with."""

    teacher: Network  # a depth network
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
        OutputError: if the folder holds somebody else's files, or cannot be written.
        WorkerError: if a process was killed.
    """
    import pyarrow  # noqa: F401  # where it is missing, say so before the first shard is labelled, not after

    workers = workers or LabelWorkers()
    refuse_foreign(folder, SETTINGS_FILE, f"{LABELS}-*")
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
    work = LabelWork(
        folder=folder.absolute(),
        pictures=found.pictures,
        shard_size=plan.shard_size,
        batch_size=plan.batch_size,
        device=plan.device,
        prompts=prompts,
        settings=settings,
        files=files,
        licence=_licence(plan),
    )
    return run_work(work, found, workers, work.licence, progress=progress)


def _keep_tokenizer(tokenizer: DepthTokenizer, folder: Path) -> None:
    """Write it whole: workers that begin at the same time write the same."""
    if not all((folder / name).is_file() for name in ("config.json", "model.safetensors")):
        with replacing_folder(folder) as beside:
            tokenizer.save_pretrained(beside)


def _licence(plan: LabelPlan) -> str:
    masks = "" if plan.segmenter is None else f"; masks: {plan.segmenter.licence}"
    return f"depth codes: {plan.teacher.licence}{masks}"

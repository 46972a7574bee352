"""Maps of depth for pictures, computed once and kept: what a depth tokenizer is distilled from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from perceptio.files import check_writable_folder, refuse_foreign
from perceptio.labeling import limits
from perceptio.labeling.limits import check_number
from perceptio.labeling.map_shards import MapSettings
from perceptio.labeling.map_work import DepthFileKind, DepthFileWork, TeacherWork
from perceptio.labeling.networks import Network
from perceptio.labeling.pictures import Found
from perceptio.labeling.running import LabelReport, LabelWorkers, run_work
from perceptio.labeling.settings import SETTINGS_FILE, claim, list_hash
from perceptio.model.loading import find_device

DEPTH_SUFFIXES = (".npy", ".png", ".tif", ".tiff")  # of files of depth
OWN_MAPS = "terms of the user's own depth maps"


@dataclass(frozen=True)
class MapPlan:
    """How maps are made."""

    size: int  # side of a map, px
    shard_size: int = 256  # maps in a file: 82 MB of 400 px
    batch_size: int = 8  # pictures read by the network at once
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_number("shard_size", self.shard_size, limits.SHARD_SIZE)
        check_number("batch_size", self.batch_size, limits.BATCH_SIZE)


def make_maps(
    found: Found,
    folder: Path,
    source: Network | Mapping[str, DepthFileKind],
    plan: MapPlan,
    workers: LabelWorkers | None = None,
    *,
    progress: bool = True,
) -> LabelReport:
    """Make the maps of all pictures, or what earlier or other workers have left; `MapStore` reads them.

    Args:
        found: pictures, or files of depth.
        folder: of the maps; made if missing.
        source: the network that predicts them, or, of files of depth, what each is, by key.
        plan: how they are made.
        workers: one by default.
        progress: show a progress bar.

    Raises:
        DataError: if the folder holds maps of other settings.
        ValueError: if the network cannot be loaded, or there is no such device.
        OutputError: if the folder holds somebody else's files, or cannot be written.
        WorkerError: if a process was killed.
    """
    workers = workers or LabelWorkers()
    refuse_foreign(folder, SETTINGS_FILE)
    if not (folder / SETTINGS_FILE).is_file():
        check_writable_folder(folder)
    identity = source.identity() if isinstance(source, Network) else _identity(source)
    settings = MapSettings(list_hash(found.pictures), plan.shard_size, identity, plan.size)
    claim(folder, settings, "depth maps")
    common = (folder.absolute(), found.pictures, plan.shard_size, plan.batch_size)
    if not isinstance(source, Network):
        work = DepthFileWork(*common, "cpu", plan.size, source)
        return run_work(work, found, workers, OWN_MAPS, progress=progress)
    if workers.ray is None:  # the machines of a cluster may have other devices
        find_device(plan.device)
    teacher = TeacherWork(*common, plan.device, plan.size, source.folder.absolute(), identity.partition("@")[0])
    return run_work(teacher, found, workers, f"depth maps: {source.licence}", progress=progress)


def _identity(kinds: Mapping[str, DepthFileKind]) -> str:
    """What the files are, in words where all are alike."""
    different = sorted({astuple(kind) for kind in kinds.values()})
    if len(different) == 1:
        kind, scale = different[0]
        return f"files of {kind} depth, {scale:g} to the metre in PNGs"
    listed = json.dumps([(key, astuple(kind)) for key, kind in sorted(kinds.items())])
    return f"files of several kinds of depth, {hashlib.sha256(listed.encode()).hexdigest()[:16]}"

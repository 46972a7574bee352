"""Every kind of source as a sequence of depth maps; what a teacher must say is computed once and kept."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from perceptio.data.errors import DataError
from perceptio.data.sample_files import SampleFile
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.labeling.folders import Links
from perceptio.labeling.map_job import DEPTH_SUFFIXES, MapPlan, make_maps
from perceptio.labeling.map_shards import MapStore
from perceptio.labeling.map_work import DepthFileKind
from perceptio.labeling.networks import Network
from perceptio.labeling.pictures import Found, PictureFile, find_pictures
from perceptio.labeling.running import LabelReport, LabelWorkers
from perceptio.scenes.storage import META_FILE, SceneStore
from perceptio.training.codebook.settings import MapSource

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MapSet:
    """Maps of one source."""

    name: str
    maps: Sequence[np.ndarray]  # each (S, S) float32 in [-1, 1]; S may differ from set to set
    identity: str  # of what they are; equal for equal maps
    repeat: int


@dataclass(frozen=True)
class MapMaker:
    """How maps of pictures and files are made, and where they are kept."""

    folder: Path  # of all of them
    teacher: Network | None
    plan: MapPlan
    workers: LabelWorkers
    allow_bad: bool = False  # go on without the pictures that give no map

    def sets(self, sources: Mapping[str, MapSource]) -> list[MapSet]:
        """The maps of some sources, by path.

        Raises:
            ValueError: if a source cannot be used, or pictures give no map and that is not allowed.
            OutputError: if maps cannot be kept.
        """
        return [found for path, source in sources.items() for found in self._open(Path(path), source)]

    def _open(self, path: Path, source: MapSource) -> Iterator[MapSet]:
        if source.kind == "scenes":
            store = SceneStore(path if (path / META_FILE).is_file() else path / "train")
            yield MapSet(str(path), SceneMaps(store), store.meta.content_hash, source.repeat)
        elif source.kind == "maps":
            yield _stored(str(path), MapStore(path), source.repeat)
        elif source.kind == "images":
            yield self._made(path, "", find_pictures([path]), None, source.repeat)
        elif source.kind == "samples":
            taught, read, kinds = pictures_of_samples(path)
            if read:
                yield self._made(path, "-depth", _found(read), kinds, source.repeat)
            if taught:
                yield self._made(path, "-pictures", _found(taught), None, source.repeat)
        else:
            found = find_pictures([path], DEPTH_SUFFIXES)
            kind = DepthFileKind(source.kind, source.scale)
            yield self._made(path, "", found, dict.fromkeys((each.key for each in found.pictures), kind), source.repeat)

    def _made(
        self, path: Path, part: str, found: Found, kinds: Mapping[str, DepthFileKind] | None, repeat: int
    ) -> MapSet:
        digest = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        folder = self.folder / f"{path.resolve().name or 'root'}-{digest}{part}"
        if kinds is None and self.teacher is None:
            raise DataError(
                f"{len(found.pictures)} pictures of {path} have no depth map: name a depth network as teacher"
            )
        source = kinds if kinds is not None else self.teacher
        assert source is not None
        report = make_maps(found, folder, source, self.plan, self.workers)
        self._tell(path, folder, report)
        return _stored(f"{path}{part}", MapStore(folder), repeat)

    def _tell(self, path: Path, folder: Path, report: LabelReport) -> None:
        logger.info("%s: %d maps in %s (%s)", path, report.labelled, folder, report.licence)
        if report.others:
            kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(report.others.items()))
            logger.info("%s: left out by their names: %s", path, kinds)
        for link in report.links.left_out:
            logger.info("%s: link left out: %s", path, link)
        if report.finished < report.shards:
            raise DataError(
                f"{folder} has {report.finished} of {report.shards} files of maps, other workers are at the rest: "
                "run the same command again when they are done"
            )
        for bad in report.bad:
            logger.warning("no map: %s: %s", bad.image, bad.error)
        if report.bad and not self.allow_bad:
            raise DataError(
                f"{len(report.bad)} pictures of {path} give no depth map: mend them and run this again, or allow it "
                "with --allow-bad"
            )


class SceneMaps(Sequence[np.ndarray]):
    """The exact maps of rendered scenes."""

    def __init__(self, store: SceneStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # no slices are asked for
        """(S, S) float32 in [-1, 1], larger is nearer."""
        return inverse_depth_from_metric(self.store.pictures(index)[1])


def pictures_of_samples(path: Path) -> tuple[list[PictureFile], list[PictureFile], dict[str, DepthFileKind]]:
    """The pictures of a file of samples: those without a depth map, the depth maps of the others, and what these are.

    A picture with many samples counts once. Keys are paths, relative to the file.

    Raises:
        DataError: if the file cannot be read.
    """
    file = SampleFile(path)
    pictures: dict[str, PictureFile] = {}
    known: set[str] = set()  # pictures with a depth map
    read: dict[str, PictureFile] = {}
    kinds: dict[str, DepthFileKind] = {}
    for index in tqdm(range(len(file)), desc=f"reading {path.name}", unit="sample", disable=None):
        sample = file[index]
        assert isinstance(sample.image, str)  # of a file
        if isinstance(sample.depth, str):
            read[sample.depth] = PictureFile(sample.depth, path.parent / sample.depth)
            kinds[sample.depth] = DepthFileKind(sample.depth_kind, sample.depth_scale)
            known.add(sample.image)
        pictures[sample.image] = PictureFile(sample.image, path.parent / sample.image)
    return [picture for key, picture in pictures.items() if key not in known], list(read.values()), kinds


def _found(pictures: Sequence[PictureFile]) -> Found:
    return Found(tuple(sorted(pictures, key=lambda each: each.key)), Counter(), Links())


def _stored(name: str, store: MapStore, repeat: int) -> MapSet:
    settings = store.settings
    return MapSet(name, store, f"{len(store)} of {settings.pictures}, {settings.teacher}, {settings.size} px", repeat)

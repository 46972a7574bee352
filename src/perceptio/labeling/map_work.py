"""The work of teaching depth: maps of one size for pictures, by a network, or read from files of depth."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from perceptio.data.depth_files import DepthMap, read_depth
from perceptio.data.errors import DataError
from perceptio.data.schema import DepthKind
from perceptio.depth.normalization import resize_nearest
from perceptio.images import WorkingImage
from perceptio.labeling.errors import naming_want_of_memory
from perceptio.labeling.labeler import teacher_maps
from perceptio.labeling.map_shards import MAPS, MAPS_SUFFIX, STORED, TeacherMap, is_whole, write_maps
from perceptio.labeling.pictures import PictureFile
from perceptio.labeling.reports import BadPicture
from perceptio.labeling.work import Batch, Work

Content = TypeVar("Content", WorkingImage, DepthMap)


@dataclass(frozen=True)
class DepthFileKind:
    """What the values in a file of depth are."""

    kind: DepthKind
    scale: float = 1000.0  # a PNG's values per metre


@dataclass(frozen=True)
class _MapWork(Work[Content, TeacherMap]):
    size: int  # side of a map, px

    stem = MAPS
    suffix = MAPS_SUFFIX

    @abstractmethod
    def load(self) -> Callable[[Batch[Content]], list[TeacherMap]]:
        """As `Work`."""

    def write(self, shard: int, results: Sequence[TeacherMap], bad: Sequence[BadPicture]) -> None:
        """As `Work`."""
        write_maps(self.files_of(shard), self.size, results, bad)

    def is_whole(self, shard: int) -> bool:
        """As `Work`."""
        return is_whole(self.files_of(shard))

    def made(self, picture: PictureFile, nearness: np.ndarray) -> TeacherMap:
        """What is kept of a map: all of it, as a square."""
        return TeacherMap(picture.key, resize_nearest(nearness, self.size).astype(STORED))


@dataclass(frozen=True)
class TeacherWork(_MapWork[WorkingImage]):
    """Maps that a network predicts."""

    teacher: Path  # folder of the network
    name: str  # of it, for messages

    def load(self) -> Callable[[Batch[WorkingImage]], list[TeacherMap]]:
        """As `Work`.

        Raises:
            ValueError: if the network cannot be loaded.
        """
        from perceptio.depth.teachers.loading import load_teacher
        from perceptio.model.loading import find_device

        find_device(self.device)
        teacher = load_teacher(self.teacher, self.device)

        def make(batch: Batch[WorkingImage]) -> list[TeacherMap]:
            with naming_want_of_memory():
                maps = teacher_maps(teacher, self.name, [image for _, image in batch])
            return [self.made(picture, each) for (picture, _), each in zip(batch, maps, strict=True)]

        return make

    def read_content(self, picture: PictureFile) -> WorkingImage:
        """As `Work`."""
        return picture.read()

    def pixels(self, content: WorkingImage) -> int:
        """As `Work`."""
        return content.image.width * content.image.height


@dataclass(frozen=True)
class DepthFileWork(_MapWork[DepthMap]):
    """Maps that are there as files of depth."""

    kinds: Mapping[str, DepthFileKind]  # by key

    def load(self) -> Callable[[Batch[DepthMap]], list[TeacherMap]]:
        """As `Work`."""
        return lambda batch: [self.made(picture, each.nearness) for picture, each in batch]

    def read_content(self, picture: PictureFile) -> DepthMap:
        """As `Work`.

        Raises:
            DataError: if it is no map of depth, or lies in a tar file.
        """
        if picture.member is not None:
            raise DataError(f"{picture.location} lies in a tar file, from which maps of depth are not read: unpack it")
        kind = self.kinds[picture.key]
        return read_depth(picture.path, kind.kind, kind.scale)

    def pixels(self, content: DepthMap) -> int:
        """As `Work`."""
        return math.prod(content.nearness.shape)

"""Depth maps that a tokenizer is judged by: of rendered scenes, of files, and of pictures that a teacher looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data.depth_files import read_depth, read_metres
from perceptio.data.errors import DataError
from perceptio.data.schema import DepthKind
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.labeling.map_job import DEPTH_SUFFIXES
from perceptio.labeling.pictures import PictureFile, find_pictures
from perceptio.scenes.rendering.drawing import NEVER_MARKED
from perceptio.scenes.storage import SceneStore


@dataclass(frozen=True, eq=False)
class TrueMap:
    """One map, and what is known beside it."""

    name: str
    nearness: np.ndarray  # (H, W) float32 in [-1, 1], larger is nearer
    metres: np.ndarray | None = None  # (H, W), where they are known
    farthest: float = np.inf  # m, that nothing in such pictures lies beyond
    ids: np.ndarray | None = None  # (H, H) instance map of a scene
    image: Image.Image | None = None  # RGB


TrueMaps = Sequence[Callable[[], TrueMap]]  # each made when it is asked for


def scene_maps(store: SceneStore) -> TrueMaps:
    """The exact maps of rendered scenes."""

    def made(index: int) -> TrueMap:
        _, depth, ids = store.pictures(index)
        things = np.where(ids == NEVER_MARKED, 0, ids)
        return TrueMap(f"scene {index}", inverse_depth_from_metric(depth), depth, store.world.farthest, things)

    return [partial(made, index) for index in range(len(store))]


def depth_file_maps(folder: Path, kind: DepthKind, scale: float) -> TrueMaps:
    """The maps in a folder of files of depth.

    Args:
        folder: with subfolders.
        kind: of all files; the metres of inverse depth are not known.
        scale: values per metre of PNGs of metric depth.

    Raises:
        DataError: if there is none; each map, when it is made, if its file cannot be read.
    """

    def made(file: PictureFile) -> TrueMap:
        if file.member is not None:
            raise DataError(f"{file.location} lies in a tar file, from which maps of depth are not read: unpack it")
        found = read_depth(file.path, kind, scale)
        if kind == "inverse":
            return TrueMap(file.key, found.nearness)
        metres = read_metres(file.path, scale)
        return TrueMap(file.key, found.nearness, metres, float(metres.max()))

    return [partial(made, file) for file in find_pictures([folder], DEPTH_SUFFIXES).pictures]


def taught_maps(sources: Sequence[Path], teacher: NetworkTeacher) -> TrueMaps:
    """The maps that a teacher gives of pictures.

    Args:
        sources: folders and uncompressed tar files of pictures.
        teacher: that looks at them.

    Raises:
        DataError: if there is no picture; each map, when it is made, if there is none of its picture.
    """

    def made(file: PictureFile) -> TrueMap:
        image = file.read().image
        try:
            nearness = teacher.inverse_depth(image)
        except ValueError as error:
            raise DataError(f"{file.location}: the teacher gives no usable map: {error}") from error
        return TrueMap(file.key, nearness, image=image)

    return [partial(made, file) for file in find_pictures(sources).pictures]

"""The labelling function: some pictures in, their depth codes and masks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.depth.teacher_codes import encode_maps
from perceptio.depth.teachers.loading import load_teacher
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.images import WorkingImage
from perceptio.labeling.errors import UnusableError, naming_want_of_memory
from perceptio.labeling.mask_teacher import MaskPrompts, SamTeacher

SCORE_DIGITS = 4  # further ones change with the number of threads, and say nothing


@dataclass(frozen=True)
class LabelerFiles:
    """Where the networks lie; a labeler is made from it in whatever process labels."""

    teacher: Path  # folder of the depth network
    tokenizer: Path  # folder of the depth tokenizer
    segmenter: Path | None  # folder of the SAM 2; no masks without it
    device: str = "cpu"


@dataclass(frozen=True)
class Labels:
    """What the teachers say of one picture."""

    width: int  # px, of the upright picture
    height: int
    codes: tuple[int, ...]  # the depth map in raster order
    masks: tuple[dict[str, Any], ...] | None  # COCO RLE, of the boxes, then of the points; None: not asked for
    scores: tuple[float, ...] | None  # one for each mask


class Labeler:
    """The loaded teachers.

    Args:
        files: of the networks.
        name: of the depth network, for messages.

    Raises:
        ValueError: if a network cannot be loaded, or there is no such device.
    """

    def __init__(self, files: LabelerFiles, name: str) -> None:
        from perceptio.checkpoints.assemble import load_sam
        from perceptio.model.loading import find_device, load_depth_tokenizer

        find_device(files.device)
        self.name = name
        self.depth = load_teacher(files.teacher, files.device)
        self.tokenizer = load_depth_tokenizer(files.tokenizer).to(files.device)
        self.segmenter = SamTeacher(load_sam(files.segmenter), files.device) if files.segmenter else None

    def label(self, pictures: Sequence[WorkingImage], prompts: Sequence[MaskPrompts]) -> list[Labels]:
        """Label pictures together; prompts must lie inside them (`MaskPrompts.inside`).

        Args:
            pictures: of any sizes.
            prompts: of each picture; read only where masks are wanted.

        Raises:
            UnusableError: if the networks give nothing usable for one of the pictures.
            MemoryError: if there is not enough for all of them.
        """
        with naming_want_of_memory():
            codes = self._codes(pictures)
            masks = None if self.segmenter is None else self.segmenter.masks(pictures, prompts)
        found = []
        for number, (picture, each) in enumerate(zip(pictures, codes, strict=True)):
            taught = None if masks is None else masks[number]
            rles = None if taught is None else tuple(mask.rle for mask in taught)
            scores = None if taught is None else tuple(round(mask.score, SCORE_DIGITS) for mask in taught)
            found.append(Labels(*picture.size, each, rles, scores))
        return found

    def _codes(self, pictures: Sequence[WorkingImage]) -> list[tuple[int, ...]]:
        maps = teacher_maps(self.depth, self.name, pictures)
        return [tuple(codes) for codes in encode_maps(self.tokenizer, maps).tolist()]


def teacher_maps(teacher: NetworkTeacher, name: str, pictures: Sequence[WorkingImage]) -> list[np.ndarray]:
    """(H, W) float32 in [-1, 1] for each picture.

    Args:
        teacher: that predicts them.
        name: of it, for messages.
        pictures: of any sizes.

    Raises:
        UnusableError: if one of the maps shows no depth.
    """
    try:
        maps = teacher.inverse_depths([picture.image for picture in pictures])
    except ValueError as error:
        raise UnusableError(f"the depth network {name} gives no usable map: {error}") from error
    if not all(each.any() for each in maps):  # so comes a map without any relief out of the normalization
        raise UnusableError(f"the depth network {name} gives values that are the same everywhere")
    return maps

"""The labelling function: some pictures in, their depth codes and masks out.

Legend: B pictures, S side of the tokenizer's maps, N codes a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from perceptio.data.rle import json_rle, mask_rle
from perceptio.depth.normalization import resize_nearest
from perceptio.depth.teacher import DepthAnything, Picture
from perceptio.depth.tokenizer import DepthTokenizer
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

    Raises:
        ValueError: if a network cannot be loaded, or there is no such device.
    """

    def __init__(self, files: LabelerFiles) -> None:
        from perceptio.checkpoints.assemble import load_sam
        from perceptio.model.loading import find_device

        find_device(files.device)
        self.depth = DepthAnything(files.teacher, files.device)
        self.tokenizer = DepthTokenizer.from_pretrained(files.tokenizer, use_safetensors=True)
        self.tokenizer.float().to(files.device).eval()
        self.segmenter = SamTeacher(load_sam(files.segmenter), files.device) if files.segmenter else None

    def label(self, pictures: Sequence[Image.Image], prompts: Sequence[MaskPrompts]) -> list[Labels]:
        """Label pictures together; prompts must lie inside them (`MaskPrompts.check`).

        Args:
            pictures: RGB, of any sizes.
            prompts: of each picture; read only where masks are wanted.
        """
        codes = self._codes(pictures)
        if self.segmenter is None:
            return [Labels(*picture.size, each, None, None) for picture, each in zip(pictures, codes, strict=True)]
        masks = self.segmenter.masks(pictures, prompts)
        return [
            Labels(
                *picture.size,
                each,
                tuple(json_rle(mask_rle(mask.array)) for mask in found),
                tuple(round(mask.score, SCORE_DIGITS) for mask in found),
            )
            for picture, each, found in zip(pictures, codes, masks, strict=True)
        ]

    def _codes(self, pictures: Sequence[Image.Image]) -> list[tuple[int, ...]]:
        size = self.tokenizer.config.image_size
        maps = self.depth.inverse_depths([Picture(image=picture) for picture in pictures])
        maps_B1SS = torch.from_numpy(np.stack([resize_nearest(each, size) for each in maps]))[:, None]
        codes_BN = self.tokenizer.encode(maps_B1SS.to(self.tokenizer.device))
        return [tuple(codes) for codes in codes_BN.tolist()]

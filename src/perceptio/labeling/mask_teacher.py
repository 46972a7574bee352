"""SAM 2 as a teacher of masks: boxes and points in, one mask with a score for each.

Shapes: M prompts of one picture, P tokens a prompt, C SAM's hidden size, S side of SAM's image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2Model

from perceptio.data.reading import BEYOND
from perceptio.data.rle import json_rle, mask_rle
from perceptio.images import WorkingImage
from perceptio.labeling.errors import UnusableError
from perceptio.segmentation.bridge import decode_masks, encode_image
from perceptio.segmentation.preprocess import preprocess

_PROMPTS_AT_ONCE = 32  # each carries a copy of its image's features through the decoder


@dataclass(frozen=True)
class MaskPrompts:
    """Objects of one picture, in pixels of the upright picture."""

    boxes: tuple[tuple[float, ...], ...] = ()  # x0 y0 x1 y1
    points: tuple[tuple[float, ...], ...] = ()  # x y, each a click on one object

    def __len__(self) -> int:
        return len(self.boxes) + len(self.points)

    def inside(self, width: int, height: int) -> MaskPrompts:
        """The same prompts, cut at the border of a picture of this size, beyond which they may reach by `BEYOND`.

        Raises:
            ValueError: if one reaches farther, or has nothing inside.
        """
        size = (width, height)
        boxes = tuple(_cut("box", box, size) for box in self.boxes)
        return MaskPrompts(boxes, tuple(_cut("point", point, size) for point in self.points))


def _cut(kind: str, prompt: tuple[float, ...], size: tuple[int, int]) -> tuple[float, ...]:
    inside = tuple(min(max(place, 0), side) for place, side in zip(prompt, size * 2, strict=False))
    too_far = any(abs(given - cut) > BEYOND for given, cut in zip(prompt, inside, strict=True))
    if too_far or (kind == "box" and (inside[0] >= inside[2] or inside[1] >= inside[3])):
        raise ValueError(f"the {kind} {list(prompt)} lies outside the picture of {size[0]} x {size[1]} pixels")
    return inside


@dataclass(frozen=True)
class TaughtMask:
    """What SAM 2 answers to one prompt."""

    rle: dict[str, Any]  # COCO's code, of the upright picture's size
    score: float  # SAM's estimate of the mask's IoU


class SamTeacher:
    """SAM 2 (2408.00714), one mask a prompt.

    A single mask is asked for; published models then fall back on the best of their three where it is not stable
    (`dynamic_multimask_via_stability`).

    Args:
        sam: trained weights; moved to the device and set to evaluation.
        device: of the network.
    """

    def __init__(self, sam: Sam2Model, device: str = "cpu") -> None:
        self.sam = sam.to(device).eval()
        self.size: int = sam.config.prompt_encoder_config.image_size

    @torch.no_grad()
    def masks(self, pictures: Sequence[WorkingImage], prompts: Sequence[MaskPrompts]) -> list[list[TaughtMask]]:
        """The masks of several pictures, of the boxes first, then of the points; the encoder sees all pictures at once.

        Args:
            pictures: of any sizes.
            prompts: of each, in pixels of the original.

        Raises:
            UnusableError: if the network's values are not finite.
            ValueError: if a prompt lies outside its picture.
        """
        inside = [each.inside(*picture.size) for picture, each in zip(pictures, prompts, strict=True)]
        prompted = [number for number, each in enumerate(inside) if len(each)]
        found: list[list[TaughtMask]] = [[] for _ in pictures]
        if not prompted:
            return found
        pixels = torch.stack([preprocess(pictures[number].image, self.size) for number in prompted])
        features = encode_image(self.sam, pixels.to(self.sam.device))
        for row, number in enumerate(prompted):
            for tokens_MPC in self._embed(inside[number], *pictures[number].size):
                index = torch.full((len(tokens_MPC),), row, device=tokens_MPC.device)
                prediction = decode_masks(self.sam, features, index, tokens_MPC)
                if not (prediction.logits.isfinite().all() and prediction.iou.isfinite().all()):
                    raise UnusableError("the SAM 2 gives values that are not finite")
                for logits, score in zip(prediction.logits, prediction.iou.tolist(), strict=True):
                    found[number].append(TaughtMask(_code(logits, pictures[number]), score))
        return found

    def _embed(self, prompts: MaskPrompts, width: int, height: int) -> Iterator[Tensor]:
        """Prompt tokens (M, P, C), a few prompts at a time; P differs between boxes and points."""
        device, encoder = self.sam.device, self.sam.prompt_encoder
        scale = torch.tensor([self.size / width, self.size / height])
        for begin in range(0, len(prompts.boxes), _PROMPTS_AT_ONCE):
            boxes = torch.tensor(prompts.boxes[begin : begin + _PROMPTS_AT_ONCE]) * scale.repeat(2)
            yield encoder(None, None, boxes[None].to(device), None)[0][0]
        for begin in range(0, len(prompts.points), _PROMPTS_AT_ONCE):
            points = (torch.tensor(prompts.points[begin : begin + _PROMPTS_AT_ONCE]) * scale)[None, :, None]
            labels = torch.ones(points.shape[:3], dtype=torch.int64, device=device)
            yield encoder(points.to(device), labels, None, None)[0][0]


def _code(logits: Tensor, picture: WorkingImage) -> dict[str, Any]:
    """The code of one mask; that of a picture too large to work with is enlarged from what was worked with."""
    width, height = picture.image.size
    mask = (F.interpolate(logits[None, None], (height, width), mode="bilinear")[0, 0] > 0).cpu().numpy()
    if picture.image.size != picture.size:
        full_width, full_height = picture.size
        rows, columns = np.arange(full_height) * height // full_height, np.arange(full_width) * width // full_width
        mask = mask[np.ix_(rows, columns)]
    return json_rle(mask_rle(mask))

"""SAM 2 as a teacher of masks: boxes and points in, one mask with a score for each.

Shapes: M prompts of one picture, P tokens a prompt, C SAM's hidden size, S side of SAM's image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2Model

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

    def check(self, width: int, height: int) -> None:
        """Complain of prompts that lie outside a picture of this size.

        Raises:
            ValueError: if there is one.
        """
        for kind, prompts in (("box", self.boxes), ("point", self.points)):
            for prompt in prompts:
                if not all(0 <= x <= width for x in prompt[::2]) or not all(0 <= y <= height for y in prompt[1::2]):
                    raise ValueError(f"the {kind} {list(prompt)} lies outside the picture of {width} x {height} pixels")


@dataclass(frozen=True, eq=False)
class TaughtMask:
    """What SAM 2 answers to one prompt."""

    array: np.ndarray  # (H, W) bool, of the picture's size
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
    def masks(self, pictures: Sequence[Image.Image], prompts: Sequence[MaskPrompts]) -> list[list[TaughtMask]]:
        """The masks of several pictures, of the boxes first, then of the points; the encoder sees all pictures at once.

        Raises:
            ValueError: if a prompt lies outside its picture.
        """
        assert len(pictures) == len(prompts)
        for picture, each in zip(pictures, prompts, strict=True):
            each.check(*picture.size)
        prompted = [number for number, each in enumerate(prompts) if len(each)]
        found: list[list[TaughtMask]] = [[] for _ in pictures]
        if not prompted:
            return found
        pixels = torch.stack([preprocess(pictures[number], self.size) for number in prompted])
        features = encode_image(self.sam, pixels.to(self.sam.device))
        for row, number in enumerate(prompted):
            width, height = pictures[number].size
            for tokens_MPC in self._embed(prompts[number], width, height):
                index = torch.full((len(tokens_MPC),), row, device=tokens_MPC.device)
                prediction = decode_masks(self.sam, features, index, tokens_MPC)
                for logits, score in zip(prediction.logits, prediction.iou.tolist(), strict=True):
                    full = F.interpolate(logits[None, None], (height, width), mode="bilinear")[0, 0]
                    found[number].append(TaughtMask((full > 0).cpu().numpy(), score))
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

"""Who tells the truth about depth: a monocular network for photographs, the renderer for its own scenes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth
from perceptio.depth.teacher_configuration import read_teacher_config, read_teacher_processor
from perceptio.pretrained.folder import locate, naming, read_object
from perceptio.pretrained.misfits import refuse_misfits
from perceptio.pretrained.weights import build_network, read_weights

_LONGEST = 8  # times as long as wide, and a picture is stretched to a square: its short side would shrink to no patch
_UNUSED = "neck.fusion_stage.layers.0.residual_layer1."  # the first fusion has nothing to add: weights may be absent


@dataclass(frozen=True)
class Picture:
    """What a teacher may look at."""

    image: Image.Image | None = None  # RGB
    depth: np.ndarray | None = None  # (H, W) float32, exact view-space z in metres


class DepthTeacher(Protocol):
    """Gives the relative inverse depth of a picture."""

    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """(H, W) float32 in [-1, 1], larger is nearer."""
        ...


class ExactDepth:
    """The renderer's own depth."""

    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """As `DepthTeacher`.

        Raises:
            ValueError: if the picture has no exact depth, or not a positive one.
        """
        if picture.depth is None:
            raise ValueError("this picture has no exact depth: name a depth network as teacher")
        return inverse_depth_from_metric(picture.depth)


class DepthAnything:
    """Depth Anything V2 (2406.09414) through transformers.

    Small is Apache-2.0; Base and Large are CC-BY-NC-4.0 (no commercial use).

    Args:
        name: a folder or hub id, such as `depth-anything/Depth-Anything-V2-Small-hf`.
        device: of the network.

    Raises:
        ValueError: if the network cannot be loaded, or predicts metric depth; the file is named.
    """

    def __init__(self, name: str | Path, device: str = "cpu") -> None:
        from transformers import DepthAnythingForDepthEstimation

        folder = locate(name)
        path = folder / "config.json"
        with naming(path):
            config = read_teacher_config(read_object(path))
        path = folder / "preprocessor_config.json"
        with naming(path):
            self.processor = read_teacher_processor(read_object(path))
        weights = read_weights(folder, most=math.inf)  # maps that overflow are refused picture by picture
        with naming(f"the depth teacher {name}"):
            model, report = build_network(DepthAnythingForDepthEstimation, config, weights, torch.float32)
            # they would be random numbers, and so would every depth map
            missing = [name for name in report["missing"] if not name.startswith(_UNUSED)]
            refuse_misfits({**report, "missing": missing, "unexpected": []}, "the network of its config.json")
        self.model = model.to(device).eval()

    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """As `DepthTeacher`.

        Raises:
            ValueError: if the picture has no image.
        """
        return self.inverse_depths([picture])[0]

    @torch.no_grad()
    def inverse_depths(self, pictures: Sequence[Picture]) -> list[np.ndarray]:
        """As `inverse_depth`, for several pictures; those that the network reads at one size share a batch.

        Raises:
            ValueError: if a picture has no image.
        """
        alike: dict[torch.Size, list[int]] = {}
        pixels, sizes = [], []
        for number, picture in enumerate(pictures):
            if picture.image is None:
                raise ValueError("a depth network needs the picture itself, not only its depth")
            pixels.append(self._pixels(picture.image))
            sizes.append(picture.image.size)
            alike.setdefault(pixels[-1].shape, []).append(number)
        found: dict[int, np.ndarray] = {}
        for numbers in alike.values():
            batch = torch.stack([pixels[number] for number in numbers]).to(self.model.device)
            predicted = self.model(pixel_values=batch).predicted_depth.float()  # (B, h, w), larger is nearer
            for number, each in zip(numbers, predicted, strict=True):
                width, height = sizes[number]
                resized = F.interpolate(each[None, None], (height, width), mode="bilinear")[0, 0]
                found[number] = normalize_inverse_depth(resized.cpu().numpy())
        return [found[number] for number in range(len(pictures))]

    def _pixels(self, image: Image.Image) -> Tensor:
        """(3, h, w), what the network reads."""
        keep = self.processor.keep_aspect_ratio and max(image.size) <= _LONGEST * min(image.size)
        pixels: Tensor = self.processor(images=image, keep_aspect_ratio=keep, return_tensors="pt")["pixel_values"][0]
        return pixels

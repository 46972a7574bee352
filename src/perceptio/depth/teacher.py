"""Who tells the truth about depth: a monocular network for photographs, the renderer for its own scenes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth


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
        ValueError: if the network cannot be loaded.
    """

    def __init__(self, name: str | Path, device: str = "cpu") -> None:
        from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

        try:
            self.processor = DPTImageProcessorPil.from_pretrained(name)
            model = DepthAnythingForDepthEstimation.from_pretrained(name, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ValueError(f"the depth teacher {name} cannot be loaded: {' '.join(str(error).split())}") from error
        self.model = model.to(device).eval()

    @torch.no_grad()
    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """As `DepthTeacher`.

        Raises:
            ValueError: if the picture has no image.
        """
        if picture.image is None:
            raise ValueError("a depth network needs the picture itself, not only its depth")
        pixels = self.processor(images=picture.image, return_tensors="pt")["pixel_values"].to(self.model.device)
        predicted = self.model(pixel_values=pixels).predicted_depth.float()  # (1, h, w), larger is nearer
        width, height = picture.image.size
        resized = F.interpolate(predicted[:, None], (height, width), mode="bilinear")[0, 0]
        return normalize_inverse_depth(resized.cpu().numpy())

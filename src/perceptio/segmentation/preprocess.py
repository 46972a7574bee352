"""Pixels as SAM 2 wants them: a square, normalised with ImageNet's mean and deviation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

Resampling = Literal["bilinear", "bicubic"]  # SAM 2's own, and Sa2VA's (2501.04001)
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def preprocess(image: Image.Image | NDArray[np.uint8], size: int, resampling: Resampling = "bilinear") -> Tensor:
    """One image as SAM 2's input; the aspect ratio is not kept, as in SAM 2's own processor.

    Args:
        image: RGB picture, or (H, W, 3) uint8.
        size: side of the square in pixels.
        resampling: by which filter.

    Returns:
        (3, size, size) float32.
    """
    picture = image.convert("RGB") if isinstance(image, Image.Image) else Image.fromarray(image)
    if picture.size != (size, size):
        picture = picture.resize((size, size), _FILTERS[resampling])
    return normalize(torch.from_numpy(np.array(picture)).permute(2, 0, 1))


def normalize(pixels: Tensor) -> Tensor:
    """(..., 3, H, W) uint8 to float32 of about zero mean and unit deviation."""
    mean = torch.tensor(IMAGE_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=pixels.device).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std

"""Image -> SAM2's input: SAM2 has no image processor that works without torchvision."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def preprocess(image: Image.Image | np.ndarray, size: int) -> Tensor:
    """Resize to a square (bilinear, as SAM2 does: the aspect ratio is not kept), scale, normalise.

    Args:
        image: RGB, PIL or (H, W, 3) uint8.
        size: side of the square, px.

    Returns:
        (3, size, size) float32.
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BILINEAR)
    values = np.asarray(picture, np.float32) / 255.0
    normalised = (values - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
    return torch.from_numpy(normalised).permute(2, 0, 1).contiguous()

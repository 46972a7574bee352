"""The codes of a teacher's depth maps.

Legend: B pictures, S side of the tokenizer's maps, N codes a map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from perceptio.depth.normalization import resize_nearest
from perceptio.depth.teachers.network import NetworkTeacher
from perceptio.depth.tokenizer import DepthTokenizer


def teacher_codes(teacher: NetworkTeacher, tokenizer: DepthTokenizer, pictures: Sequence[Image.Image]) -> Tensor:
    """Codes (B, N) int64 of what a teacher sees in RGB pictures of any sizes.

    Raises:
        ValueError: if the teacher gives no usable map.
    """
    return encode_maps(tokenizer, teacher.inverse_depths(pictures))


def encode_maps(tokenizer: DepthTokenizer, maps: Sequence[np.ndarray]) -> Tensor:
    """Codes (B, N) int64 of relative inverse depth (H, W) float32 in [-1, 1], of any sizes."""
    resized = np.stack([resize_nearest(each, tokenizer.config.image_size) for each in maps])
    maps_B1SS = torch.from_numpy(resized)[:, None]
    return tokenizer.encode(maps_B1SS.to(tokenizer.device))

"""Views of rendered scenes for the trial of towers: crops in other light, with the depth of each patch.

Shapes: B views, S side, g patches along a side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from _designs import PATCH
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.nn import functional as F

from perceptio.depth.normalization import normalize_inverse_depth
from perceptio.scenes.storage import SceneStore
from perceptio.segmentation.preprocess import normalize

BATCH = 12
_SMALLEST = 0.6  # side of a crop, of the picture's
_JITTER = 0.3  # of brightness, contrast and colour


def view(store: SceneStore, side: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """A crop of a picture, mirrored or not, in other light: pixels (3, S, S) uint8, nearness and 1 / m (g, g)."""
    rgb, depth, _ = store.pictures(int(rng.integers(len(store))))
    full = len(rgb)
    height, width = (round(full * share) for share in rng.uniform(_SMALLEST, 1, 2))
    top, left = int(rng.integers(full - height + 1)), int(rng.integers(full - width + 1))
    image = Image.fromarray(rgb[top : top + height, left : left + width]).resize((side, side), Image.Resampling.BICUBIC)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = change(image).enhance(rng.uniform(1 - _JITTER, 1 + _JITTER))
    inverse = 1 / depth[top : top + height, left : left + width]
    maps = torch.from_numpy(np.stack([normalize_inverse_depth(inverse), inverse]))
    pixels, maps = torch.from_numpy(np.array(image)).permute(2, 0, 1), F.adaptive_avg_pool2d(maps, side // PATCH)
    if rng.random() < 0.5:
        pixels, maps = pixels.flip(-1), maps.flip(-1)
    return pixels, maps[0], maps[1]


def batches(stores: Sequence[SceneStore], side: int, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches without end, of all stores alike: normalised pixels, nearness and inverse depth."""
    rng = np.random.default_rng(seed)
    while True:
        views = [view(stores[int(rng.integers(len(stores)))], side, rng) for _ in range(BATCH)]
        pixels, nearness, inverse_depth = map(torch.stack, zip(*views, strict=True))
        yield normalize(pixels), nearness, inverse_depth

"""Points and boxes drawn from an instance map, as a person would click and drag."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PromptedImage: TypeAlias = dict[str, NDArray[np.generic]]

MIN_PIXELS = 40  # smaller instances are not prompted
_EROSION = 2  # pixels that a point keeps from the outline where the mask is thick enough
_BOX_NOISE = 0.1  # deviation of each box side, in box widths or heights (SAM, arXiv 2304.02643)
_MAX_BOX_NOISE = 20  # pixels


def draw_prompts(
    rgb: NDArray[np.uint8], ids: NDArray[np.uint8], size: int, *, prompts: int, seed: int, mirror: bool
) -> PromptedImage:
    """One picture with as many points as boxes on its instances.

    Instances are drawn without repetition while they last. A picture without any instance of `MIN_PIXELS` gets prompts
    of id 255 on its background: an absent object.

    Args:
        rgb: (H, W, 3) RGB.
        ids: (H, W) instance map, 0 is background.
        size: side S in pixels of the result.
        prompts: number of points, and of boxes.
        seed: of every draw.
        mirror: flip left and right half of the time.

    Returns:
        `pixels` (3, S, S) uint8; `ids` (S, S) uint8; `points` (prompts, 2) float32 x y; `boxes` (prompts, 4) float32
        x0 y0 x1 y1; `point_ids` and `box_ids` (prompts,) uint8.
    """
    rng = np.random.default_rng(seed)
    if rgb.shape[:2] != (size, size):
        rgb = np.asarray(Image.fromarray(rgb).resize((size, size), Image.Resampling.BILINEAR))
    if ids.shape != (size, size):
        ids = np.asarray(Image.fromarray(ids).resize((size, size), Image.Resampling.NEAREST))
    if mirror and rng.random() < 0.5:
        rgb, ids = rgb[:, ::-1], ids[:, ::-1]

    pixels = np.bincount(ids.ravel(), minlength=256)
    found = [int(i) for i in np.flatnonzero(pixels >= MIN_PIXELS) if i != 0]
    chosen = _choose(found or [255], 2 * prompts, rng)
    point_ids, box_ids = chosen[:prompts], chosen[prompts:]
    return {
        "pixels": np.ascontiguousarray(rgb.transpose(2, 0, 1)),
        "ids": np.ascontiguousarray(ids),
        "points": np.stack([point_in(ids == wanted, rng) for wanted in point_ids]),
        "point_ids": np.array(point_ids, dtype=np.uint8),
        "boxes": np.stack([box_around(ids == wanted, rng) for wanted in box_ids]),
        "box_ids": np.array(box_ids, dtype=np.uint8),
    }


def point_in(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """A pixel (x, y) inside a mask (H, W), off its outline where it is thick enough; anywhere if the mask is empty."""
    if not mask.any():
        return (rng.random(2) * mask.shape[::-1]).astype(np.float32)
    inner = mask
    for _ in range(_EROSION):
        eroded = inner.copy()
        eroded[1:] &= inner[:-1]
        eroded[:-1] &= inner[1:]
        eroded[:, 1:] &= inner[:, :-1]
        eroded[:, :-1] &= inner[:, 1:]
        if not eroded.any():
            break
        inner = eroded
    rows, columns = np.nonzero(inner)
    pick = rng.integers(len(rows))
    return np.array([columns[pick], rows[pick]], dtype=np.float32)


def box_around(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """A box (x0, y0, x1, y1) drawn around a mask (H, W) with an unsteady hand; a random box if the mask is empty."""
    height, width = mask.shape
    limit = np.array([width - 1, height - 1] * 2, dtype=np.float32)
    if not mask.any():
        corners = np.sort(rng.random((2, 2)), axis=0).ravel()
        return (corners * limit).astype(np.float32)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = np.array([columns[0], rows[0], columns[-1], rows[-1]], dtype=np.float32)
    sides = np.tile(box[2:] - box[:2], 2)
    noise = np.clip(rng.normal(scale=_BOX_NOISE, size=4) * sides, -_MAX_BOX_NOISE, _MAX_BOX_NOISE)
    return np.clip(box + noise, 0, limit).astype(np.float32)


def _choose(found: list[int], count: int, rng: np.random.Generator) -> list[int]:
    """`count` of the instances found, every one as often as any other, give or take one."""
    chosen: list[int] = []
    while len(chosen) < count:
        chosen.extend(rng.permutation(found).tolist())
    return chosen[:count]

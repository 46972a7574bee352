"""Relative inverse depth per image, the one scale that teacher, tokenizer and results share (AURORA, 2412.03548)."""

from __future__ import annotations

import numpy as np

# A single near pixel (a corner of an object at the lens) must not squeeze the rest of the map: the ends are quantiles.
LOW_QUANTILE, HIGH_QUANTILE = 0.002, 0.998


def normalize_inverse_depth(inverse_depth: np.ndarray) -> np.ndarray:
    """Scale an inverse depth map to [-1, 1] per image; larger is nearer.

    Args:
        inverse_depth: (H, W) float, any positive scale and any shift (a teacher's raw output).

    Returns:
        (H, W) float32 in [-1, 1]; zeros where the map is constant.

    Raises:
        ValueError: if the map is not 2-D or holds values that are not finite, or too far apart to be scaled.
    """
    if inverse_depth.ndim != 2:
        raise ValueError(f"a depth map must have 2 dimensions (H, W), not the shape {inverse_depth.shape}")
    values = inverse_depth.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the depth map holds values that are not finite; mask or fill them first")
    low, high = np.quantile(values, (LOW_QUANTILE, HIGH_QUANTILE))
    span = high - low
    if not np.isfinite(span):
        raise ValueError(f"the depth map holds values that are too far apart: {low:g} and {high:g}")
    if span <= 1e-12 * max(abs(low), abs(high)):
        return np.zeros(values.shape, np.float32)
    values -= low  # in place: maps may be large
    values /= span
    values *= 2
    values -= 1
    return np.clip(values, -1, 1, out=values).astype(np.float32)


def inverse_depth_from_metric(depth: np.ndarray) -> np.ndarray:
    """Metric z-depth (H, W) in metres, positive and finite -> (H, W) float32 relative inverse depth in [-1, 1].

    Raises:
        ValueError: if a depth is not positive.
    """
    if not (depth > 0).all():
        raise ValueError(f"metric depth must be positive everywhere; the smallest value is {float(depth.min())}")
    return normalize_inverse_depth(np.divide(1.0, depth, dtype=np.float64))


def resize_nearest(values: np.ndarray, size: int) -> np.ndarray:
    """Resize (H, W) to (size, size) by taking the pixel under each new pixel's centre: no value is invented."""
    rows = ((np.arange(size) + 0.5) * values.shape[0] / size).astype(int)
    columns = ((np.arange(size) + 0.5) * values.shape[1] / size).astype(int)
    return values[np.ix_(rows, columns)]

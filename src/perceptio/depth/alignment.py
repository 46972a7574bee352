"""Relative inverse depth against metric depth: fit scale and shift, then measure in metres.

The protocol for affine-invariant predictions of MiDaS (1907.01341, section 5) and Depth Anything (2401.10891):
alignment in inverse depth over the valid pixels, a bound on how far the result may lie, errors in depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class AlignedErrors:
    """Errors of one map over its valid pixels."""

    abs_rel: float  # mean |d - z| / z
    rmse: float  # sqrt(mean (d - z)^2), in metres
    deltas: tuple[float, float, float]  # share of pixels with max(d / z, z / d) < 1.25, 1.25^2, 1.25^3


def valid_pixels(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool: where (H, W) metric depth is known, that is finite and positive."""
    return np.isfinite(depth) & (depth > 0)


def align(prediction: np.ndarray, inverse_depth: np.ndarray) -> np.ndarray:
    """Least-squares scale and shift of a relative map (H, W) to metric inverse depth (H, W); returns float64, 1/m.

    The usual protocol for affine-invariant depth (MiDaS, 1907.01341, section 5).
    """
    x, y = prediction.astype(np.float64).ravel(), inverse_depth.astype(np.float64).ravel()
    centred = x - x.mean()
    variance = (centred**2).sum()
    scale = (centred * (y - y.mean())).sum() / variance if variance > 1e-12 else 0.0
    return scale * (prediction.astype(np.float64) - x.mean()) + y.mean()


def aligned_depth(prediction: np.ndarray, depth: np.ndarray, farthest: float) -> np.ndarray:
    """Predicted depth in metres.

    Args:
        prediction: (N,) relative inverse depth at the valid pixels, of any scale and shift; a constant gives the mean
            inverse depth everywhere.
        depth: (N,) true depth in metres, positive.
        farthest: in metres; what the fit puts farther away, or behind the camera, is put here.

    Returns:
        (N,) float64 in metres, at most `farthest`.
    """
    inverse = align(prediction, 1 / depth.astype(np.float64))
    return np.asarray(1 / np.maximum(inverse, 1 / farthest))


def aligned_errors(prediction: np.ndarray, depth: np.ndarray, farthest: float) -> AlignedErrors:
    """Align a prediction and compare it with the truth.

    Args:
        prediction: (H, W) relative inverse depth, larger is nearer.
        depth: (H, W) true depth in metres; zero, negative, NaN or infinite where unknown.
        farthest: bound of predicted depth, in metres.

    Raises:
        ValueError: if the two differ in size, or no pixel is valid.
    """
    if prediction.shape != depth.shape:
        raise ValueError(f"a prediction of {prediction.shape} cannot be compared with depth of {depth.shape}")
    valid = valid_pixels(depth)
    if not valid.any():
        raise ValueError("the depth map has no valid pixel")
    truth = depth[valid].astype(np.float64)
    found = aligned_depth(prediction[valid], truth, farthest)
    ratio = np.maximum(found / truth, truth / found)
    one, two, three = (float((ratio < 1.25**power).mean()) for power in (1, 2, 3))
    return AlignedErrors(
        abs_rel=float((np.abs(found - truth) / truth).mean()),
        rmse=float(np.sqrt(((found - truth) ** 2).mean())),
        deltas=(one, two, three),
    )

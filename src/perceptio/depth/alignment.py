"""Relative inverse depth against metric depth: fit scale and shift, then measure in metres.

The protocol for affine-invariant predictions of MiDaS (1907.01341, section 5) and Depth Anything (2401.10891):
alignment in inverse depth over the valid pixels, a bound on how far the result may lie, errors in depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_PART = 1_000_000  # pixels


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
    return _fit(prediction.ravel(), inverse_depth.ravel(), np.asarray)(prediction)


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
    return _bounded(_fit(prediction, depth, np.reciprocal)(prediction), farthest)


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
    prediction, depth = prediction[valid], depth[valid]
    line = _fit(prediction, depth, np.reciprocal)
    sums = np.zeros(5)
    for part in _parts(len(depth)):
        truth, found = depth[part].astype(np.float64), _bounded(line(prediction[part]), farthest)
        ratio = np.maximum(found / truth, truth / found)
        within = [(ratio < 1.25**power).sum() for power in (1, 2, 3)]
        sums += [(np.abs(found - truth) / truth).sum(), ((found - truth) ** 2).sum(), *within]
    abs_rel, square, one, two, three = (sums / len(depth)).tolist()
    return AlignedErrors(abs_rel=abs_rel, rmse=math.sqrt(square), deltas=(one, two, three))


@dataclass(frozen=True)
class _Line:
    """From relative to metric inverse depth."""

    slope: float
    from_mean: float
    to_mean: float  # 1/m

    def __call__(self, prediction: np.ndarray) -> np.ndarray:
        return self.slope * (prediction.astype(np.float64) - self.from_mean) + self.to_mean


def _fit(prediction: np.ndarray, target: np.ndarray, inverse: Callable[[np.ndarray], np.ndarray]) -> _Line:
    """The line from (N,) predictions to what `inverse` makes of (N,) targets."""

    def total(term: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
        return sum(
            float(term(prediction[part].astype(np.float64), inverse(target[part].astype(np.float64))).sum())
            for part in _parts(len(target))
        )

    from_mean = total(lambda x, _: x) / len(target)
    to_mean = total(lambda _, y: y) / len(target)
    variance = total(lambda x, _: (x - from_mean) ** 2)
    slope = total(lambda x, y: (x - from_mean) * (y - to_mean)) / variance if variance > 1e-12 else 0.0
    return _Line(slope, from_mean, to_mean)


def _bounded(inverse_depth: np.ndarray, farthest: float) -> np.ndarray:
    return np.asarray(1 / np.maximum(inverse_depth, 1 / farthest))


def _parts(count: int) -> list[slice]:
    """Large maps are gone through in parts: a copy in float64 of the whole would take much memory."""
    return [slice(start, start + _PART) for start in range(0, count, _PART)]

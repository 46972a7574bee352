"""How good a map of relative inverse depth is: against metric depth, in the order of points, and as a code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perceptio.depth.alignment import aligned_errors


@dataclass(frozen=True)
class DepthErrors:
    """Errors of one map."""

    mae: float  # mean absolute error on the normalised scale [-1, 1]
    abs_rel: float  # mean |d - z| / z after alignment
    delta: float  # share of pixels with max(d / z, z / d) < 1.25


def depth_errors(prediction: np.ndarray, truth: np.ndarray, depth: np.ndarray, farthest: float) -> DepthErrors:
    """Compare a predicted map with the truth.

    Args:
        prediction: (H, W) relative inverse depth in [-1, 1].
        truth: (H, W) the same of the teacher.
        depth: (H, W) exact z in metres.
        farthest: in metres, that nothing in such pictures lies beyond; what alignment puts there is put at it.
    """
    errors = aligned_errors(prediction, depth, farthest)
    return DepthErrors(mae=float(np.abs(prediction - truth).mean()), abs_rel=errors.abs_rel, delta=errors.deltas[0])


def nearest_point(inverse_depth: np.ndarray, points: Sequence[tuple[float, float]]) -> int:
    """Which of the points is nearest according to a map.

    Args:
        inverse_depth: (H, W), larger is nearer.
        points: x, y as shares of the picture's width and height, each in [0, 1).
    """
    height, width = inverse_depth.shape
    return int(np.argmax([inverse_depth[int(y * height), int(x * width)] for x, y in points]))


def usage(counts: np.ndarray) -> float:
    """Share of codes used at all, from (K,) counts."""
    return float((counts > 0).mean())


def perplexity(counts: np.ndarray) -> float:
    """exp of the entropy of the code distribution, from (K,) counts: K if all are used alike, 1 if one is used."""
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))

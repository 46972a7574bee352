"""Maps of depth against what was judged by eye, and figures with a standard error over photographs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from PIL import Image

from perceptio.evaluation.photos.annotations import Point, PointPair
from perceptio.evaluation.photos.folder import FoundPhotograph

Rule: TypeAlias = Callable[[Point], float]  # larger is nearer

_DRAWN = 2000  # pairs of pixels
_APART = 1.1  # least ratio of the disparities of a drawn pair


@dataclass(frozen=True)
class Estimate:
    """A mean over samples; samples of one photograph are not independent."""

    value: float  # NaN without samples
    error: float | None  # standard error over photographs; None of fewer than two
    count: int  # samples

    @classmethod
    def of(cls, samples: Mapping[str, Sequence[float]]) -> Estimate:
        """Of the samples of each photograph.

        The error is the cluster-robust one of a mean (Liang and Zeger, 1986): root of n / (n - 1) times the sum over n
        photographs of their squared sums of deviations, over the number of samples.
        """
        values = [np.asarray(found, float) for found in samples.values() if len(found)]
        count = sum(map(len, values))
        if not count:
            return cls(math.nan, None, 0)
        mean = math.fsum(float(found.sum()) for found in values) / count
        if len(values) < 2:
            return cls(mean, None, count)
        spread = math.fsum(float((found - mean).sum()) ** 2 for found in values)
        return cls(mean, math.sqrt(spread * len(values) / (len(values) - 1)) / count, count)


@dataclass(frozen=True)
class MapScores:
    """How well maps order the points of photographs."""

    pairs: Estimate  # a sample is the share of a photograph's pairs that are right
    nearest: Estimate  # a sample is a group of points
    pairs_of: dict[str, float]  # by photograph
    nearest_of: dict[str, float]


def score_maps(photographs: Iterable[FoundPhotograph], nearness: Callable[[Image.Image], np.ndarray]) -> MapScores:
    """Score any maker of depth maps on photographs.

    Args:
        photographs: as `open_photographs` finds them.
        nearness: of an upright RGB picture: (H, W) of any size, larger is nearer, in any unit and scale.

    Raises:
        ValueError: if a map is not (H, W).
    """
    pairs: dict[str, list[float]] = {}
    nearest: dict[str, list[float]] = {}
    for found in photographs:
        photograph = found.photograph
        array = np.asarray(nearness(found.image()))
        if array.ndim != 2 or not array.size:
            raise ValueError(f"a map of nearness is (H, W), not {array.shape} as that of {photograph.name}")
        if photograph.pairs:
            pairs[photograph.name] = [pair_share(array, photograph.pairs)]
        nearest[photograph.name] = [float(is_nearest(array, group)) for group in photograph.groups]
    return MapScores(
        Estimate.of(pairs),
        Estimate.of(nearest),
        {name: share for name, (share,) in pairs.items()},
        {name: float(np.mean(right)) for name, right in nearest.items() if right},
    )


def pair_share(nearness: np.ndarray, pairs: Sequence[PointPair]) -> float:
    """Share of pairs whose nearer point has the larger value in an (H, W) map; equal values are wrong."""
    return float(np.mean([value_at(nearness, pair.nearer) > value_at(nearness, pair.farther) for pair in pairs]))


def is_nearest(nearness: np.ndarray, group: Sequence[Point]) -> bool:
    """Whether the first of the points has a larger value in an (H, W) map than every other."""
    first, *others = (value_at(nearness, point) for point in group)
    return first > max(others)


def value_at(nearness: np.ndarray, point: Point) -> float:
    """The value of an (H, W) map at a place given in shares of its sides."""
    height, width = nearness.shape
    return float(nearness[int(point[1] * height), int(point[0] * width)])


def rule_share(rule: Rule, pairs: Sequence[PointPair]) -> float:
    """Share of pairs that a rule orders rightly without a look at the picture; where it sees no order, a half."""
    return float(np.mean([(np.sign(rule(pair.nearer) - rule(pair.farther)) + 1) / 2 for pair in pairs]))


def rule_finds(rule: Rule, group: Sequence[Point]) -> bool:
    """Whether a rule finds the first of the points nearer than every other."""
    return rule(group[0]) > max(map(rule, group[1:]))


def lower(point: Point) -> float:
    """The rule that what is lower in the picture is nearer."""
    return point[1]


def more_central(point: Point) -> float:
    """The rule that what is closer to the middle of the picture is nearer."""
    return -math.hypot(point[0] - 0.5, point[1] - 0.5)


def disparity_order(nearness: np.ndarray, disparity: np.ndarray) -> float:
    """Share of drawn pairs of pixels that a map orders as their measured disparities are.

    Args:
        nearness: (H, W), larger is nearer.
        disparity: (h, w) px, not finite where it is unknown.
    """
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(np.isfinite(disparity))
    first, second = rng.integers(0, len(rows), (2, _DRAWN))
    near, far = disparity[rows[first], columns[first]], disparity[rows[second], columns[second]]
    apart = np.maximum(near, far) > _APART * np.minimum(near, far)
    places = [
        ((columns[index] + 0.5) / disparity.shape[1], (rows[index] + 0.5) / disparity.shape[0])
        for index in (first[apart], second[apart])
    ]
    height, width = nearness.shape
    values = [nearness[(y * height).astype(int), (x * width).astype(int)] for x, y in places]
    return float(np.mean(np.sign(values[0] - values[1]) == np.sign(near - far)[apart]))

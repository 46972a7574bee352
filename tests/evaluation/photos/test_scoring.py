"""Maps against pairs and groups of points, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.photos.annotations import PhotoOrder, PointPair
from perceptio.evaluation.photos.folder import open_photographs
from perceptio.evaluation.photos.scoring import (
    Estimate,
    disparity_order,
    is_nearest,
    lower,
    more_central,
    pair_share,
    rule_finds,
    rule_share,
    score_maps,
    value_at,
)

MAP = np.array([[1.0, 2, 3], [4, 5, 6]])  # two rows, three columns


@pytest.mark.parametrize(("point", "value"), [((0, 0), 1), ((0.34, 0), 2), ((0.99, 0.49), 3), ((0.99, 0.5), 6)])
def test_places_are_shares_of_the_sides(point: tuple[float, float], value: float) -> None:
    assert value_at(MAP, point) == value


def test_pairs_are_right_where_the_nearer_has_the_larger_value() -> None:
    right, wrong = PointPair((0.9, 0.9), (0.1, 0.1)), PointPair((0.1, 0.1), (0.5, 0.1))
    assert pair_share(MAP, [right, right, wrong]) == pytest.approx(2 / 3)
    assert pair_share(np.ones((2, 3)), [right, wrong]) == 0  # a flat map orders nothing


def test_the_first_of_a_group_must_be_nearer_than_every_other() -> None:
    assert is_nearest(MAP, [(0.9, 0.9), (0.5, 0.9), (0.1, 0.1)])
    assert not is_nearest(MAP, [(0.5, 0.9), (0.9, 0.9), (0.1, 0.1)])
    assert not is_nearest(np.ones((2, 3)), [(0.9, 0.9), (0.5, 0.9), (0.1, 0.1)])


def test_rules_look_at_places_alone() -> None:
    pairs = [PointPair((0, 0.9), (0, 0.1)), PointPair((0, 0.1), (0, 0.9)), PointPair((0, 0.5), (0.5, 0.5))]
    assert rule_share(lower, pairs) == 0.5
    assert rule_share(more_central, pairs) == pytest.approx(1 / 3)
    assert rule_finds(lower, [(0, 0.9), (0, 0.8), (0, 0.1)])
    assert not rule_finds(lower, [(0, 0.9), (0.5, 0.9), (0, 0.1)])
    assert rule_finds(more_central, [(0.4, 0.4), (0.9, 0.9), (0.5, 0)])


def test_a_mean_of_one_sample_a_photograph_has_the_usual_error() -> None:
    values = [1.0, 0.5, 0.0, 1.0]
    estimate = Estimate.of({str(number): [value] for number, value in enumerate(values)})
    assert (estimate.value, estimate.count) == (0.625, 4)
    assert estimate.error == pytest.approx(np.std(values, ddof=1) / 2)


def test_samples_of_one_photograph_are_not_independent() -> None:
    alone = Estimate.of({str(number): [float(number % 2)] for number in range(4)})
    doubled = Estimate.of({str(number): [float(number % 2)] * 5 for number in range(4)})
    assert alone.error == pytest.approx(doubled.error)  # more of the same tells nothing more
    assert (alone.count, doubled.count) == (4, 20)


def test_an_error_needs_two_photographs() -> None:
    assert Estimate.of({"one": [1.0, 0.0]}) == Estimate(0.5, None, 2)
    assert math.isnan(Estimate.of({"one": []}).value)


def test_measured_disparity_orders_pixels() -> None:
    disparity = np.full((20, 30), np.nan, np.float32)
    disparity[:, 5:] = np.arange(1, 26) * 2
    assert disparity_order(disparity, disparity) == 1
    assert disparity_order(-disparity, disparity) == 0
    assert disparity_order(np.ones((1, 1)), disparity) == 0
    assert disparity_order(np.repeat(np.arange(60)[None], 2, 0), disparity) == 1  # a map of another size
    assert disparity_order(np.random.default_rng(1).random((20, 30)), disparity) == pytest.approx(0.5, abs=0.05)


def test_any_maker_of_maps_is_scored(photo_order: PhotoOrder, packages: Path) -> None:
    sizes = []

    def lower_is_nearer(image: Image.Image) -> np.ndarray:
        sizes.append(image.size)
        return np.arange(8.0)[:, None].repeat(3, axis=1)

    scores = score_maps(open_photographs(packages, photo_order=photo_order).found, lower_is_nearer)
    assert sizes == [(60, 40)] * 3
    assert scores.pairs_of == {"cat": 0.5, "tree": 0, "bear": 1}
    assert scores.nearest_of == {"cat": 1, "bear": 0}
    assert (scores.pairs.value, scores.pairs.count) == (0.5, 3)
    assert scores.pairs.error == pytest.approx(0.5 / math.sqrt(3))
    assert (scores.nearest.value, scores.nearest.count) == (0.5, 2)


def test_a_map_of_another_shape_is_named(photo_order: PhotoOrder, packages: Path) -> None:
    found = open_photographs(packages, photo_order=photo_order).found
    with pytest.raises(ValueError, match=r"not \(1, 2, 3\) as that of cat"):
        score_maps(found, lambda image: np.ones((1, 2, 3)))

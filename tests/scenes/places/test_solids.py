"""Space: boxes turned about the vertical, against a grid of sample points."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

from perceptio.scenes.places.solids import Site, Solid, around, overlap


def contains(solid: Solid, points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0] - solid.foot[0], points[:, 1] - solid.foot[1]
    c, s = math.cos(solid.yaw), math.sin(solid.yaw)
    right, back = c * x + s * y, -s * x + c * y
    inside = (abs(right) <= solid.size[0] / 2) & (abs(back) <= solid.size[1] / 2)
    return inside & (points[:, 2] >= solid.foot[2]) & (points[:, 2] <= solid.top)


def drawn(rng: random.Random) -> Solid:
    foot = (rng.uniform(-1, 1), rng.uniform(-1, 1), rng.choice((0.0, 0.4, 1.0)))
    return Solid(foot, (rng.uniform(0.3, 1.5), rng.uniform(0.3, 1.5), 0.5), rng.uniform(0, math.tau))


def test_overlap_agrees_with_points():
    axis = np.linspace(-2, 2, 81)
    points = np.stack(np.meshgrid(axis, axis, np.linspace(0.05, 1.45, 8)), -1).reshape(-1, 3)
    rng, found = random.Random(0), []
    for _ in range(60):
        a, b = drawn(rng), drawn(rng)
        shared = bool((contains(a, points) & contains(b, points)).any())
        # points see an overlap only if it is larger than their spacing
        assert overlap(a, b) or not shared
        if not shared:
            assert not overlap(a, b, gap=-0.12)
        found.append(overlap(a, b))
    assert 10 < sum(found) < 50


def test_gap_and_height_keep_things_apart():
    a = Solid((0, 0, 0), (1, 1, 1))
    beside, above = Solid((1.05, 0, 0), (1, 1, 1)), Solid((0, 0, 1.0), (1, 1, 1))
    assert not overlap(a, beside)
    assert overlap(a, beside, gap=0.1)
    assert not overlap(a, above)


def test_corners_matrix_and_places_follow_the_turn():
    solid = Solid((2, 3, 0.5), (2, 4, 1), math.pi / 2)
    assert solid.at(1, 0) == pytest.approx((2, 4))
    assert np.array(solid.corners) == pytest.approx(np.array([(4, 2), (4, 4), (0, 4), (0, 2)]))
    placed = solid.matrix((1, 2, 0.5)) @ (0.5, 0, 0, 1)  # a model of half the size: its right end
    assert placed[:3] == pytest.approx((2, 4, 0.5))


def test_a_site_takes_what_fits_and_nothing_twice():
    site = Site((2.0, 2.0), 2.5)
    chair = Solid((0, 0, 0), (0.5, 0.5, 1))
    assert site.free(chair)
    site.take(chair)
    assert not site.free(chair)
    assert site.free(Solid((0.6, 0, 0), (0.5, 0.5, 1)))
    assert not site.free(Solid((1.9, 0, 0), (0.5, 0.5, 1)))  # through a wall
    assert not site.free(Solid((1, 1, 0), (0.5, 0.5, 2.6)))  # through the ceiling
    assert around((1, 1, 1), 0.2) == Solid((1, 1, 0.8), (0.4, 0.4, 0.4))

"""Errors of depth maps against numpy's least squares and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from perceptio.depth.metrics import depth_errors, nearest_point, perplexity, usage


def test_perfect_map_has_no_error():
    depth = np.random.default_rng(0).uniform(0.5, 12, (20, 30)).astype(np.float32)
    inverse = 1 / depth.astype(np.float64)
    truth = (0.9 * (inverse - inverse.mean())).astype(np.float32)  # any scale and shift
    found = depth_errors(truth, truth, depth, 12)
    assert found.mae == 0
    assert found.abs_rel == pytest.approx(0, abs=1e-5)
    assert found.delta == 1


def test_errors_by_hand():
    depth = np.array([[1.0, 2.0], [4.0, 4.0]], np.float32)  # mean of 1 / z is 0.5: a flat map says 2 m everywhere
    flat, truth = np.zeros((2, 2), np.float32), np.array([[1.0, -0.5], [-1.0, 0.5]], np.float32)
    found = depth_errors(flat, truth, depth, 4)
    assert found.mae == pytest.approx(0.75)
    assert found.abs_rel == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    assert found.delta == 0.25


def test_delta_counts_what_is_too_far_and_too_near_alike():
    # a flat map says 2 m everywhere: 1 / z has the mean 0.5
    inverse = np.array([[0.5 * 1.2, 0.5 * 0.8 + 0.01, 0.5 * 1.3, 0.5 * 0.7 - 0.01]])
    assert inverse.mean() == 0.5
    found = depth_errors(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32), 1 / inverse, 3)
    # ratios 1.2, 1 / 0.82, 1.3 and 1 / 0.68
    assert found.delta == 0.5


def test_points_beyond_the_farthest_are_clipped():
    prediction = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    inverse = np.array([[0.01, 0.01, 0.01, 1.0]])
    slope, offset = np.polyfit(prediction[0], inverse[0], 1)
    assert offset < 0  # the straight line would put the first point behind the camera
    distances = [150.0, *(1 / (slope * x + offset) for x in (1, 2, 3))]
    expected = np.mean([abs(z - truth) / truth for z, truth in zip(distances, 1 / inverse[0], strict=True)])
    found = depth_errors(prediction, prediction, 1 / inverse, 150.0)
    assert found.abs_rel == pytest.approx(expected, rel=1e-6)
    assert found.mae == 0


def test_nearest_point_reads_x_before_y():
    values = np.arange(12.0).reshape(3, 4)  # largest at the bottom right
    assert nearest_point(values, [(0.0, 0.0), (0.99, 0.0), (0.0, 0.99)]) == 2  # 0, 3 and 8
    assert nearest_point(values, [(0.5, 0.4), (0.74, 0.34), (0.2, 0.65)]) == 0  # 6, 6 and 4: the first of equals
    assert nearest_point(values.T.copy(), [(0.99, 0.0), (0.0, 0.99)]) == 0  # 8 and 3


@pytest.mark.parametrize("codes", [1, 2, 128])
def test_perplexity_of_even_use_is_the_number_of_codes(codes):
    counts = np.full(codes, 7)
    assert perplexity(counts) == pytest.approx(codes)
    assert usage(counts) == 1


def test_perplexity_of_one_code_is_one():
    counts = np.zeros(16, np.int64)
    counts[3] = 50
    assert perplexity(counts) == 1
    assert usage(counts) == 1 / 16


def test_perplexity_by_hand():
    counts = np.array([2, 1, 1, 0])
    assert perplexity(counts) == pytest.approx(math.exp(0.5 * math.log(2) + 0.5 * math.log(4)))
    assert usage(counts) == 0.75

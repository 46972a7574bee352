"""Alignment against numpy's least squares, errors against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.depth.alignment import align, aligned_depth, aligned_errors, valid_pixels


@pytest.mark.parametrize("seed", range(5))
def test_alignment_matches_polyfit_and_lstsq(seed):
    rng = np.random.default_rng(seed)
    prediction = rng.uniform(-1, 1, (9, 13)).astype(np.float32)
    target = 0.3 * prediction + 0.5 + rng.normal(0, 0.2, prediction.shape)
    found = align(prediction, target)
    x = prediction.astype(np.float64).ravel()
    slope, offset = np.polyfit(x, target.ravel(), 1)
    np.testing.assert_allclose(found, slope * prediction.astype(np.float64) + offset, rtol=1e-8)
    solution = np.linalg.lstsq(np.column_stack([x, np.ones_like(x)]), target.ravel(), rcond=None)[0]
    np.testing.assert_allclose(found.ravel(), np.column_stack([x, np.ones_like(x)]) @ solution, rtol=1e-8)
    assert found.dtype == np.float64


def test_alignment_of_a_constant_map_is_the_mean():
    target = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert align(np.full((2, 2), 0.3, np.float32), target).tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_the_fit_is_numpys_least_squares() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.5, 10, 400)
    prediction = (0.7 / depth - 0.3 + rng.normal(0, 0.05, 400)).astype(np.float32)
    columns = np.stack([prediction.astype(np.float64), np.ones(400)], 1)
    (scale, shift), *_ = np.linalg.lstsq(columns, 1 / depth, rcond=None)
    expected = 1 / np.maximum(scale * prediction.astype(np.float64) + shift, 1 / 10)
    np.testing.assert_allclose(aligned_depth(prediction, depth, 10), expected, rtol=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.02, 5), (-3, 1)])
def test_scale_and_shift_do_not_matter(scale: float, shift: float) -> None:
    depth = np.array([[1.0, 2.0], [4.0, 8.0]])
    errors = aligned_errors(scale / depth + shift, depth, 8)
    assert errors.abs_rel == pytest.approx(0, abs=1e-9)
    assert errors.rmse == pytest.approx(0, abs=1e-9)
    assert errors.deltas == (1, 1, 1)


def test_a_constant_map_is_the_mean_inverse_depth() -> None:
    # inverse depths 1, 1/2, 1/4, 1/4: mean 1/2, so 2 m everywhere, against 1, 2, 4, 4 m
    errors = aligned_errors(np.zeros((2, 2)), np.array([[1.0, 2.0], [4.0, 4.0]]), 100)
    assert errors.abs_rel == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)
    assert errors.rmse == pytest.approx(np.sqrt((1 + 0 + 4 + 4) / 4))
    assert errors.deltas == (0.25, 0.25, 0.25)


def test_shares_within_powers_of_a_quarter() -> None:
    # the mean inverse depth is 0.5, so 2 m everywhere; ratios 1, 1, 1.4, 5/3, 1.8 and 5
    inverse = np.array([[0.5, 0.5, 0.7], [0.3, 0.9, 0.1]])
    errors = aligned_errors(np.ones((2, 3)), 1 / inverse, 100)
    assert errors.deltas == pytest.approx((2 / 6, 3 / 6, 5 / 6))  # bounds 1.25, 1.5625, 1.953


def test_what_falls_behind_the_camera_lies_at_the_farthest_depth() -> None:
    # the fit to (0, 1), (1, 1), (2, 0.01), (10, 0.01) is 0.79 - 0.087 x: negative at 10
    found = aligned_depth(np.array([0.0, 1.0, 2.0, 10.0]), np.array([1.0, 1.0, 100.0, 100.0]), 100)
    assert found[3] == 100
    assert ((found[:3] > 1) & (found[:3] < 2)).all()


@pytest.mark.parametrize("unknown", [0.0, -1.0, np.nan, np.inf])
def test_unknown_depth_takes_no_part(unknown: float) -> None:
    depth = np.array([[1.0, 2.0, unknown], [4.0, 8.0, 5.0]])
    prediction = 3 / np.where(valid_pixels(depth), depth, 1) + 1
    prediction[0, 2] = 1000
    assert valid_pixels(depth).tolist() == [[True, True, False], [True, True, True]]
    assert aligned_errors(prediction, depth, 8).abs_rel == pytest.approx(0, abs=1e-9)


def test_no_valid_pixel_and_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="no valid pixel"):
        aligned_errors(np.zeros((2, 2)), np.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match="cannot be compared"):
        aligned_errors(np.zeros((2, 2)), np.ones((2, 3)), 1)

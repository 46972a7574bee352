"""Relative inverse depth: its scale, its ends, its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth, resize_nearest


def sample(shape: tuple[int, int] = (40, 30), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, size=shape)


def test_values_span_minus_one_to_one_between_the_quantiles():
    values = sample((200, 100))
    found = normalize_inverse_depth(values)
    ordered = np.sort(values.ravel())
    low, high = ordered[40], ordered[-41]  # 0.2 per cent of 20 000 on either side
    expected = np.clip((values - low) / (high - low) * 2 - 1, -1, 1)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the quantile lies between two values
    assert (found == -1).sum() == (found == 1).sum() == 40
    assert found.dtype == np.float32
    assert found.shape == (200, 100)


def test_one_near_pixel_does_not_squeeze_the_rest():
    values = sample()
    spoilt = values.copy()
    spoilt[0, 0] = 1e6
    rest = np.ones(values.shape, bool)
    rest[0, 0] = False
    assert np.abs(normalize_inverse_depth(spoilt) - normalize_inverse_depth(values))[rest].max() < 0.15
    assert normalize_inverse_depth(spoilt)[0, 0] == 1


@pytest.mark.parametrize(("scale", "shift"), [(3.0, 0.0), (1e-4, 5.0), (1e5, -7.0)])
def test_scale_and_shift_of_the_teacher_do_not_matter(scale, shift):
    values = sample()
    np.testing.assert_allclose(
        normalize_inverse_depth(scale * values + shift), normalize_inverse_depth(values), atol=1e-5
    )


def test_negation_turns_near_into_far():
    values = sample()
    np.testing.assert_allclose(normalize_inverse_depth(-values), -normalize_inverse_depth(values), atol=1e-6)


def test_input_is_not_changed_and_its_type_does_not_matter():
    values = sample().astype(np.float32)
    kept = values.copy()
    np.testing.assert_allclose(
        normalize_inverse_depth(values), normalize_inverse_depth(values.astype(np.float64)), atol=1e-6
    )
    np.testing.assert_array_equal(values, kept)
    assert normalize_inverse_depth(np.arange(12).reshape(3, 4)).dtype == np.float32


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_constant_map_is_zero(value):
    found = normalize_inverse_depth(np.full((6, 5), value))
    assert found.dtype == np.float32
    assert not found.any()
    assert found.shape == (6, 5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    values = sample()
    values[3, 4] = bad
    with pytest.raises(ValueError, match="not finite"):
        normalize_inverse_depth(values)


@pytest.mark.parametrize("shape", [(5,), (1, 5, 5), ()])
def test_other_dimensions_are_refused(shape):
    with pytest.raises(ValueError, match=r"2 dimensions \(H, W\)"):
        normalize_inverse_depth(np.ones(shape))


def test_metric_depth_keeps_its_order_with_the_nearest_at_one():
    depth = np.geomspace(0.5, 20.0, 1200).reshape(40, 30).astype(np.float32)  # nearest first
    found = inverse_depth_from_metric(depth).ravel()
    assert (np.diff(found) <= 0).all()
    assert found[0] == 1
    assert found[-1] == -1
    # linear in 1 / z: the value of the harmonic middle is 0
    low, high = np.quantile(1 / depth.astype(np.float64), (0.002, 0.998))
    middle = np.abs(depth.ravel() - 2 / (low + high)).argmin()
    assert abs(found[middle]) < 0.01


def test_unit_of_metric_depth_does_not_matter():
    depth = 1 + sample().astype(np.float32)
    np.testing.assert_allclose(inverse_depth_from_metric(depth), inverse_depth_from_metric(1000 * depth), atol=1e-4)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_depth_that_is_not_positive_is_refused(bad):
    depth = 1 + sample()
    depth[0, 0] = bad
    with pytest.raises(ValueError, match="must be positive everywhere"):
        inverse_depth_from_metric(depth)


def test_infinite_depth_is_as_far_as_can_be():
    depth = 1 + sample()
    depth[0, 0] = np.inf
    assert inverse_depth_from_metric(depth)[0, 0] == -1


@pytest.mark.parametrize(("shape", "size"), [((12, 12), 12), ((224, 224), 160), ((10, 17), 32), ((7, 5), 3)])
def test_resizing_matches_torch_s_nearest_exact(shape, size):
    values = sample(shape).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], (size, size), mode="nearest-exact")
    np.testing.assert_array_equal(resize_nearest(values, size), expected[0, 0].numpy())

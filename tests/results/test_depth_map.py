"""Depth maps and their forms."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.results import DepthMap

CODES = np.zeros((2, 2), np.int64)


@pytest.mark.parametrize("value", [None, [[True]], "x"])
def test_what_is_no_array_is_named(value: Any) -> None:
    array = np.zeros((2, 2), np.float32)
    with pytest.raises(TypeError, match="array must be a numpy array"):
        DepthMap(value, array)
    with pytest.raises(TypeError, match="codes must be a numpy array"):
        DepthMap(array, value)


def test_depth_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(1, 2, 2\) and \(4, 4\)"):
        DepthMap(np.zeros((1, 2, 2), np.float32), np.zeros((4, 4), np.int64))
    with pytest.raises(ValueError, match=r"got \(2, 2\) and \(16,\)"):
        DepthMap(np.zeros((2, 2), np.float32), np.zeros(16, np.int64))


def test_unit_lays_the_whole_range_on_zero_to_one() -> None:
    array = np.array([[-1, -0.5, 0, 1]], np.float32)
    unit = DepthMap(array, CODES).unit
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, [[0, 0.25, 0.5, 1]])


def test_pictures_hold_fixed_levels_and_white_is_near() -> None:
    """Not stretched to what the picture holds: half-way is half-way in every picture."""
    depth = DepthMap(np.array([[-1, -0.5, 0.25], [0, 0.25, 1]], np.float32), CODES)
    with Image.open(io.BytesIO(depth.png16())) as picture:
        assert picture.mode == "I;16"
        np.testing.assert_array_equal(np.asarray(picture), [[0, 16384, 40959], [32768, 40959, 65535]])
    with Image.open(io.BytesIO(depth.png8())) as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), [[0, 64, 159], [128, 159, 255]])

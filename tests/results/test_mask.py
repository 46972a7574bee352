"""Masks: run lengths, boxes, polygons, PNG."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from perceptio.results import Mask

RNG = np.random.default_rng(0)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
@pytest.mark.parametrize(
    "array",
    [
        np.zeros((7, 5), bool),
        np.ones((7, 5), bool),
        np.ones((1, 1), bool),
        RNG.random((33, 47)) > 0.5,
        RNG.random((500, 3)) > 0.01,
        (RNG.random((64, 64)) > 0.5)[:, ::2],  # not contiguous
    ],
    ids=["empty", "full", "pixel", "noise", "tall", "strided"],
)
def test_run_lengths_are_read_back_by_pycocotools(array: np.ndarray) -> None:
    encoded = json.loads(json.dumps(Mask(array, 1.0).rle))
    assert encoded["size"] == list(array.shape)
    np.testing.assert_array_equal(coco.decode(encoded).astype(bool), array)
    assert coco.area(encoded) == array.sum()


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), np.uint8), np.zeros((1, 2, 2), bool), np.zeros(4, bool), np.zeros((2, 2), np.float32)]
)
def test_mask_of_another_kind_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a mask is an \(H, W\) array of bool, got"):
        Mask(array, 1.0)


@pytest.mark.parametrize("value", [None, [[True]], "x"])
def test_what_is_no_array_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="array must be a numpy array"):
        Mask(value, 1.0)


def test_numpy_scores_are_json_too() -> None:
    assert json.loads(json.dumps(Mask(np.ones((2, 2), bool), np.float32(0.5)).to_dict()))["score"] == 0.5  # type: ignore[arg-type]


def test_box_holds_the_mask_and_no_more() -> None:
    array = np.zeros((40, 30), bool)
    array[5, 3] = array[19, 8] = True
    assert Mask(array, 1.0).bbox == (3, 5, 9, 20)
    left, top, right, bottom = Mask(array, 1.0).bbox or ()
    x, y, width, height = coco.toBbox(Mask(array, 1.0).rle)
    assert (left, top, right - left, bottom - top) == (x, y, width, height)
    assert Mask(np.zeros((4, 4), bool), 1.0).bbox is None


def test_png_holds_one_bit_a_pixel() -> None:
    array = RNG.random((33, 47)) > 0.5
    with Image.open(io.BytesIO(Mask(array, 1.0).png)) as picture:
        assert picture.mode == "1"
        np.testing.assert_array_equal(np.asarray(picture), array)

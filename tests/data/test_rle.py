"""COCO's masks, against pycocotools."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.rle import LONGEST_OUTLINE, json_rle, mask_rle, segmentation_rles, union_rle

HEIGHT, WIDTH = 40, 60


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_compressed_and_uncompressed_codes_agree_with_pycocotools(density: float) -> None:
    mask = np.asfortranarray(np.random.default_rng(0).random((HEIGHT, WIDTH)) < density).astype(np.uint8)
    counts = coco.encode(mask)["counts"].decode()
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([*([0, 0] if flat[0] else [0]), *edges, flat.size]).tolist()
    for form in (counts, counts.encode(), runs):
        (code,) = segmentation_rles({"size": [HEIGHT, WIDTH], "counts": form}, HEIGHT, WIDTH)
        assert np.array_equal(coco.decode(code), mask)


def test_a_union_is_not_a_sum() -> None:
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 3:20, 5:30] = masks[1, 10:30, 20:50] = True
    whole = union_rle([mask_rle(mask) for mask in masks], HEIGHT, WIDTH)
    assert np.array_equal(coco.decode(whole), masks.any(0))
    assert coco.area(union_rle([], HEIGHT, WIDTH)) == 0


def test_a_mask_survives_json() -> None:
    mask = np.random.default_rng(1).random((HEIGHT, WIDTH)) < 0.3
    written = json.dumps(json_rle(mask_rle(mask)))
    assert np.array_equal(coco.decode(json.loads(written)), mask)


def test_the_code_of_a_mask_is_that_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for number in range(300):
        height, width = rng.integers(1, 12, 2)
        mask = rng.random((height, width)) < (0, 1, rng.random())[number % 3]
        assert mask_rle(mask) == coco.encode(np.asfortranarray(mask.astype(np.uint8)))


SIZE = [HEIGHT, WIDTH]
FAR = [1.0, 1.0, 20.0, 1.0, 20.0, 9.0]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        *(
            ([[*FAR[:-1], value]], rf"\(20\.0, {name}\) lies outside the picture of 60 x 40")
            for value, name in (
                (float("nan"), "nan"),
                (float("inf"), "inf"),
                (-1e9, r"-1000000000\.0"),
                (2.1e8, r"210000000\.0"),
                (10**400, "a number of many digits"),
            )
        ),
        ([[*FAR[:-1], "9"]], r"a polygon holds text \('9'\)"),
        ([[*FAR[:-1], True]], "a polygon holds True"),
        ([[*FAR[:-1], None]], "a polygon holds null"),
        ([FAR[:-1]], "neither a list of polygons nor a run-length code"),
        ([5.0], "neither"),
        ("a mask", r"but text \('a mask'\)"),
        (None, "but null"),
        (
            {"size": [10**9, 10**9], "counts": "0"},
            r"its mask is \[1000000000, 1000000000\] but the image is \[40, 60\]",
        ),
        ({"size": 5, "counts": "0"}, "its mask is 5"),
        ({"counts": "0"}, "its mask is null"),
        ({"size": SIZE}, "its counts are neither text nor a list"),
        ({"size": SIZE, "counts": [2400.0]}, "its counts are neither"),
        ({"size": SIZE, "counts": [-1, 2401]}, "do not add up to 40 x 60"),
        ({"size": SIZE, "counts": [2**63, 10**30]}, "do not add up"),
        ({"size": SIZE, "counts": []}, "do not add up"),
        ({"size": SIZE, "counts": "01"}, "do not add up"),
        ({"size": SIZE, "counts": "ooo"}, "is cut short"),
        ({"size": SIZE, "counts": "oooooooooooo0"}, "a number of 13 groups"),
        ({"size": SIZE, "counts": "\xe9\ud800"}, "holds characters that no run-length code has"),
        ({"size": SIZE, "counts": b"\xff"}, "holds characters"),
    ],
)
def test_what_is_no_mask_of_the_picture_is_refused_before_it_is_drawn(segmentation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation_rles(segmentation, HEIGHT, WIDTH)


@pytest.mark.parametrize("size", [(0, 5), (-3, -3), (10**6, 10**6), ("5", 5), (5.0, 5)])
def test_what_is_no_size_of_an_image_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match=f"its image is {size[1]!r} x {size[0]!r} pixels"):
        segmentation_rles([FAR], *size)


def test_polygons_that_go_to_and_fro_without_end_are_refused() -> None:
    side = 10_000
    zigzag = [[0.0, 0.0, side, side] * (LONGEST_OUTLINE // side)]
    with pytest.raises(ValueError, match=f"px long, and {LONGEST_OUTLINE} at most are drawn"):
        segmentation_rles(zigzag, side, side)


def test_what_a_polygon_has_outside_is_cut_off_within_the_given_distance() -> None:
    outside = [-3.0, 5.0, 70.0, 5.0, 70.0, 25.0, -3.0, 25.0]
    (code,) = segmentation_rles([outside], HEIGHT, WIDTH)
    assert np.array_equal(coco.decode(code), np.repeat([[0], [1], [0]], [5, 20, 15], 0).repeat(WIDTH, 1))
    with pytest.raises(ValueError, match=r"\(-3\.0, 5\.0\) lies outside"):
        segmentation_rles([outside], HEIGHT, WIDTH, beyond=1.0)


def test_any_text_is_a_code_of_the_size_or_refused() -> None:
    """Those that are let through decode to as many pixels as their runs say: nothing was written past the end."""
    rng, kept = np.random.default_rng(0), 0
    good = mask_rle(rng.random((HEIGHT, WIDTH)) < 0.4)["counts"].decode()
    for _ in range(400):
        text = list(good)
        for place in rng.integers(len(text), size=rng.integers(1, 4)):
            text[place] = chr(rng.integers(48, 112))
        try:
            (code,) = segmentation_rles({"size": SIZE, "counts": "".join(text)}, HEIGHT, WIDTH)
        except ValueError:
            continue
        kept += 1
        assert coco.decode(code).sum() == coco.area(code)
    assert 0 < kept < 400

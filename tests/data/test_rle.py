"""COCO's masks, against pycocotools."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.rle import json_rle, mask_rle, segmentation_rles, union_rle

HEIGHT, WIDTH = 40, 60


@pytest.mark.parametrize("density", [0.0, 0.02, 0.5, 1.0])
def test_compressed_and_uncompressed_codes_agree_with_pycocotools(density: float) -> None:
    mask = np.asfortranarray(np.random.default_rng(0).random((HEIGHT, WIDTH)) < density).astype(np.uint8)
    counts = coco.encode(mask)["counts"].decode()
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([*([0, 0] if flat[0] else [0]), *edges, flat.size]).tolist()
    for form in (counts, runs):
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

"""Outlines of masks, filled again by pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from perceptio.pipeline import Perceptio
from perceptio.results import Mask
from perceptio.results.contours import polygons

RNG = np.random.default_rng(0)
Y, X = np.mgrid[:120, :150]
RADIUS = np.hypot(Y - 60, X - 70)
SHAPES = {
    "pixel": np.pad(np.ones((1, 1), bool), 3),
    "whole picture": np.ones((30, 40), bool),
    "line": np.eye(20, dtype=bool),
    "disk": RADIUS < 41.3,
    "ring": abs(RADIUS - 40) < 6,
    "ring in a ring": (abs(RADIUS - 50) < 5) | (abs(RADIUS - 25) < 8),
    "several parts": (RADIUS < 20) | (X > 130) | (Y < 4),
    "sieve": (RADIUS < 55) & ((X % 9 > 2) | (Y % 7 > 1)),
    "noise": RNG.random((60, 50)) > 0.5,
}


def filled(outlines: list[list[float]], shape: tuple[int, ...]) -> np.ndarray:
    return coco.decode(coco.merge(coco.frPyObjects(outlines, *shape))).astype(bool)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools
@pytest.mark.parametrize("mask", SHAPES.values(), ids=SHAPES)
def test_polygons_give_the_mask_again(mask: np.ndarray) -> None:
    found = polygons(mask)
    np.testing.assert_array_equal(filled(found, mask.shape), mask)
    for polygon in found:
        points = np.reshape(polygon, (-1, 2))
        assert len(points) >= 3
        assert (points >= 0).all()
        assert (points <= mask.shape[::-1]).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_tiny_masks_come_back_too() -> None:
    for _ in range(100):
        mask = RNG.random(RNG.integers(1, 9, 2)) > RNG.random()
        if mask.any():
            np.testing.assert_array_equal(filled(polygons(mask), mask.shape), mask)


def test_a_part_is_one_polygon_and_a_hole_is_left_empty_by_others_too() -> None:
    """Pillow fills by another rule than pycocotools; holes stay holes."""
    mask = SHAPES["ring in a ring"]
    found = polygons(mask)
    assert len(found) == 2
    canvas = Image.new("1", mask.shape[::-1])
    for polygon in found:
        ImageDraw.Draw(canvas).polygon(polygon, fill=1)
    drawn = np.asarray(canvas)
    assert not drawn[60, 70]
    assert not drawn[60, 70 + 38]
    assert drawn[60, 70 + 25]
    assert drawn[60, 70 + 50]


def test_the_slit_to_a_hole_is_short() -> None:
    (polygon,) = polygons(SHAPES["ring"])
    points = np.reshape(polygon, (-1, 2))
    length = np.hypot(*(points - np.roll(points, 1, 0)).T).sum()
    assert length < 1.1 * 2 * np.pi * (46 + 34) + 2 * 14


def test_straight_edges_need_few_points() -> None:
    box = np.zeros((100, 100), bool)
    box[10:90, 20:70] = True
    (polygon,) = polygons(box)
    assert len(polygon) // 2 <= 8
    assert len(polygons(SHAPES["disk"])[0]) // 2 < 41.3 * np.pi  # half of its pixels along the edge


def test_nothing_has_no_outline() -> None:
    assert polygons(np.zeros((5, 4), bool)) == []


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_masks_of_a_model_come_back(tiny: Perceptio) -> None:
    noise = RNG.integers(0, 256, (130, 170, 3), np.uint8)
    with tiny.open(noise) as picture:
        masks: list[Mask] = picture.segment(boxes=[[10, 10, 120, 100], [50, 20, 160, 125]])
    assert any(mask.array.any() for mask in masks)
    for mask in masks:
        if mask.array.any():
            np.testing.assert_array_equal(filled(mask.polygons, mask.array.shape), mask.array)

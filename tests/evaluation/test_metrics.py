"""Mask scores against brute force and pycocotools; running shares and means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.rle import mask_rle
from perceptio.evaluation.judged import Overlap
from perceptio.evaluation.metrics import MaskScore, Mean, Share


def random_masks(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions and targets, rectangles that overlap more or less; some predictions are empty."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        target = np.zeros((24 + number, 31), bool)
        y, x = rng.integers(0, 12, 2)
        target[y : y + 9, x : x + 11] = True
        predicted = np.roll(target, tuple(rng.integers(-5, 6, 2)), (0, 1)) & (rng.random(target.shape) > 0.1)
        if number % 5 == 4:
            predicted[:] = False
        pairs.append((predicted, target))
    return pairs


def scored(pairs) -> MaskScore:
    score = MaskScore()
    for predicted, target in pairs:
        overlap = Overlap.of(predicted, target)
        score.add(overlap.intersection, overlap.union)
    return score


def test_scores_by_brute_force():
    pairs = random_masks(15)
    intersections, unions = [], []
    for predicted, target in pairs:
        both = either = 0
        for a, b in zip(predicted.ravel().tolist(), target.ravel().tolist(), strict=True):
            both += a and b
            either += a or b
        intersections.append(both)
        unions.append(either)
    score = scored(pairs)
    assert score.ciou == sum(intersections) / sum(unions)
    assert score.giou == pytest.approx(np.mean([a / b for a, b in zip(intersections, unions, strict=True)]))
    assert score.count == 15
    assert score.ciou != pytest.approx(score.giou, abs=1e-3)


def test_iou_of_each_sample_is_pycocotools():
    for predicted, target in random_masks(12, seed=1):
        encoded = [[coco.encode(np.asfortranarray(mask.astype(np.uint8)))] for mask in (predicted, target)]
        expected = coco.iou(*encoded, [False])[0, 0]
        assert scored([(predicted, target)]).giou == pytest.approx(expected)


def test_large_objects_weigh_more_in_ciou_alone():
    small, large = np.zeros((2, 20, 20), bool)
    small[0, :2] = True
    large[:] = True
    score = scored([(small, small), (np.zeros_like(large), large)])  # the small one right, the large one missed
    assert score.ciou == 2 / 402
    assert score.giou == 0.5


def test_missing_mask_counts_as_nothing_found_and_empty_for_empty_as_right():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert scored([(empty, full)]).giou == 0
    assert scored([(full, empty)]).giou == 0
    absent = scored([(empty, empty)])
    assert absent.giou == 1
    assert math.isnan(absent.ciou)
    mixed = scored([(empty, empty), (full, full), (empty, full)])
    assert mixed.giou == pytest.approx(2 / 3)
    assert mixed.ciou == 0.5


def test_run_length_codes_give_the_overlap_of_their_pixels():
    for predicted, target in random_masks(40):
        assert Overlap.of_codes(mask_rle(predicted), mask_rle(target)) == Overlap.of(predicted, target)


def test_masks_of_different_sizes_are_refused():
    flat, tall = np.zeros((4, 5), bool), np.zeros((5, 4), bool)
    with pytest.raises(ValueError, match=r"\(4, 5\) cannot be compared with one of \(5, 4\)"):
        Overlap.of(flat, tall)
    with pytest.raises(ValueError, match=r"\[4, 5\] cannot be compared with one of \[5, 4\]"):
        Overlap.of_codes(mask_rle(flat), mask_rle(tall))


def test_share_and_mean():
    share, mean = Share(), Mean()
    for value in (True, False, np.bool_(True), True):
        share.add(value)
    for value in (1.0, 2.5, -0.5):
        mean.add(value)
    assert (share.right, share.count, share.value) == (3, 4, 0.75)
    assert share.error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)
    assert (mean.count, mean.value) == (3, 1.0)


@pytest.mark.parametrize("value", [MaskScore().ciou, MaskScore().giou, Share().value, Mean().value])
def test_no_samples_are_not_a_number(value):
    assert math.isnan(value)

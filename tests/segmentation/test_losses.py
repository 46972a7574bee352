"""Mask losses against hand-computed values, float64 and transformers' Mask2Former."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.models.mask2former import modeling_mask2former as mask2former

from perceptio.segmentation.bridge import MaskPrediction
from perceptio.segmentation.losses import (
    PointSampling,
    dice,
    intersection_over_union,
    mask_loss,
    point_cross_entropy,
    sample_points,
    uncertain_points,
)

FEW = PointSampling(points=256)


def prediction_of(logits: Tensor, iou: float = 0.5, object_logit: float = 0.0) -> MaskPrediction:
    masks = len(logits)
    return MaskPrediction(logits, torch.full((masks,), iou), torch.full((masks,), object_logit))


def squares(masks: int = 3, side: int = 32) -> Tensor:
    targets = torch.zeros(masks, side, side, dtype=torch.bool)
    for i in range(masks):
        targets[i, 4 + i : 20 + 2 * i, 6 : 18 + i] = True
    return targets


def test_sampled_values_are_bilinear() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    # pixel centres of a 2 x 2 map lie at a quarter and three quarters
    points = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0.5, 0.75], [0.0, 1.0]]])
    assert sample_points(maps, points).tolist() == [[0.0, 1.0, 2.0, 1.5, 2.5, 2.0]]


def test_sampled_values_match_mask2former_off_the_border() -> None:
    maps = torch.randn(4, 9, 7)
    points = torch.rand(4, 50, 2) * 0.8 + 0.1
    expected = mask2former.sample_point(maps[:, None], points, align_corners=False)[:, 0]
    torch.testing.assert_close(sample_points(maps, points), expected)


def test_cross_entropy_by_hand() -> None:
    logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.25]])
    expected = (math.log1p(math.exp(-2)) + 0.75 * math.log1p(math.exp(-1)) + 0.25 * math.log1p(math.exp(1))) / 2
    assert point_cross_entropy(logits, labels).item() == pytest.approx(expected)


def test_dice_in_float64() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(5, 40)), (rng.random((5, 40)) > 0.5).astype(float)
    probability = 1 / (1 + np.exp(-logits))
    expected = 1 - (2 * (probability * labels).sum(1) + 1) / (probability.sum(1) + labels.sum(1) + 1)
    found = dice(torch.tensor(logits, dtype=torch.float32), torch.tensor(labels, dtype=torch.float32))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_cross_entropy_and_dice_match_mask2former() -> None:
    logits, labels = torch.randn(6, 80), (torch.rand(6, 80) > 0.6).float()
    torch.testing.assert_close(
        point_cross_entropy(logits, labels).mean(), mask2former.sigmoid_cross_entropy_loss(logits, labels, 6)
    )
    torch.testing.assert_close(dice(logits, labels).mean(), mask2former.dice_loss(logits, labels, 6))


def test_sampled_losses_approach_the_dense_ones_with_uniform_points() -> None:
    torch.manual_seed(0)
    targets = squares()
    logits = torch.nn.functional.avg_pool2d(torch.randn(3, 1, 32, 32), 9, 1, 4)[:, 0] * 8
    found = mask_loss(prediction_of(logits), targets, PointSampling(points=60_000, importance=0.0))
    dense_bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
    assert found["bce"].item() == pytest.approx(dense_bce.item(), rel=0.02)
    dense_dice = dice(logits.flatten(1), targets.flatten(1).float()).mean()
    assert found["dice"].item() == pytest.approx(dense_dice.item(), rel=0.02)


def test_points_gather_where_the_logits_are_near_zero() -> None:
    torch.manual_seed(0)
    columns = torch.linspace(-8, 8, 64).expand(2, 64, 64)  # uncertain in the middle column only
    points = uncertain_points(columns, PointSampling(points=400, oversample=3, importance=0.75))
    assert points.shape == (2, 400, 2)
    assert 0 <= points.min() <= points.max() <= 1
    distance = (points[..., 0] - 0.5).abs()
    # 300 of 1200 candidates: the middle quarter of the width
    assert distance[:, :300].max() < 0.16
    assert distance[:, 300:].max() > 0.4  # the uniform rest


def test_iou_by_hand_and_at_the_size_of_the_targets() -> None:
    targets = torch.zeros(3, 8, 8, dtype=torch.bool)
    targets[0, :, :4] = True
    logits = torch.full((3, 4, 4), -5.0)
    logits[0, :2, :2] = 5.0  # a quarter of the image, half of the target
    logits[1, :2] = 5.0  # nothing is there
    assert intersection_over_union(logits, targets).tolist() == [0.5, 0.0, 1.0]


def test_perfect_prediction_costs_nothing() -> None:
    targets = squares()
    logits = torch.where(targets, 50.0, -50.0)
    # uniform points: between pixels even a perfect mask has no certain answer
    losses = mask_loss(prediction_of(logits, iou=1.0, object_logit=30.0), targets, PointSampling(2000, 1.0, 0.0))
    assert losses["score"] == 0
    assert losses["object"] < 1e-6
    inverted = mask_loss(prediction_of(-logits, iou=1.0), targets, PointSampling(2000, 1.0, 0.0))
    assert losses["bce"] < 0.05 * inverted["bce"]
    assert losses["dice"] < 0.05
    assert inverted["dice"] > 0.9
    assert inverted["score"] == 1


def test_confidence_heads_by_hand() -> None:
    targets = torch.zeros(2, 8, 8, dtype=torch.bool)
    targets[0, :, :4] = True  # the second object is absent
    logits = torch.full((2, 8, 8), -5.0)
    logits[0, :, :2] = 5.0  # IoU 0.5
    prediction = MaskPrediction(logits, torch.tensor([0.9, 0.7]), torch.tensor([1.0, 2.0]))
    losses = mask_loss(prediction, targets, FEW)
    assert losses["score"].item() == pytest.approx(0.4**2)  # of the present one alone
    assert losses["object"].item() == pytest.approx((math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2)


def test_absent_objects_shape_no_mask() -> None:
    targets = squares(2)
    targets[1] = False
    logits = torch.randn(2, 32, 32, requires_grad=True)
    losses = mask_loss(prediction_of(logits), targets, FEW)
    (losses["bce"] + losses["dice"]).backward()
    assert logits.grad is not None
    assert logits.grad[0].any()
    assert not logits.grad[1].any()


def test_no_masks_give_zero_losses_with_gradients() -> None:
    logits, iou, score = (torch.zeros(shape, requires_grad=True) for shape in ((0, 8, 8), (0,), (0,)))
    losses = mask_loss(MaskPrediction(logits, iou, score), torch.zeros(0, 32, 32, dtype=torch.bool), FEW)
    assert {name: value.item() for name, value in losses.items()} == dict.fromkeys(
        ("bce", "dice", "score", "object"), 0
    )
    assert all(value.requires_grad for value in losses.values())
    sum(losses.values()).backward()


def test_mismatched_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 predicted masks but 3 targets"):
        mask_loss(prediction_of(torch.zeros(2, 8, 8)), squares(3), FEW)


@pytest.mark.parametrize("wrong", [{"points": 0}, {"oversample": 0.5}, {"importance": 1.5}])
def test_wrong_sampling_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="importance in"):
        PointSampling(**wrong)  # type: ignore[arg-type]

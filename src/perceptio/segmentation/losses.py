"""Mask losses: cross-entropy and Dice on sampled points, and the two confidence heads of SAM 2.

Cross-entropy and Dice look at points, not pixels, drawn where the prediction is least certain, as in PointRend
(arXiv 1912.08193), Mask2Former (2112.01527) and Sa2VA (2501.04001); Sa2VA weighs them 2.0 and 0.5. Weights are left to
the caller: every function returns a plain mean over masks.

Shapes: M masks, (h, w) logits, (H, W) targets, P sampled points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from perceptio.segmentation.bridge import MaskPrediction


@dataclass(frozen=True)
class PointSampling:
    """How the points of a mask are drawn; the defaults are Mask2Former's."""

    points: int = 12544  # points a mask (112 x 112)
    oversample: float = 3.0  # candidates drawn for each point that uncertainty picks
    importance: float = 0.75  # share of points picked by uncertainty; the rest is uniform

    def __post_init__(self) -> None:
        if self.points < 1 or self.oversample < 1 or not 0 <= self.importance <= 1:
            raise ValueError(f"need points >= 1, oversample >= 1 and importance in [0, 1], not {self}")


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (M, P) of (M, h, w) maps at (M, P, 2) points, x before y, in [0, 1] of the whole image."""
    grid = 2 * points[:, None] - 1
    # beyond the centre of a border pixel its own value holds, rather than a fading to zero
    return F.grid_sample(maps[:, None], grid, padding_mode="border", align_corners=False)[:, 0, 0]


@torch.no_grad()
def uncertain_points(logits: Tensor, sampling: PointSampling, seeds: Sequence[int] | None = None) -> Tensor:
    """Random points (M, P, 2) in [0, 1], most of them where (M, h, w) logits are nearest zero.

    Args:
        logits: of the predicted masks.
        sampling: how many points.
        seeds: one for each mask, so that its points do not depend on what else is in the batch; torch's own generator
            by default.
    """
    masks = logits.shape[0]
    picked = round(sampling.points * sampling.importance)
    drawn = max(picked, round(sampling.points * sampling.oversample))
    if seeds is None:
        candidates = torch.rand(masks, drawn, 2, device=logits.device)
        uniform = torch.rand(masks, sampling.points - picked, 2, device=logits.device)
    else:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        points = [torch.rand(drawn + sampling.points - picked, 2, generator=each) for each in generators]
        stacked = torch.stack(points) if points else torch.zeros(0, drawn + sampling.points - picked, 2)
        candidates, uniform = stacked.to(logits.device).split([drawn, sampling.points - picked], 1)
    certainty = sample_points(logits, candidates).abs()
    chosen = certainty.topk(picked, dim=1, largest=False, sorted=False).indices
    uncertain = candidates.gather(1, chosen[..., None].expand(-1, -1, 2))
    return torch.cat([uncertain, uniform], dim=1)


def point_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of (M, P) logits against (M, P) labels in [0, 1], by mask. Returns (M,)."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice loss 1 - (2 |p y| + 1) / (|p| + |y| + 1) of (M, P) logits against (M, P) labels, by mask. Returns (M,)."""
    probability = logits.sigmoid()
    overlap = (probability * labels).sum(1)
    return 1 - (2 * overlap + 1) / (probability.sum(1) + labels.sum(1) + 1)


@torch.no_grad()
def intersection_over_union(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU (M,) with (M, H, W) bool of the masks that (M, h, w) logits give at that size; two empty masks give 1."""
    masks = F.interpolate(logits[:, None].float(), size=targets.shape[-2:], mode="bilinear")[:, 0] > 0
    intersection = (masks & targets).sum((1, 2))
    union = (masks | targets).sum((1, 2))
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0)


def mask_loss(
    prediction: MaskPrediction,
    targets: Tensor,
    sampling: PointSampling | None = None,
    seeds: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """The mask losses, each a scalar, unweighted.

    An empty target is an absent object: it teaches the object score only. Without masks (M = 0) every loss is a zero
    that still carries (zero) gradients.

    Args:
        prediction: of M masks, logits (M, h, w).
        targets: (M, H, W) bool.
        sampling: of points; Mask2Former's by default.
        seeds: as in `uncertain_points`.

    Returns:
        `bce` and `dice` on the sampled points; `score`, the squared error of the estimated IoU; `object`, the
        cross-entropy of the object score.
    """
    if targets.shape[0] != prediction.logits.shape[0]:
        raise ValueError(f"{prediction.logits.shape[0]} predicted masks but {targets.shape[0]} targets")
    sampling = sampling or PointSampling()
    targets = targets.bool()
    logits = prediction.logits.float()
    present = targets.flatten(1).any(1)
    shares = present / present.sum().clamp(min=1)  # a mean over the present masks, zero where there are none

    points = uncertain_points(logits, sampling, seeds)
    predicted = sample_points(logits, points)
    labels = sample_points(targets.float(), points)
    actual_iou = intersection_over_union(logits, targets)
    object_loss = F.binary_cross_entropy_with_logits(prediction.object_logit, present.float(), reduction="sum")
    return {
        "bce": (point_cross_entropy(predicted, labels) * shares).sum(),
        "dice": (dice(predicted, labels) * shares).sum(),
        "score": ((prediction.iou - actual_iou) ** 2 * shares).sum(),
        "object": object_loss / max(len(targets), 1),
    }

"""Mask losses on sampled points (PointRend's uncertainty sampling, as in Mask2Former and Sa2VA).

Legend: M masks, h x w size of the logits, H x W size of the targets, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from perceptio.segmentation.bridge import MaskPrediction


def sample_values(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of (M, h, w) float maps at (M, P, 2) points (x, y) in [0, 1]: (M, P)."""
    grid = points[:, :, None] * 2 - 1
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0, :, 0]


@torch.no_grad()
def sample_points(
    logits: Tensor, points: int, oversample: int = 3, importance: float = 0.75, generator: torch.Generator | None = None
) -> Tensor:
    """Points where the mask is undecided, and some anywhere.

    Args:
        logits: (M, h, w) float.
        points: P.
        oversample: candidates for each chosen point.
        importance: share of points taken from the most uncertain candidates.
        generator: random state.

    Returns:
        (M, P, 2) float32 (x, y) in [0, 1].
    """
    masks, uncertain = len(logits), int(importance * points)

    def uniform(count: int) -> Tensor:
        return torch.rand(masks, count, 2, device=logits.device, generator=generator)

    candidates = uniform(points * oversample)
    best = sample_values(logits.float(), candidates).abs().topk(uncertain, dim=1, largest=False).indices
    chosen = candidates.gather(1, best[:, :, None].expand(-1, -1, 2))
    return torch.cat([chosen, uniform(points - uncertain)], dim=1)


def bce_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy of (M, P) logits and (M, P) targets in [0, 1]: ()."""
    return F.binary_cross_entropy_with_logits(logits, targets)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over masks of 1 - (2 |A B| + 1) / (|A| + |B| + 1) on (M, P): ()."""
    probabilities = logits.sigmoid()
    overlap = 2 * (probabilities * targets).sum(1)
    return (1 - (overlap + 1) / (probabilities.sum(1) + targets.sum(1) + 1)).mean()


def mask_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU (M,) of (M, h, w) logits above 0 with (M, H, W) targets, at the logits' size; 0 where both are empty."""
    small = F.interpolate(targets[:, None].float(), logits.shape[-2:], mode="area")[:, 0] >= 0.5
    predicted = logits > 0
    union = (predicted | small).flatten(1).sum(1)
    return (predicted & small).flatten(1).sum(1) / union.clamp_min(1)


def mask_loss(prediction: MaskPrediction, targets: Tensor, points: int = 1024) -> dict[str, Tensor]:
    """The four mask losses of M predicted objects, all of them present in the image.

    Args:
        prediction: masks, predicted IoU and object logits of M objects.
        targets: (M, H, W) bool.
        points: sampled for each mask (12,544 at the parent's scale).

    Returns:
        `bce`, `dice`, `score` (squared error of the predicted IoU) and `object` (cross-entropy of presence), each ();
        zeros that keep the graph where M = 0.
    """
    if not len(targets):
        zero = prediction.logits.sum() + prediction.iou.sum() + prediction.object_logit.sum()
        return {"bce": zero, "dice": zero, "score": zero, "object": zero}
    where = sample_points(prediction.logits, points)
    logits = sample_values(prediction.logits, where)
    truth = sample_values(targets.float(), where)
    return {
        "bce": bce_loss(logits, truth),
        "dice": dice_loss(logits, truth),
        "score": F.mse_loss(prediction.iou, mask_iou(prediction.logits.detach(), targets)),
        "object": bce_loss(prediction.object_logit, torch.ones_like(prediction.object_logit)),
    }

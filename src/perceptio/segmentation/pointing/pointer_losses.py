"""What a pointer learns from: the cells that its object covers, SAM 2's own embedding of a click on it, whether it is
there at all, and what comes next. [ours], measured in docs/experiments.md.

A mask decoder that was trained on clicks understands no other prompt, and a projector that starts at random gets little
from its gradient. These losses say at once which visual tokens show the object, and where it lies for SAM.

Shapes: M masks of (H, W), V visual tokens, C width of SAM's prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import Sam2Model

from perceptio.segmentation.clicks import click_embeddings
from perceptio.segmentation.pointing.coverage import as_shares

ABSENT_SHARE = 1 / 6  # of the loss that says what is there


@dataclass(frozen=True)
class PointerWeights:
    """Weight of each loss of a pointer; 0 switches it off. A model without a pointer has none of them."""

    cells: float = 1.0  # the cells that a [SEG] points at, against those that its objects cover
    objectness: float = 1.0  # whether the best of those cells stands out, as it must where the object is there
    continuation: float = 0.5  # the same two of what comes next: its cells, and whether there is anything
    click: float = 20.0  # distance of the prompt from SAM2's embedding of a click on the object; 128 coordinates' mean


def cells_loss(logits: Tensor, covers: Tensor) -> Tensor:
    """Cross-entropy of the cells that a `[SEG]` state points at with those where it may.

    Args:
        logits: (M, V), see `Pointer.cells`.
        covers: (M, V) how much of each cell is covered by what it may point at, see `Coverage`; the targets are its
            shares, and a row of zeros is left out.

    Returns:
        () float32, the mean over rows; 0 (with a gradient path) where there is none.
    """
    present = covers.any(1)
    targets = as_shares(covers[present])
    losses = -(targets * logits[present].float().log_softmax(-1)).sum(1)
    return losses.sum() / max(len(losses), 1)


def objectness_loss(
    logits: Tensor, masks: Tensor, counts: tuple[Tensor | float, Tensor | float] | None = None
) -> Tensor:
    """Cross-entropy of whether objects are there, see `Pointer.objectness_logits`.

    Absent objects make up `ABSENT_SHARE` of it however few of them the questions name: counted alike, a dozen present
    ones for each of them set the threshold where a third of what is absent is found (docs/experiments.md).

    Args:
        logits: (M,).
        masks: (M, S, S) bool; an empty one is an absent object.
        counts: absent and present objects of the whole optimiser step; those of the masks by default.

    Returns:
        () float32, the weighted mean of the mean over present and that over absent objects, one of them alone where
        the other has none; 0 (with a gradient path) where M = 0.
    """
    present = masks.flatten(1).any(1)
    losses = F.binary_cross_entropy_with_logits(logits, present.to(logits.dtype), reduction="none")
    counted = counts or ((~present).sum(), present.sum())
    totals = torch.stack([torch.as_tensor(number, device=logits.device) for number in counted])
    class_weights = losses.new_tensor([ABSENT_SHARE, 1 - ABSENT_SHARE]) * (totals > 0)
    weights = (class_weights / totals.clamp(min=1))[present.long()]
    return (weights * losses).sum() / class_weights.sum().clamp(min=1e-9)


def click_loss(sam: Sam2Model, prompts: Tensor, masks: Tensor) -> Tensor:
    """Mean squared distance of prompts from the embeddings of clicks on their objects.

    Args:
        sam: its prompt encoder gives the targets.
        prompts: (M, C).
        masks: (M, S, S) bool at SAM's input size; an empty one (an absent object) has no place to click and is
            left out.

    Returns:
        () float32, the mean over present masks and C; 0 (with a gradient path) where there is none.
    """
    present = masks.flatten(1).any(1)
    points = click_points(masks[present])
    targets = click_embeddings(sam, points)
    return ((prompts[present].float() - targets) ** 2).sum() / max(targets.numel(), 1)


@torch.no_grad()
def click_points(masks: Tensor) -> Tensor:
    """The pixel of each (M, H, W) bool mask that is nearest its centroid: (M, 2) float32, x before y.

    An empty mask gives (0, 0).
    """
    height, width = masks.shape[-2:]
    rows = torch.arange(height, device=masks.device, dtype=torch.float32)
    columns = torch.arange(width, device=masks.device, dtype=torch.float32)
    area = masks.sum((1, 2)).clamp(min=1)
    row = (masks.sum(2) * rows).sum(1) / area
    column = (masks.sum(1) * columns).sum(1) / area
    distance = (rows[None, :, None] - row[:, None, None]) ** 2 + (columns[None, None] - column[:, None, None]) ** 2
    nearest = distance.masked_fill(~masks, torch.inf).flatten(1).argmin(1)
    return torch.stack([nearest % width, nearest // width], 1).float()

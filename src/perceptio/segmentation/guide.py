"""A guide for the `[SEG]` projector: SAM 2's own embedding of a click on the object.

A mask decoder that was trained on clicks understands no other prompt, and a projector that starts at random gets little
from its gradient; trained together at full rate the two agree on drawing nothing. The guide says at once where in SAM's
prompt space an object lies. [ours], measured in docs/experiments.md.

Shapes: M masks of (H, W), C width of SAM's prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Sam2Model


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


def prompt_loss(sam: Sam2Model, prompts: Tensor, masks: Tensor) -> Tensor:
    """Mean squared distance of projected prompts from the embeddings of clicks on their objects.

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
    with torch.no_grad(), torch.autocast(prompts.device.type, enabled=False):
        labels = torch.ones(len(points), 1, 1, dtype=torch.int64, device=points.device)
        embedded, _ = sam.prompt_encoder(points[:, None, None], labels, None, None)
        targets = embedded[:, 0, 0].float()  # the token beside it says only that there is no box
    return ((prompts[present].float() - targets) ** 2).sum() / max(targets.numel(), 1)

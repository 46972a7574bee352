"""Training a small SAM 2 from nothing, on points and boxes.

A frozen image encoder is worth something only if it was trained. Published checkpoints were; the nano model's is
trained here, prompt encoder and mask decoder with it, on any pictures with instance maps, before `[SEG]` takes over.

Shapes: B images, S image side, P point prompts and Q box prompts an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Sam2Model

from perceptio.nano.sam_prompts import PromptedImage
from perceptio.segmentation.bridge import ImageFeatures, MaskPrediction, decode_masks, encode_image
from perceptio.segmentation.losses import PointSampling, mask_loss
from perceptio.segmentation.preprocess import normalize

LOSS_WEIGHTS = {"bce": 2.0, "dice": 0.5, "score": 0.05, "object": 0.05}


def collate(items: Sequence[PromptedImage]) -> dict[str, Tensor]:
    """Stack prompted images to the arguments of `SamPretraining.forward`."""
    return {name: torch.stack([torch.from_numpy(item[name]) for item in items]) for name in items[0]}


class SamPretraining(nn.Module):
    """Every part of SAM 2 in training, on one mask per prompt.

    Args:
        sam: the model; the mask-prompt branch of its prompt encoder, which nothing here uses, is frozen.
        sampling: of the loss's points.
    """

    def __init__(self, sam: Sam2Model, sampling: PointSampling | None = None) -> None:
        super().__init__()
        self.sam = sam
        self.sampling = sampling or PointSampling(points=1024)
        sam.prompt_encoder.mask_embed.requires_grad_(False)
        sam.prompt_encoder.no_mask_embed.requires_grad_(True)

    def predict(self, pixels: Tensor, points: Tensor, boxes: Tensor) -> MaskPrediction:
        """Masks of the points, then of the boxes, image by image within each.

        Args:
            pixels: (B, 3, S, S) uint8.
            points: (B, P, 2) float32, x before y, in pixels of the S x S image.
            boxes: (B, Q, 4) float32, x0 y0 x1 y1, likewise.

        Returns:
            Prediction of M = B P + B Q masks.
        """
        features = encode_image(self.sam, normalize(pixels), frozen=False)
        encoder = self.sam.prompt_encoder
        labels = torch.ones(points.shape[:2], dtype=torch.int64, device=points.device)
        by_point, _ = encoder(points[:, :, None], labels[:, :, None], None, None)
        by_box, _ = encoder(None, None, boxes, None)
        parts = [self._decode(features, prompts) for prompts in (by_point, by_box)]
        return MaskPrediction(
            logits=torch.cat([part.logits for part in parts]),
            iou=torch.cat([part.iou for part in parts]),
            object_logit=torch.cat([part.object_logit for part in parts]),
        )

    def _decode(self, features: ImageFeatures, prompts: Tensor) -> MaskPrediction:
        images, count = prompts.shape[:2]
        index = torch.arange(images, device=prompts.device).repeat_interleave(count)
        return decode_masks(self.sam, features, index, prompts.flatten(0, 1))

    def forward(
        self, pixels: Tensor, ids: Tensor, points: Tensor, point_ids: Tensor, boxes: Tensor, box_ids: Tensor
    ) -> dict[str, Any]:
        """Weighted loss and its parts.

        Args:
            pixels: (B, 3, S, S) uint8.
            ids: (B, H, W) uint8 instance maps.
            points: (B, P, 2) float32 pixels of the S x S image.
            point_ids: (B, P) uint8, the instance each point lies on.
            boxes: (B, Q, 4) float32 pixels.
            box_ids: (B, Q) uint8, the instance in each box.

        Returns:
            `loss` () and `losses`, each loss apart, detached and unweighted.
        """
        prediction = self.predict(pixels, points, boxes)
        losses = mask_loss(prediction, prompted_masks(ids, point_ids, box_ids), self.sampling)
        total = sum((LOSS_WEIGHTS[name] * value for name, value in losses.items()), prediction.logits.sum() * 0.0)
        return {"loss": total, "losses": {name: value.detach() for name, value in losses.items()}}


def prompted_masks(ids: Tensor, point_ids: Tensor, box_ids: Tensor) -> Tensor:
    """Target masks (B P + B Q, H, W) bool in the order of `SamPretraining.predict`, from (B, H, W) instance maps."""
    parts = [(ids[:, None] == wanted[:, :, None, None]).flatten(0, 1) for wanted in (point_ids, box_ids)]
    return torch.cat(parts)

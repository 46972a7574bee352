"""SAM 2's own prompts, clicks and boxes, on features of pictures that were computed once.

An object's mask depends on its own prompts alone: objects with equally many clicks are decoded together, so that none
is padded with tokens that it would not have by itself.

Shapes: O objects, P most clicks of one object, M objects decoded together, T prompt tokens each, C SAM's hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.segmentation.bridge import ImageFeatures, MaskPrediction, decode_masks

_OBJECTS_AT_ONCE = 32  # each carries a copy of its picture's features through the decoder
NO_CLICK = -1  # the label of what only fills up a row


@dataclass(frozen=True)
class PromptedObjects:
    """What to segment, in pixels of the picture, x before y; each object has a click or a box."""

    points: Tensor  # (O, P, 2) float32, the clicks
    labels: Tensor  # (O, P) int64: 1 on the object, 0 beside it, `NO_CLICK`
    boxes: Tensor | None = None  # (O, 4) float32: left, top, right, bottom

    def __len__(self) -> int:
        return len(self.points)


@torch.no_grad()
def segment_objects(
    sam: Sam2Model, features: ImageFeatures, image_index: Tensor, objects: PromptedObjects, size: tuple[int, int]
) -> MaskPrediction:
    """One mask per object, as `Sam2Model.forward` gives it for the object's clicks and box.

    A single click is ambiguous: of SAM 2's three candidates the one with the best estimate of its IoU counts. Further
    clicks or a box name one object: the single mask counts, or, where the model's configuration says so, the best
    candidate in place of one that is not stable. This is SAM's rule (2304.02643), which SAM 2 has kept.

    Args:
        sam: the SAM 2 model, in evaluation mode.
        features: of B pictures.
        image_index: (O,) int64, the picture of each object.
        objects: at least one.
        size: (width, height) of the pictures, px, to which the objects refer.
    """
    device = features.embedding.device
    assert image_index.shape == (len(objects),)
    assert len(objects)
    points, labels = objects.points.to(device), objects.labels.to(device)
    boxes = None if objects.boxes is None else objects.boxes.to(device)
    given = labels != NO_CLICK
    clicks = given.sum(1)
    orders, found = [], []
    for count in clicks.unique().tolist():
        ambiguous = count == 1 and boxes is None and sam.config.mask_decoder_config.num_multimask_outputs > 0
        for rows in (clicks == count).nonzero().flatten().split(_OBJECTS_AT_ONCE):
            kept = given[rows]
            tokens = prompt_tokens(
                sam,
                points[rows][kept].view(len(rows), count, 2),
                labels[rows][kept].view(len(rows), count),
                None if boxes is None else boxes[rows],
                size,
            )
            index = image_index.to(device)[rows]
            found.append(decode_masks(sam, features, index, tokens, best_of_several=ambiguous))
            orders.append(rows)
    place = torch.cat(orders).argsort()
    return MaskPrediction(
        *(torch.cat([getattr(part, name) for part in found])[place] for name in ("logits", "iou", "object_logit"))
    )


def prompt_tokens(
    sam: Sam2Model, points: Tensor, labels: Tensor, boxes: Tensor | None, size: tuple[int, int]
) -> Tensor:
    """SAM 2's tokens (M, T, C) of clicks (M, P, 2) with labels (M, P), P may be 0, and boxes (M, 4) if any.

    Raises:
        ValueError: if there are neither clicks nor boxes.
    """
    if not points.shape[1] and boxes is None:
        raise ValueError("an object has neither a click nor a box; give it one of them")
    side = sam.config.prompt_encoder_config.image_size
    scale = torch.tensor([side / size[0], side / size[1]], device=points.device)
    with torch.autocast(points.device.type, enabled=False):
        tokens, _ = sam.prompt_encoder(
            (points * scale)[None] if points.shape[1] else None,
            labels[None] if points.shape[1] else None,
            None if boxes is None else (boxes * scale.repeat(2))[None],
            None,
        )
    embedded: Tensor = tokens[0]
    return embedded

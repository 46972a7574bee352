"""The bridge between `[SEG]` states and SAM2's mask decoder (Sa2VA, 2501.04001; SAM 2).

Legend: B images, M objects, C width of the mask decoder, S side of SAM2's input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import Sam2Model


@dataclass(frozen=True)
class ImageFeatures:
    """SAM2's features of B images, computed once for any number of masks."""

    embedding: Tensor  # (B, C, S/16, S/16)
    high_resolution: tuple[Tensor, ...]  # (B, C/8, S/4, S/4) and (B, C/4, S/8, S/8)


@dataclass(frozen=True)
class MaskPrediction:
    """One mask for each of M prompts."""

    logits: Tensor  # (M, S/4, S/4) float32
    iou: Tensor  # (M,) predicted IoU
    object_logit: Tensor  # (M,) logit of "the object is there"


class SegmentationProjector(nn.Module):
    """Linear-ReLU-Linear from a language model's state (M, D) to a sparse prompt (M, C) (LISA, 2308.00692)."""

    def __init__(self, width: int, prompt_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, prompt_width))

    def forward(self, states: Tensor) -> Tensor:
        return self.layers(states)


def encode_image(sam: Sam2Model, pixels: Tensor) -> ImageFeatures:
    """Features of (B, 3, S, S) pixels.

    The vision encoder follows its own `requires_grad`; the two convolutions of the mask decoder that see its
    fine features always train (Sam2Model.get_image_embeddings would run them under no_grad).
    """
    frozen = not any(parameter.requires_grad for parameter in sam.vision_encoder.parameters())
    with torch.autocast(pixels.device.type, enabled=False):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            maps = list(sam.vision_encoder(pixels.to(sam.dtype)).fpn_hidden_states)
        # SAM2 lists its levels from fine to coarse; the coarsest one carries the "no memory" embedding of an image
        fine, middle, coarse = maps[:3]
        coarse = coarse + sam.no_memory_embedding.reshape(1, -1, 1, 1)
        return ImageFeatures(coarse, (sam.mask_decoder.conv_s0(fine), sam.mask_decoder.conv_s1(middle)))


def decode_masks(sam: Sam2Model, features: ImageFeatures, image_index: Tensor, prompts: Tensor) -> MaskPrediction:
    """One mask for each sparse prompt.

    Args:
        sam: SAM2.
        features: of B images.
        image_index: (M,) int64, the image of each prompt.
        prompts: (M, C), or (M, P, C) for prompts of several tokens.

    Returns:
        M masks; with M = 0, empty tensors that still depend on the decoder, so that every process of a distributed
        run touches the same parameters.
    """
    empty = not len(prompts)
    if empty:
        # the mask decoder cannot run on no prompts: run it on one of zeros, and return none of its masks
        prompts = torch.cat([prompts, prompts.new_zeros(1, *prompts.shape[1:])])
        image_index = torch.zeros(1, dtype=torch.long, device=prompts.device)
    sparse = prompts[:, None, None] if prompts.ndim == 2 else prompts[:, None]
    height, width = features.embedding.shape[-2:]
    with torch.autocast(prompts.device.type, enabled=False):
        sparse = sparse.to(sam.dtype)
        dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(len(sparse), -1, height, width)
        masks, iou, _, object_logit = sam.mask_decoder(
            image_embeddings=features.embedding[image_index],
            image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=[level[image_index] for level in features.high_resolution],
        )
    count = 0 if empty else len(sparse)
    return MaskPrediction(
        logits=masks[:count, 0, 0].float(), iou=iou[:count, 0, 0].float(), object_logit=object_logit[:count].reshape(-1)
    )

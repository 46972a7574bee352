"""The bridge from a language model's `[SEG]` states to SAM 2's mask decoder.

A `[SEG]` state, projected, takes the place of the sparse prompt (point or box) that SAM 2 was built for, as in LISA
(arXiv 2308.00692) and Sa2VA (2501.04001). `Sam2Model.forward` takes no such prompt, so its parts are called here; with
a point's embedding as prompt the result equals `Sam2Model.forward`.

Sa2VA's own prompts differ (`padded`): before the projected state stand two tokens that say "no point", and of SAM 2's
three candidate masks the one with the best estimate counts, as SAM 2 does where it is asked without a click.

SAM 2 runs in the precision of its own weights: autocast is switched off inside, since its masks suffer from bfloat16.

Shapes: B images, S image side, M masks, P prompt tokens a mask, C SAM's hidden size, D the language model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.segmentation.cache import FeatureCache, Levels

_PADDING = 2  # tokens: SAM 2's prompt encoder stands in one for the absent point, and one for the absent box


@dataclass(frozen=True)
class ImageFeatures:
    """What the mask decoder needs of a batch of images, computed once per image."""

    embedding: Tensor  # (B, C, S/16, S/16), the no-memory embedding included
    high_resolution: tuple[Tensor, Tensor]  # (B, C/8, S/4, S/4) and (B, C/4, S/8, S/8)

    @classmethod
    def together(cls, parts: Sequence[ImageFeatures]) -> ImageFeatures:
        """The features of several batches as those of one."""
        fine, middle = (torch.cat([part.high_resolution[level] for part in parts]) for level in range(2))
        return cls(torch.cat([part.embedding for part in parts]), (fine, middle))

    def apart(self) -> list[ImageFeatures]:
        """Those of each image, B = 1; no memory is shared."""
        parts = zip(*(values.split(1) for values in (self.embedding, *self.high_resolution)), strict=True)
        return [ImageFeatures(one.clone(), (fine.clone(), middle.clone())) for one, fine, middle in parts]


@dataclass(frozen=True)
class MaskPrediction:
    """One mask per prompt."""

    logits: Tensor  # (M, S/4, S/4) float32; positive is inside
    iou: Tensor  # (M,) float32 in [0, 1]: the decoder's estimate of its own IoU
    object_logit: Tensor  # (M,) float32: positive where the prompted object is in the image

    def apart(self) -> list[MaskPrediction]:
        """Each of the masks alone, M = 1."""
        parts = (values.split(1) for values in (self.logits, self.iou, self.object_logit))
        return [MaskPrediction(*part) for part in zip(*parts, strict=True)]


def encode_image(
    sam: Sam2Model, pixels: Tensor, *, frozen: bool = True, cache: FeatureCache | None = None
) -> ImageFeatures:
    """Run SAM's image encoder.

    The two convolutions that feed high-resolution features to the mask decoder belong to the decoder and get gradients
    even when the encoder is frozen (`Sam2Model.get_image_embeddings` would keep them from training).

    Args:
        sam: the SAM 2 model.
        pixels: (B, 3, S, S) normalised pixels, see `preprocess`.
        frozen: run the encoder without gradients.
        cache: of what a frozen encoder gives; none by default.
    """

    def encode(images: Tensor) -> Levels:
        fine, middle, coarse = sam.vision_encoder(images.to(sam.dtype)).fpn_hidden_states
        return fine, middle, coarse

    with torch.autocast(pixels.device.type, enabled=False):
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            fine, middle, coarse = cache.levels(pixels, encode) if cache and frozen else encode(pixels)
        decoder = sam.mask_decoder
        return ImageFeatures(
            embedding=coarse + sam.no_memory_embedding.view(1, -1, 1, 1),
            high_resolution=(decoder.conv_s0(fine), decoder.conv_s1(middle)),
        )


def decode_masks(
    sam: Sam2Model,
    features: ImageFeatures,
    image_index: Tensor,
    prompts: Tensor,
    padded: bool = False,
    best_of_several: bool = False,
) -> MaskPrediction:
    """Decode one mask per prompt.

    With no prompts at all the result is empty. While gradients are recorded a stand-in prompt is decoded and dropped,
    so that every parameter still takes part and data-parallel ranks run the same collectives.

    Args:
        sam: the SAM 2 model.
        features: of B images.
        image_index: (M,) int64, the image in `features` that each prompt speaks of.
        prompts: (M, C) one token per mask, or (M, P, C).
        padded: whether they stand as Sa2VA's do.
        best_of_several: whether the best by its estimated IoU of SAM 2's candidates for ambiguous prompts counts.
    """
    if prompts.dim() == 2:
        prompts = prompts.unsqueeze(1)
    count = prompts.shape[0]
    if image_index.shape != (count,):
        raise ValueError(
            f"{count} prompts need as many image indices, not a tensor of shape {tuple(image_index.shape)}"
        )
    if count == 0:
        if not torch.is_grad_enabled():
            height, width = features.high_resolution[0].shape[-2:]
            none = torch.zeros(0, device=prompts.device)
            return MaskPrediction(logits=none.view(0, height, width), iou=none, object_logit=none)
        prompts = torch.cat([prompts, prompts.new_zeros(1, *prompts.shape[1:])])
        image_index = image_index.new_zeros(1)

    if padded:
        nothing = sam.prompt_encoder.not_a_point_embed.weight.expand(len(prompts), _PADDING, -1)
        prompts = torch.cat([nothing.to(prompts.dtype), prompts], 1)
    embedding = features.embedding.index_select(0, image_index)
    dense = sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand_as(embedding)
    with torch.autocast(prompts.device.type, enabled=False):
        positions = sam.get_image_wide_positional_embeddings().expand(len(embedding), -1, -1, -1)
        logits, iou, _, object_logit = sam.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=positions,
            sparse_prompt_embeddings=prompts.to(embedding.dtype).unsqueeze(1),
            dense_prompt_embeddings=dense,
            multimask_output=padded or best_of_several,
            high_resolution_features=[level.index_select(0, image_index) for level in features.high_resolution],
        )
    rows, best = torch.arange(len(iou), device=iou.device), iou[:, 0].argmax(-1)  # of one candidate, or of three
    return MaskPrediction(
        logits=logits[rows, 0, best][:count].float(),
        iou=iou[rows, 0, best][:count].float(),
        object_logit=object_logit[:count, 0, 0].float(),
    )

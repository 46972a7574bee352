"""A SAM 2 small enough for a laptop's processor, and its initialisation.

Large models use the published `Sam2Config`s; this one is for the embedded nano model.
"""

from __future__ import annotations

import torch
from transformers import Sam2Config, Sam2Model

_WINDOW = 8  # tokens a side, at the finest stage
SIDE_MULTIPLE = 4 * _WINDOW  # px: the tokens of stride 4 fill whole windows


def nano_sam_config(image_size: int = 224) -> Sam2Config:
    """A SAM 2 of about 1.8M parameters for square images of `image_size` pixels.

    Args:
        image_size: side in pixels; a multiple of 32, so that the stride-4 tokens fill whole windows of 8.

    Raises:
        ValueError: when `image_size` is not a positive multiple of 32.
    """
    if image_size <= 0 or image_size % SIDE_MULTIPLE:
        raise ValueError(f"SAM image size must be a positive multiple of {SIDE_MULTIPLE} pixels, not {image_size}")
    widths = [32, 64, 128, 160]
    hidden = 128
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": widths[0],
        "image_size": [image_size, image_size],
        "blocks_per_stage": [1, 2, 4, 1],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [1, 2, 4, 5],
        # At this size one window spans the whole image in the last two stages, so no block needs to be marked global.
        "window_size_per_stage": [_WINDOW, 4, image_size // 16, image_size // 32],
        "global_attention_blocks": [],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[image_size // stride] * 2 for stride in (4, 8, 16)],
        "fpn_hidden_size": hidden,
        # Unlike the published models the fine levels get the coarse ones too: one early block alone sees too little.
        "fpn_top_down_levels": [0, 1, 2, 3],
    }
    prompt = {"hidden_size": hidden, "image_size": image_size}
    decoder = {
        "hidden_size": hidden,
        "mlp_dim": 256,
        "num_attention_heads": 4,
        "iou_head_hidden_dim": 128,
        # A prompt names one instance: no ambiguity to spread over several masks, and no untrained ones to pick from.
        "num_multimask_outputs": 0,
        "dynamic_multimask_via_stability": False,
    }
    return Sam2Config(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)


def build_sam(config: Sam2Config) -> Sam2Model:
    """A randomly initialised `Sam2Model` that can be trained from nothing.

    Two things differ from `Sam2Model(config)`. The random Fourier features that encode prompts and those that encode
    the image grid are two buffers; they must be equal (as they are in published checkpoints) for a point to be
    comparable with a place in the image. And the encoder's position embeddings start at small random values instead of
    zero.
    """
    sam = Sam2Model(config)
    backbone = sam.vision_encoder.backbone
    with torch.no_grad():
        sam.prompt_encoder.shared_embedding.positional_embedding.copy_(sam.shared_image_embedding.positional_embedding)
        for embedding in (backbone.pos_embed, backbone.pos_embed_window, sam.no_memory_embedding):
            embedding.normal_(std=config.initializer_range)
    return sam

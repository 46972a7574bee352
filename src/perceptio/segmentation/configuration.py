"""The configuration of a SAM 2 from a file: every field of the known kind and range, all of them consistent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import Sam2Config

from perceptio.pretrained.fields import (
    ACTIVATION,
    EPSILON,
    FLAG,
    HEADS,
    LAYERS,
    SECTION,
    SPREAD,
    WIDTH,
    Fields,
    check_fit,
    choice,
    join,
    number,
    read_fields,
    required,
    several,
    square,
    whole,
)

_STAGES = 4
_LEVELS = 3  # of features, which the mask decoder reads
_STRIDES = (4, 8, 16)  # of these, in pixels
_SIDE = whole(32, 4096)
_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
_TOP: Fields = {**{part: required(SECTION) for part in _PARTS}, "initializer_range": SPREAD}
_VISION: Fields = {
    "backbone_config": required(SECTION),
    "backbone_channel_list": several(WIDTH, _STAGES, _STAGES),
    "backbone_feature_sizes": several(several(whole(1, 4096), 2, 2), _LEVELS, _LEVELS),
    "fpn_hidden_size": WIDTH,
    "fpn_kernel_size": choice(1),
    "fpn_stride": choice(1),
    "fpn_padding": choice(0),
    "fpn_top_down_levels": several(whole(0, _STAGES - 1), 0, _STAGES),
    "num_feature_levels": choice(_LEVELS),
    "hidden_act": ACTIVATION,
    "layer_norm_eps": EPSILON,
    "initializer_range": SPREAD,
}
_BACKBONE: Fields = {
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "num_channels": choice(3),
    "image_size": square(_SIDE),
    "patch_kernel_size": square(whole(1, 64)),
    "patch_stride": square(choice(_STRIDES[0])),
    "patch_padding": square(whole(0, 64)),
    "query_stride": square(choice(2)),
    "window_positional_embedding_background_size": several(whole(1, 1024), 2, 2),
    "num_query_pool_stages": choice(_STAGES - 1),
    "blocks_per_stage": several(LAYERS, _STAGES, _STAGES),
    "embed_dim_per_stage": several(WIDTH, _STAGES, _STAGES),
    "num_attention_heads_per_stage": several(HEADS, _STAGES, _STAGES),
    "window_size_per_stage": several(whole(1, 1024), _STAGES, _STAGES),
    "global_attention_blocks": several(whole(0, 4000), 0, 1000),
    "mlp_ratio": number(0.01, 100),
    "hidden_act": ACTIVATION,
    "layer_norm_eps": EPSILON,
    "initializer_range": SPREAD,
}
_PROMPTS: Fields = {
    "hidden_size": WIDTH,
    "image_size": _SIDE,
    "patch_size": choice(_STRIDES[-1]),
    "mask_input_channels": WIDTH,
    "num_point_embeddings": choice(4),
    "hidden_act": ACTIVATION,
    "layer_norm_eps": EPSILON,
    "scale": number(0, 1000),
}
_MASKS: Fields = {
    "hidden_size": WIDTH,
    "hidden_act": ACTIVATION,
    "mlp_dim": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "attention_downsample_rate": whole(1, 64),
    "num_multimask_outputs": whole(0, 64),
    "iou_head_depth": whole(2, 100),
    "iou_head_hidden_dim": WIDTH,
    "dynamic_multimask_via_stability": FLAG,
    "dynamic_multimask_stability_delta": number(0, 1000),
    "dynamic_multimask_stability_thresh": number(0, 1),
}


def read_sam_config(stored: Mapping[str, Any], where: str = "") -> Sam2Config:
    """A SAM 2's configuration, of the model for images or for video: they share all that serves images.

    Args:
        stored: as it stands in the file.
        where: the section of the file, for messages.

    Raises:
        ValueError: if a field is missing, holds what it may not, or contradicts another.
    """
    top = read_fields(stored, _TOP, where)
    vision = read_fields(top["vision_config"], _VISION, join(where, "vision_config"))
    backbone = read_fields(vision["backbone_config"], _BACKBONE, join(where, "vision_config.backbone_config"))
    prompts = read_fields(top["prompt_encoder_config"], _PROMPTS, join(where, "prompt_encoder_config"))
    masks = read_fields(top["mask_decoder_config"], _MASKS, join(where, "mask_decoder_config"))
    config = Sam2Config(
        vision_config={**vision, "backbone_config": {**backbone, "model_type": "sam2_hiera_det_model"}},
        prompt_encoder_config=prompts,
        mask_decoder_config=masks,
        **{name: value for name, value in top.items() if name not in _PARTS},
    )
    _check_sizes(config, where)
    return config


def _check_sizes(config: Sam2Config, where: str) -> None:
    """Complain of what would be found in the middle of a picture."""
    vision, prompts, masks = (getattr(config, part) for part in _PARTS)
    backbone = vision.backbone_config
    side, widths, heads = prompts.image_size, backbone.embed_dim_per_stage, backbone.num_attention_heads_per_stage
    fine, windows = side // _STRIDES[0], backbone.window_size_per_stage
    rows = (side + 2 * _one(backbone.patch_padding) - _one(backbone.patch_kernel_size)) // _STRIDES[0] + 1
    inner, most = masks.hidden_size // masks.attention_downsample_rate, sum(backbone.blocks_per_stage)
    check_fit(
        where,
        {
            "prompt_encoder_config.image_size must be a multiple of 32": side % 32 == 0,
            "vision_config.backbone_config.image_size must be prompt_encoder_config's": _one(backbone.image_size)
            == side,
            "patch_padding and patch_kernel_size must keep the picture's size": rows == fine,
            f"backbone_feature_sizes must be image_size by {_STRIDES}": [
                list(size) for size in vision.backbone_feature_sizes
            ]
            == [[side // stride] * 2 for stride in _STRIDES],
            "backbone_channel_list must be embed_dim_per_stage backwards": vision.backbone_channel_list == widths[::-1],
            "num_attention_heads_per_stage must divide embed_dim_per_stage": all(
                width % count == 0 for width, count in zip(widths, heads, strict=True)
            ),
            "the first of window_size_per_stage must divide the picture, and all but the last be even": fine
            % windows[0]
            == 0
            and not any(window % 2 for window in windows[:-1]),
            "mask_decoder_config.dynamic_multimask_via_stability needs num_multimask_outputs above 0": not (
                masks.dynamic_multimask_via_stability and masks.num_multimask_outputs == 0
            ),
            f"global_attention_blocks must lie below {most}": max(backbone.global_attention_blocks, default=0) < most,
            "hidden_size of prompts and masks, and fpn_hidden_size, must be one multiple of 8": prompts.hidden_size
            == masks.hidden_size
            == vision.fpn_hidden_size
            and masks.hidden_size % 8 == 0,
            "mask_decoder_config.num_attention_heads must divide hidden_size by attention_downsample_rate": inner > 0
            and inner % masks.num_attention_heads == masks.hidden_size % masks.num_attention_heads == 0,
        },
    )


def _one(size: Any) -> int:
    return size[0] if isinstance(size, (list, tuple)) else size

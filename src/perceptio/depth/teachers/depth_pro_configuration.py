"""The configuration of a Depth Pro from a file: every field of the known kind and range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import DepthProConfig, Dinov2Config

from perceptio.depth.teachers.backbones import DINOV2, MOST_STAGES
from perceptio.pretrained.fields import (
    FLAG,
    SECTION,
    SPREAD,
    WIDTH,
    Fields,
    check_fit,
    choice,
    number,
    read_fields,
    required,
    several,
    shown,
    whole,
)
from perceptio.pretrained.pictures import PICTURE_FIELDS

_TILE = 384  # px, of the published network
_ENCODERS = ("image_model_config", "patch_model_config")
_TOP: Fields = {
    **dict.fromkeys(_ENCODERS, required(SECTION)),
    "patch_size": whole(16, 8192),  # px of a tile that an encoder reads
    "fusion_hidden_size": WIDTH,
    "initializer_range": SPREAD,
    "intermediate_hook_ids": several(whole(0, 1000), 1, MOST_STAGES),
    "intermediate_feature_dims": several(WIDTH, 1, MOST_STAGES),
    "scaled_images_ratios": several(number(0.01, 1), 1, MOST_STAGES),
    "scaled_images_overlap_ratios": several(number(0, 0.9), 1, MOST_STAGES),
    "scaled_images_feature_dims": several(WIDTH, 1, MOST_STAGES),
    "merge_padding_value": whole(0, 1000),
    "use_batch_norm_in_fusion_residual": FLAG,
    "use_bias_in_fusion_residual": FLAG,
}
_PICTURES: Fields = {**PICTURE_FIELDS, "resample": choice(2)}  # bilinear


def read_config(stored: Mapping[str, Any]) -> DepthProConfig:
    """The configuration of a network that predicts inverse depth, without its estimate of the field of view.

    Args:
        stored: as it stands in config.json.

    Raises:
        ValueError: if it is of another network, or a field is missing, holds what it may not, or contradicts another.
    """
    for section, kind in ((stored, "depth_pro"), *((stored.get(name), "dinov2") for name in _ENCODERS)):
        if isinstance(section, dict) and section.get("model_type") != kind:
            raise ValueError(f"it is no Depth Pro: a model_type is {shown(section.get('model_type'))}, not {kind!r}")
    top = read_fields(stored, _TOP)
    tile = top.setdefault("patch_size", _TILE)
    encoders = {name: read_fields(top.pop(name), DINOV2, name) for name in _ENCODERS}
    check_fit(
        "",
        {
            f"{name}.image_size must be patch_size {tile}": fields.get("image_size", tile) == tile
            for name, fields in encoders.items()
        },
    )
    # the field of view gives a focal length, which scales a whole map: relative depth does not need it
    view = Dinov2Config(image_size=tile, hidden_size=1, num_hidden_layers=1, num_attention_heads=1)
    built = {name: Dinov2Config(**{**fields, "image_size": tile}) for name, fields in encoders.items()}
    config = DepthProConfig(**built, fov_model_config=view, use_fov_model=False, **top)
    for name, encoder in built.items():
        divides = not encoder.hidden_size % encoder.num_attention_heads
        check_fit(name, {"num_attention_heads must divide hidden_size": divides})
    last = built["patch_model_config"].num_hidden_layers - 1
    check_fit("", {f"intermediate_hook_ids must be at most {last}": max(config.intermediate_hook_ids) <= last})
    return config


def read_side(stored: Mapping[str, Any], config: DepthProConfig) -> dict[str, Any]:
    """How its pictures are prepared: the checked fields, with a square size that its smallest tile fits into.

    Args:
        stored: as it stands in preprocessor_config.json.
        config: of the network.

    Raises:
        ValueError: if a field is missing or holds what it may not.
    """
    fields = read_fields(stored, _PICTURES)
    size = fields["size"]
    least = config.patch_size / min(config.scaled_images_ratios)
    if size["height"] != size["width"] or size["height"] < least:
        raise ValueError(f"size must be a square of at least {least:g} px, not {size['height']} x {size['width']}")
    return fields

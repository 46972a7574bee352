"""The configuration of a Depth Anything V2 from a file: every field of the known kind and range, all consistent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import DepthAnythingConfig, Dinov2Config, DPTImageProcessorPil

from perceptio.depth.teachers.backbones import DINOV2_BACKBONE, MOST_STAGES, PATCH
from perceptio.pretrained.fields import (
    FLAG,
    SECTION,
    SPREAD,
    WIDTH,
    Fields,
    check_fit,
    choice,
    either,
    number,
    read_fields,
    required,
    several,
    shown,
    whole,
)
from perceptio.pretrained.pictures import PICTURE_FIELDS

_TOP: Fields = {
    "backbone_config": required(SECTION),
    "patch_size": PATCH,
    "initializer_range": SPREAD,
    "reassemble_hidden_size": WIDTH,
    "reassemble_factors": several(either(whole(1, 64), number(0.01, 1)), 1, MOST_STAGES),
    "neck_hidden_sizes": several(WIDTH, 1, MOST_STAGES),
    "fusion_hidden_size": WIDTH,
    "head_in_index": whole(-MOST_STAGES, MOST_STAGES - 1),
    "head_hidden_size": WIDTH,
    "depth_estimation_type": choice("relative"),  # a metric network predicts metres, not inverse depth
}
_PICTURES: Fields = {
    **PICTURE_FIELDS,
    "keep_aspect_ratio": FLAG,
    "ensure_multiple_of": whole(1, 256),
    "do_pad": choice(False),
}


def read_teacher_config(stored: Mapping[str, Any]) -> DepthAnythingConfig:
    """The configuration of a network that predicts relative inverse depth.

    Args:
        stored: as it stands in config.json.

    Raises:
        ValueError: if it is of another network, or a field is missing, holds what it may not, or contradicts another.
    """
    for section, kind in ((stored, "depth_anything"), (stored.get("backbone_config"), "dinov2")):
        if isinstance(section, dict) and section.get("model_type") != kind:
            found = shown(section.get("model_type"))
            raise ValueError(f"it is no Depth Anything V2: a model_type is {found}, not {kind!r}")
    top = read_fields(stored, _TOP)
    backbone = read_fields(top.pop("backbone_config"), DINOV2_BACKBONE, "backbone_config")
    config = DepthAnythingConfig(backbone_config=Dinov2Config(**backbone), **top)
    _check_sizes(config)
    return config


def read_teacher_processor(stored: Mapping[str, Any]) -> DPTImageProcessorPil:
    """How its pictures are prepared.

    Args:
        stored: as it stands in preprocessor_config.json.

    Raises:
        ValueError: if a field is missing or holds what it may not.
    """
    return DPTImageProcessorPil(**read_fields(stored, _PICTURES))


def _check_sizes(config: DepthAnythingConfig) -> None:
    """Complain of what would be found in the middle of a picture."""
    backbone, stages = config.backbone_config, len(config.neck_hidden_sizes)
    check_fit(
        "",
        {
            "backbone_config.num_attention_heads must divide hidden_size": not backbone.hidden_size
            % backbone.num_attention_heads,
            "patch_size must be backbone_config's": config.patch_size == backbone.patch_size,
            "neck_hidden_sizes, reassemble_factors and backbone_config's out_indices must be of one length": stages
            == len(config.reassemble_factors)
            == len(backbone.out_indices),
            f"head_in_index must lie in -{stages}..{stages - 1}": -stages <= config.head_in_index < stages,
            "reassemble_hidden_size must be backbone_config's hidden_size": config.reassemble_hidden_size
            == backbone.hidden_size,
        },
    )

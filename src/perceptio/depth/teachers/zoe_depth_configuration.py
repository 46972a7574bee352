"""The configuration of a ZoeDepth from a file: every field of the known kind and range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthImageProcessorPil

from perceptio.depth.teachers.backbones import BEIT_BACKBONE, MOST_STAGES
from perceptio.pretrained.fields import (
    ACTIVATION,
    EPSILON,
    FLAG,
    HEADS,
    LAYERS,
    SECTION,
    SPREAD,
    TEXT,
    WIDTH,
    Fields,
    check_fit,
    choice,
    either,
    number,
    optional,
    read_fields,
    required,
    several,
    shown,
    whole,
)
from perceptio.pretrained.pictures import PICTURE_FIELDS

_SCALES = 4  # of features that its metric head reads
_POSITIVE = number(1e-6, 1e6)
_TOP: Fields = {
    "backbone_config": required(SECTION),
    "hidden_act": ACTIVATION,
    "initializer_range": SPREAD,
    "batch_norm_eps": EPSILON,
    "readout_type": choice("project"),
    "reassemble_factors": several(either(whole(1, 64), number(0.01, 1)), 1, MOST_STAGES),
    "neck_hidden_sizes": several(WIDTH, 1, MOST_STAGES),
    "fusion_hidden_size": WIDTH,
    "head_in_index": whole(-MOST_STAGES, MOST_STAGES - 1),
    "use_batch_norm_in_fusion_residual": FLAG,
    "use_bias_in_fusion_residual": optional(FLAG),
    "num_relative_features": WIDTH,
    "add_projection": FLAG,
    "bottleneck_features": WIDTH,
    "num_attractors": several(whole(1, 1000), _SCALES, _SCALES),
    "bin_embedding_dim": WIDTH,
    "attractor_alpha": whole(1, 1_000_000),
    "attractor_gamma": whole(1, 100),
    "attractor_kind": choice("mean", "sum"),
    "min_temp": _POSITIVE,
    "max_temp": _POSITIVE,
    "bin_centers_type": choice("normed", "softplus"),
    "bin_configurations": several(SECTION, 1, 2),  # one metric head for each; which is used, a classifier says
    "num_patch_transformer_layers": optional(LAYERS),
    "patch_transformer_hidden_size": optional(WIDTH),
    "patch_transformer_intermediate_size": optional(WIDTH),
    "patch_transformer_num_attention_heads": optional(HEADS),
}
_BINS: Fields = {
    "name": TEXT,
    "n_bins": required(whole(2, 10_000)),
    "min_depth": required(_POSITIVE),
    "max_depth": required(_POSITIVE),
}
_PICTURES: Fields = {
    **PICTURE_FIELDS,
    "resample": choice(2, 3),
    "keep_aspect_ratio": FLAG,
    "ensure_multiple_of": required(whole(1, 256)),
    "do_pad": choice(True),
}


def read_config(stored: Mapping[str, Any]) -> ZoeDepthConfig:
    """The configuration of a network that predicts metric depth.

    Args:
        stored: as it stands in config.json.

    Raises:
        ValueError: if it is of another network, or a field is missing, holds what it may not, or contradicts another.
    """
    for section, kind in ((stored, "zoedepth"), (stored.get("backbone_config"), "beit")):
        if isinstance(section, dict) and section.get("model_type") != kind:
            raise ValueError(f"it is no ZoeDepth: a model_type is {shown(section.get('model_type'))}, not {kind!r}")
    top = read_fields(stored, _TOP)
    backbone = read_fields(top.pop("backbone_config"), BEIT_BACKBONE, "backbone_config")
    if "bin_configurations" in top:
        named = enumerate(top["bin_configurations"])
        top["bin_configurations"] = [read_fields(each, _BINS, f"bin_configurations[{n}]") for n, each in named]
    config = ZoeDepthConfig(backbone_config=BeitConfig(**backbone), **top)
    several_heads = len(config.bin_configurations) > 1
    check_fit(
        "",
        {
            "backbone_config.num_attention_heads must divide hidden_size": not config.backbone_config.hidden_size
            % config.backbone_config.num_attention_heads,
            "bottleneck_features must be fusion_hidden_size": config.bottleneck_features == config.fusion_hidden_size,
            "each of several bin_configurations must have a name": not several_heads
            or all("name" in each for each in config.bin_configurations),
        },
    )
    return config


def read_processor(stored: Mapping[str, Any]) -> ZoeDepthImageProcessorPil:
    """How its pictures are prepared.

    Args:
        stored: as it stands in preprocessor_config.json.

    Raises:
        ValueError: if a field is missing or holds what it may not.
    """
    return ZoeDepthImageProcessorPil(**read_fields(stored, _PICTURES))

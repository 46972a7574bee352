"""A SAM 2's configuration: what is published passes, what cannot be drawn with is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from perceptio.checkpoints.sizes import SAM, sam_config
from perceptio.nano.small_sam import nano_sam_config
from perceptio.segmentation.configuration import read_sam_config


@pytest.mark.parametrize("name", [*SAM, "nano"])
def test_known_sizes_pass_unchanged(name: str) -> None:
    config = nano_sam_config() if name == "nano" else sam_config(name)
    assert read_sam_config(config.to_dict()).to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mask_decoder_config.num_hidden_layers", 10**9),
        ("mask_decoder_config.iou_head_depth", 1),
        ("mask_decoder_config.hidden_act", "x"),
        ("mask_decoder_config", None),
        ("prompt_encoder_config.image_size", 0),
        ("prompt_encoder_config.layer_norm_eps", float("nan")),
        ("vision_config.num_feature_levels", 2),
        ("vision_config.fpn_top_down_levels", [9]),
        ("vision_config.backbone_config.blocks_per_stage", [1, 2]),
        ("vision_config.backbone_config.patch_stride", [-1, -1]),
        ("vision_config.backbone_config.mlp_ratio", "4"),
    ],
)
def test_wrong_field_is_named(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^sam.{path} must be"):
        read_sam_config(changed(path, value), "sam")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prompt_encoder_config.image_size", 256),
        ("prompt_encoder_config.hidden_size", 64),
        ("mask_decoder_config.num_attention_heads", 5),
        ("vision_config.backbone_feature_sizes", [[56, 56], [28, 28], [28, 28]]),
        ("vision_config.backbone_channel_list", [160, 128, 64, 16]),
        ("vision_config.backbone_config.patch_padding", [0, 0]),
        ("vision_config.backbone_config.window_size_per_stage", [8, 1, 14, 7]),
        ("vision_config.backbone_config.num_attention_heads_per_stage", [1, 2, 4, 7]),
        ("vision_config.backbone_config.global_attention_blocks", [8]),
    ],
)
def test_fields_that_contradict_each_other_are_named(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match="its fields contradict each other: sam"):
        read_sam_config(changed(path, value), "sam")


def changed(path: str, value: Any) -> dict[str, Any]:
    stored = copy.deepcopy(nano_sam_config().to_dict())
    *sections, name = path.split(".")
    place = stored
    for section in sections:
        place = place[section]
    place[name] = value
    return stored

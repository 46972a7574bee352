"""An InternVL's configuration: what is published passes, what cannot answer is named."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from perceptio.checkpoints.sizes import INTERNVL, internvl_config
from perceptio.model.vlm_configuration import read_vlm_config


@pytest.mark.parametrize("name", INTERNVL)
def test_known_sizes_pass_unchanged(name: str) -> None:
    config = internvl_config(name)
    assert read_vlm_config(config.to_dict()).to_dict() == config.to_dict()


def test_rope_as_former_versions_wrote_it_passes() -> None:
    text = changed("image_seq_length", 256)["text_config"]
    del text["rope_parameters"]
    text |= {"rope_theta": 1e6, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "torch_dtype": "bfloat16"}
    rope = read_vlm_config({**changed("image_seq_length", 256), "text_config": text}).text_config.rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["rope_theta"]) == ("dynamic", 2.0, 1e6)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("text_config", []),
        ("text_config.num_hidden_layers", 10**9),
        ("text_config.rms_norm_eps", -0.5),
        ("text_config.max_position_embeddings", "x"),
        ("text_config.layer_types", ["x"]),
        ("text_config.rope_parameters", 5),
        ("text_config.rope_parameters.rope_theta", 0),
        ("text_config.rope_parameters.rope_type", "x"),
        ("vision_config.image_size", [448, 224]),
        ("vision_config.num_channels", 4),
        ("vision_config.layer_norm_eps", float("inf")),
        ("vision_feature_layer", 7),
        ("vision_feature_select_strategy", "full"),
        ("downsample_ratio", True),
        ("image_token_id", -1),
        ("tie_word_embeddings", None),
    ],
)
def test_wrong_field_is_named(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^vlm.{path} must be"):
        read_vlm_config(changed(path, value), "vlm")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("vision_config.image_size", [449, 449], "image_size"),
        ("image_seq_length", 255, "image_seq_length"),
        ("downsample_ratio", 0.3, "downsample_ratio"),
        ("vision_config.num_attention_heads", 7, "num_attention_heads"),
        ("text_config.num_key_value_heads", 5, "num_key_value_heads"),
        ("text_config.eos_token_id", [5, 10**6], "vocab_size"),
        ("image_token_id", 9_999_999, "image_token_id"),
    ],
)
def test_fields_that_contradict_each_other_are_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(ValueError, match=f"its fields contradict each other: vlm.*{named}"):
        read_vlm_config(changed(path, value), "vlm")


@pytest.mark.parametrize("kind", ["x", None, ["qwen2"], "gpt_oss"])
def test_other_language_models_are_named(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^text_config.model_type is .*: only qwen2, qwen3, llama can be used"):
        read_vlm_config(changed("text_config.model_type", kind))


def test_rope_is_never_left_to_a_default() -> None:
    stored = changed("text_config.rope_parameters", None)
    with pytest.raises(ValueError, match=r"^text_config\.rope_parameters is missing"):
        read_vlm_config(stored)


def changed(path: str, value: Any) -> dict[str, Any]:
    stored = copy.deepcopy(internvl_config("InternVL3-1B").to_dict())
    *sections, name = path.split(".")
    place = stored
    for section in sections:
        place = place[section]
    place[name] = value
    return stored

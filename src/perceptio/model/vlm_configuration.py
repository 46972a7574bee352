"""The configuration of an InternVL from a file: every field of the known kind and range, all of them consistent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import InternVLConfig, InternVLVisionConfig, LlamaConfig, Qwen2Config, Qwen3Config

from perceptio.pretrained.fields import (
    ACTIVATION,
    EPSILON,
    FLAG,
    HEADS,
    LAYERS,
    SECTION,
    SHARE,
    SPREAD,
    TOKEN,
    WIDTH,
    Fields,
    check_fit,
    choice,
    either,
    join,
    number,
    optional,
    read_fields,
    required,
    several,
    shown,
    square,
    whole,
)

_LANGUAGE_MODELS = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}
_POSITIONS = whole(1, 100_000_000)
_FACTOR = number(0.001, 10_000)
_TOP: Fields = {
    "vision_config": required(SECTION),
    "text_config": required(SECTION),
    "image_token_id": TOKEN,
    "image_seq_length": whole(1, 100_000),
    "downsample_ratio": number(0.01, 1),
    "projector_hidden_act": ACTIVATION,
    "vision_feature_layer": choice(-1),
    "vision_feature_select_strategy": choice("default"),
    "tie_word_embeddings": FLAG,
}
_VISION: Fields = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "attention_bias": FLAG,
    "use_qk_norm": FLAG,
    "intermediate_size": WIDTH,
    "hidden_act": ACTIVATION,
    "hidden_dropout_prob": SHARE,
    "attention_dropout": SHARE,
    "projection_dropout": SHARE,
    "initializer_range": SPREAD,
    "norm_type": choice("layer_norm", "rms_norm"),
    "layer_norm_eps": EPSILON,
    "image_size": square(whole(1, 8192)),
    "patch_size": square(whole(1, 1024)),
    "num_channels": choice(3),
    "use_mask_token": FLAG,
    "use_absolute_position_embeddings": FLAG,
    "layer_scale_init_value": number(-1000, 1000),
    "use_mean_pooling": FLAG,
}
_TEXT: Fields = {
    "vocab_size": whole(1, 10_000_000),
    "hidden_size": WIDTH,
    "intermediate_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": optional(HEADS),
    "head_dim": optional(whole(1, 4096)),
    "hidden_act": ACTIVATION,
    "max_position_embeddings": _POSITIONS,
    "initializer_range": SPREAD,
    "rms_norm_eps": EPSILON,
    "use_cache": FLAG,
    "tie_word_embeddings": FLAG,
    "attention_bias": FLAG,
    "mlp_bias": FLAG,
    "rope_theta": number(1, 1e12),
    "rope_parameters": optional(SECTION),
    "rope_scaling": optional(SECTION),
    "use_sliding_window": FLAG,
    "sliding_window": optional(_POSITIONS),
    "max_window_layers": whole(0, 1000),
    "layer_types": optional(several(choice("full_attention", "sliding_attention"), 1, 1000)),
    "attention_dropout": optional(SHARE),
    "pad_token_id": optional(TOKEN),
    "bos_token_id": optional(TOKEN),
    "eos_token_id": optional(either(TOKEN, several(TOKEN, 1, 100))),
}
_ROPE: Fields = {
    "rope_type": choice("default", "linear", "dynamic", "yarn", "llama3", "longrope"),
    "type": choice("default", "linear", "dynamic", "yarn", "llama3", "longrope"),
    "rope_theta": number(1, 1e12),
    "factor": optional(_FACTOR),
    "original_max_position_embeddings": optional(_POSITIONS),
    "attention_factor": optional(_FACTOR),
    "beta_fast": optional(_FACTOR),
    "beta_slow": optional(_FACTOR),
    "low_freq_factor": optional(_FACTOR),
    "high_freq_factor": optional(_FACTOR),
    "mscale": optional(_FACTOR),
    "mscale_all_dim": optional(_FACTOR),
    "truncate": FLAG,
    "long_factor": optional(several(_FACTOR, 1, 4096)),
    "short_factor": optional(several(_FACTOR, 1, 4096)),
}


def read_vlm_config(stored: Mapping[str, Any], where: str = "") -> InternVLConfig:
    """An InternVL's configuration.

    Args:
        stored: as it stands in the file.
        where: the section of the file, for messages.

    Raises:
        ValueError: if a field is missing, holds what it may not, or contradicts another.
    """
    top = read_fields(stored, _TOP, where)
    vision = read_fields(top.pop("vision_config"), _VISION, join(where, "vision_config"))
    config = InternVLConfig(
        vision_config=InternVLVisionConfig(**vision),
        text_config=_read_text_config(top.pop("text_config"), join(where, "text_config")),
        **top,
    )
    _check_sizes(config, where)
    return config


def _read_text_config(stored: dict[str, Any], where: str) -> Any:
    kind = stored.get("model_type")
    if not isinstance(kind, str) or kind not in _LANGUAGE_MODELS:
        raise ValueError(
            f"{join(where, 'model_type')} is {shown(kind)}: only {', '.join(_LANGUAGE_MODELS)} can be used"
        )
    text = read_fields(stored, _TEXT, where)
    if not any(text.get(name) for name in ("rope_parameters", "rope_scaling", "rope_theta")):
        raise ValueError(f"{join(where, 'rope_parameters')} is missing: without it the order of words is lost")
    for name in ("rope_parameters", "rope_scaling"):
        if text.get(name) is not None:
            text[name] = read_fields(text[name], _ROPE, join(where, name))
    known = _LANGUAGE_MODELS[kind].__dataclass_fields__.keys() | {"rope_theta", "rope_scaling", "head_dim"}
    return _LANGUAGE_MODELS[kind](**{name: value for name, value in text.items() if name in known})


def _check_sizes(config: InternVLConfig, where: str) -> None:
    """Complain of what would be found in the middle of a question."""
    vision, text = config.vision_config, config.text_config
    (image, _), (patch, _) = vision.image_size, vision.patch_size
    side = image // patch * config.downsample_ratio
    heads, groups = text.num_attention_heads, text.num_key_value_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    ends = text.eos_token_id if isinstance(text.eos_token_id, list) else [text.eos_token_id]
    named = [config.image_token_id, text.pad_token_id, text.bos_token_id, *ends]
    check_fit(
        where,
        {
            "vision_config.image_size must be a multiple of patch_size": not vision.image_size[0]
            % vision.patch_size[0],
            f"image_size, patch_size and downsample_ratio give {side:g}^2 visual tokens, but image_seq_length is "
            f"{config.image_seq_length}": side.is_integer() and side**2 == config.image_seq_length,
            "vision_config.num_attention_heads must divide hidden_size": not vision.hidden_size
            % vision.num_attention_heads,
            "text_config.num_attention_heads must divide hidden_size": width * heads == text.hidden_size
            or getattr(text, "head_dim", None) is not None,
            "text_config.num_key_value_heads must divide num_attention_heads": not heads % groups,
            "text_config's heads must have an even width": not width % 2,
            f"image_token_id and text_config's tokens must lie below vocab_size {text.vocab_size}": all(
                token is None or token < text.vocab_size for token in named
            ),
        },
    )

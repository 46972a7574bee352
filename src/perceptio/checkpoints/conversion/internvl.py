"""InternVL's original format (`internvl_chat`) -> transformers' `InternVLForConditionalGeneration`.

Names and layouts after OpenGVLab/InternVL (modeling_intern_vit.py, modeling_internlm2.py): the vision tower keeps
queries, keys and values in one matrix, one after the other; InternLM2 keeps them by group of heads.

Shapes: D width, g query heads a key-value head, d width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from transformers import InternVLConfig

from perceptio.checkpoints.conversion.rules import Rule, same
from perceptio.model.vlm_configuration import read_vlm_config
from perceptio.pretrained.fields import Fields, choice, number, optional, read_fields, required, whole

_TEXT = {"qwen2": "qwen2", "qwen3": "qwen3", "internlm2": "llama", "internlm3": "llama", "llama": "llama"}
_TEXT_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "rope_scaling",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
_VISION_KEYS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "image_size",
    "patch_size",
    "num_channels",
    "norm_type",
)
_SIDE = whole(1, 8192)
_FIELDS: Fields = {
    "ps_version": choice("v2"),  # others have no counterpart
    "select_layer": choice(-1),
    "force_image_size": optional(_SIDE),
    "downsample_ratio": number(0.01, 1),
}
_PICTURE: Fields = {"image_size": required(_SIDE), "patch_size": required(_SIDE)}
_VISION = "model.vision_tower"
_TEXT_MODEL = "model.language_model"
_LAYER = r"vision_model\.encoder\.layers\.(\d+)"
_OUR_LAYER = rf"{_VISION}.encoder.layer.\1"


def internvl_config(stored: dict[str, Any], image_token_id: int) -> InternVLConfig:
    """The configuration of a checkpoint in the original format.

    Args:
        stored: its config.json.
        image_token_id: id of `<IMG_CONTEXT>`, which only the tokenizer knows.

    Raises:
        ValueError: if it lacks a part, a field holds what it may not, or it has a language model or a setting that has
            no counterpart.
    """
    text, vision = stored.get("llm_config"), stored.get("vision_config")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise ValueError("its config.json has no llm_config and vision_config: it is not InternVL's original format")
    family = text.get("model_type")
    if not isinstance(family, str) or family not in _TEXT:
        raise ValueError(f"its language model is of type {family!r}: only {', '.join(_TEXT)} can be converted")
    top = read_fields(stored, _FIELDS)
    picture = read_fields(vision, _PICTURE, "vision_config")
    side = top.get("force_image_size") or picture["image_size"]
    ratio = top.get("downsample_ratio", 0.5)
    tied = bool(stored.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    settings = {key: text[key] for key in _TEXT_KEYS if text.get(key) is not None}
    rope = text.get("rope_parameters")  # transformers 5's name for what was rope_theta and rope_scaling
    if isinstance(rope, dict):
        settings |= {"rope_parameters": rope}
    elif "rope_theta" not in settings:
        raise ValueError("the llm_config in its config.json has neither rope_theta nor rope_parameters")
    if _TEXT[family] == "llama":
        settings["attention_bias"] = bool(text.get("qkv_bias", text.get("bias", False)))
    return read_vlm_config(
        {
            "vision_config": {
                **{key: vision[key] for key in _VISION_KEYS if key in vision},
                "image_size": side,
                "attention_bias": vision.get("qkv_bias", True),
                "use_qk_norm": vision.get("qk_normalization", False),
            },
            "text_config": {**settings, "model_type": _TEXT[family], "tie_word_embeddings": tied},
            "image_token_id": image_token_id,
            "image_seq_length": int(side // picture["patch_size"] * ratio) ** 2,
            "downsample_ratio": ratio,
            "tie_word_embeddings": tied,
        }
    )


def internvl_rules(config: InternVLConfig) -> list[Rule]:
    """Rules from the original names to transformers', for the tower, the projector and any of the language models."""
    return [*_vision_rules(), *_projector_rules(), *_internlm2_rules(config.text_config), *_plain_text_rules()]


def _vision_rules() -> list[Rule]:
    moved = {
        r"attn\.proj": "attention.projection_layer",
        r"attn\.q_norm": "attention.q_norm",
        r"attn\.k_norm": "attention.k_norm",
        r"norm1": "layernorm_before",
        r"norm2": "layernorm_after",
        r"mlp\.fc1": "mlp.fc1",
        r"mlp\.fc2": "mlp.fc2",
    }
    parts = tuple(rf"{_OUR_LAYER}.attention.{part}_proj.\2" for part in "qkv")
    return [
        Rule(rf"{_LAYER}\.attn\.qkv\.(weight|bias)", parts, lambda fused: fused.chunk(3)),
        *(same(rf"{_LAYER}\.{old}\.(weight|bias)", rf"{_OUR_LAYER}.{new}.\2") for old, new in moved.items()),
        same(rf"{_LAYER}\.ls([12])", rf"{_OUR_LAYER}.lambda_\2"),
        same(r"vision_model\.embeddings\.class_embedding", f"{_VISION}.embeddings.cls_token"),
        same(r"vision_model\.embeddings\.position_embedding", f"{_VISION}.embeddings.position_embeddings"),
        same(
            r"vision_model\.embeddings\.patch_embedding\.(weight|bias)",
            rf"{_VISION}.embeddings.patch_embeddings.projection.\1",
        ),
    ]


def _projector_rules() -> list[Rule]:
    layers = {"0": "layer_norm", "1": "linear_1", "3": "linear_2"}
    return [
        same(rf"mlp1\.{old}\.(weight|bias)", rf"model.multi_modal_projector.{new}.\1") for old, new in layers.items()
    ]


def _internlm2_rules(text: Any) -> list[Rule]:
    groups = text.num_attention_heads // text.num_key_value_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    layer, ours = r"language_model\.model\.layers\.(\d+)", rf"{_TEXT_MODEL}.layers.\1"
    moved = {
        r"attention\.wo": "self_attn.o_proj",
        r"feed_forward\.w1": "mlp.gate_proj",
        r"feed_forward\.w2": "mlp.down_proj",
        r"feed_forward\.w3": "mlp.up_proj",
        r"attention_norm": "input_layernorm",
        r"ffn_norm": "post_attention_layernorm",
    }
    parts = tuple(rf"{ours}.self_attn.{part}_proj.\2" for part in "qkv")

    def split(fused: Tensor) -> Sequence[Tensor]:
        # (key-value heads, g queries + 1 key + 1 value, d, ...)
        heads = fused.unflatten(0, (-1, groups + 2, width))
        return [
            heads[:, :groups].flatten(0, 2),
            heads[:, groups].flatten(0, 1),
            heads[:, groups + 1].flatten(0, 1),
        ]

    return [
        Rule(rf"{layer}\.attention\.wqkv\.(weight|bias)", parts, split),
        *(same(rf"{layer}\.{old}\.(weight|bias)", rf"{ours}.{new}.\2") for old, new in moved.items()),
        same(r"language_model\.model\.tok_embeddings\.weight", f"{_TEXT_MODEL}.embed_tokens.weight"),
        same(r"language_model\.output\.weight", "lm_head.weight"),
    ]


def _plain_text_rules() -> list[Rule]:
    """Qwen2, Qwen3 and Llama have transformers' own names; old files store a buffer that is computed today."""
    return [
        Rule(r"language_model\.model\.layers\.\d+\.\w+\.rotary_emb\.inv_freq", ()),
        same(r"language_model\.model\.((?:layers|norm|embed_tokens)\..*)", rf"{_TEXT_MODEL}.\1"),
        same(r"language_model\.lm_head\.weight", "lm_head.weight"),
    ]

"""InternVL's original names and layouts, listed here by hand from its source, against transformers' classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import InternVLConfig, InternVLForConditionalGeneration

from perceptio.checkpoints.conversion.checkpoint import convert_internvl
from perceptio.checkpoints.conversion.internvl import internvl_config, internvl_rules
from perceptio.checkpoints.conversion.rules import convert
from perceptio.checkpoints.sizes import INTERNVL
from perceptio.checkpoints.sizes import internvl_config as published
from perceptio.pretrained.misfits import check_weights

Shapes = dict[str, tuple[int, ...]]


def vision_shapes(config: Any) -> Shapes:
    width, mlp, patch = config.hidden_size, config.intermediate_size, config.patch_size[0]
    shapes: Shapes = {
        "embeddings.class_embedding": (1, 1, width),
        "embeddings.position_embedding": (1, (config.image_size[0] // patch) ** 2 + 1, width),
        "embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "embeddings.patch_embedding.bias": (width,),
    }
    for number in range(config.num_hidden_layers):
        layer: Shapes = {
            "attn.qkv.weight": (3 * width, width),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "mlp.fc1.weight": (mlp, width),
            "mlp.fc1.bias": (mlp,),
            "mlp.fc2.weight": (width, mlp),
            "mlp.fc2.bias": (width,),
            "norm1.weight": (width,),
            "norm2.weight": (width,),
            "ls1": (width,),
            "ls2": (width,),
        }
        if config.attention_bias:
            layer["attn.qkv.bias"] = (3 * width,)
        if config.use_qk_norm:
            layer |= {"attn.q_norm.weight": (width,), "attn.k_norm.weight": (width,)}
        if config.norm_type == "layer_norm":
            layer |= {"norm1.bias": (width,), "norm2.bias": (width,)}
        shapes |= {f"encoder.layers.{number}.{name}": shape for name, shape in layer.items()}
    return {f"vision_model.{name}": shape for name, shape in shapes.items()}


def text_shapes(config: Any, family: str) -> Shapes:
    width, mlp, vocabulary = config.hidden_size, config.intermediate_size, config.vocab_size
    head = getattr(config, "head_dim", None) or width // config.num_attention_heads
    queries, keys = config.num_attention_heads * head, config.num_key_value_heads * head
    if family == "internlm2":
        shapes: Shapes = {"model.tok_embeddings.weight": (vocabulary, width), "output.weight": (vocabulary, width)}
        layer: Shapes = {
            "attention.wqkv.weight": (queries + 2 * keys, width),
            "attention.wo.weight": (width, queries),
            "feed_forward.w1.weight": (mlp, width),
            "feed_forward.w2.weight": (width, mlp),
            "feed_forward.w3.weight": (mlp, width),
            "attention_norm.weight": (width,),
            "ffn_norm.weight": (width,),
        }
    else:
        shapes = {"model.embed_tokens.weight": (vocabulary, width), "lm_head.weight": (vocabulary, width)}
        layer = {
            "self_attn.q_proj.weight": (queries, width),
            "self_attn.k_proj.weight": (keys, width),
            "self_attn.v_proj.weight": (keys, width),
            "self_attn.o_proj.weight": (width, queries),
            "mlp.gate_proj.weight": (mlp, width),
            "mlp.up_proj.weight": (mlp, width),
            "mlp.down_proj.weight": (width, mlp),
            "input_layernorm.weight": (width,),
            "post_attention_layernorm.weight": (width,),
        }
        if family == "qwen2":
            layer |= {f"self_attn.{part}_proj.bias": (queries if part == "q" else keys,) for part in "qkv"}
        if family == "qwen3":
            layer |= {f"self_attn.{part}_norm.weight": (head,) for part in "qk"}
    shapes["model.norm.weight"] = (width,)
    for number in range(config.num_hidden_layers):
        shapes |= {f"model.layers.{number}.{name}": shape for name, shape in layer.items()}
    return {f"language_model.{name}": shape for name, shape in shapes.items()}


def original_shapes(config: InternVLConfig, family: str) -> Shapes:
    seen, width = 4 * config.vision_config.hidden_size, config.text_config.hidden_size
    projector: Shapes = {
        "mlp1.0.weight": (seen,),
        "mlp1.0.bias": (seen,),
        "mlp1.1.weight": (width, seen),
        "mlp1.1.bias": (width,),
        "mlp1.3.weight": (width, width),
        "mlp1.3.bias": (width,),
    }
    return vision_shapes(config.vision_config) | projector | text_shapes(config.text_config, family)


@pytest.mark.parametrize("name", ["InternVL2.5-2B", "InternVL3-1B", "InternVL3-9B", "InternVL3-38B", "InternVL3.5-1B"])
def test_every_name_and_shape_of_a_published_size_has_its_place(name: str) -> None:
    config, family = published(name), INTERNVL[name].family
    with torch.device("meta"):
        weights = {key: torch.empty(shape) for key, shape in original_shapes(config, family).items()}
        converted, unknown = convert(weights, internvl_rules(config))
        assert not unknown
        check_weights(converted, InternVLForConditionalGeneration(config), name, unknown)
    assert sum(part.numel() for part in converted.values()) == sum(part.numel() for part in weights.values())


def tiny(family: str) -> dict[str, Any]:
    """A configuration of the original format, with the keys of the published ones that matter and some that do not."""
    return {
        "model_type": "internvl_chat",
        "architectures": ["InternVLChatModel"],
        "downsample_ratio": 0.5,
        "force_image_size": 56,
        "max_dynamic_patch": 12,
        "ps_version": "v2",
        "select_layer": -1,
        "tie_word_embeddings": False,
        "llm_config": {
            "model_type": family,
            "vocab_size": 50,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_act": "silu",
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000.0,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "bias": False,
            "use_cache": False,
        },
        "vision_config": {
            "model_type": "intern_vit_6b",
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
            "num_channels": 3,
            "norm_type": "rms_norm",
            "layer_norm_eps": 1e-6,
            "hidden_act": "gelu",
            "qk_normalization": True,
            "qkv_bias": False,
            "drop_path_rate": 0.1,
        },
    }


def tiny_weights(config: InternVLConfig, family: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: 0.3 * torch.randn(shape) for name, shape in original_shapes(config, family).items()}


def rms(states: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * states * (states.square().mean(-1, keepdim=True) + eps).rsqrt()


def reference_vision(weights: dict[str, Tensor], pixels: Tensor, layers: int, heads: int) -> Tensor:
    """InternViT with the original weights, written from its description: pre-norm, fused qkv, norms of q and k."""
    embeddings = "vision_model.embeddings"
    kernel, bias = weights[f"{embeddings}.patch_embedding.weight"], weights[f"{embeddings}.patch_embedding.bias"]
    patches = F.conv2d(pixels, kernel, bias, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    first = weights[f"{embeddings}.class_embedding"].expand(len(pixels), -1, -1)
    states = torch.cat([first, patches], 1) + weights[f"{embeddings}.position_embedding"]
    for number in range(layers):
        layer = {name.removeprefix(f"vision_model.encoder.layers.{number}."): value for name, value in weights.items()}
        fused = rms(states, layer["norm1.weight"], 1e-6) @ layer["attn.qkv.weight"].T
        query, key, value = fused.unflatten(-1, (3, -1)).unbind(-2)
        query = rms(query, layer["attn.q_norm.weight"], 1e-6)
        key = rms(key, layer["attn.k_norm.weight"], 1e-6)
        query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
        weights_of = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
        mixed = (weights_of @ value).transpose(1, 2).flatten(2)
        states = states + layer["ls1"] * (mixed @ layer["attn.proj.weight"].T + layer["attn.proj.bias"])
        inner = F.gelu(rms(states, layer["norm2.weight"], 1e-6) @ layer["mlp.fc1.weight"].T + layer["mlp.fc1.bias"])
        states = states + layer["ls2"] * (inner @ layer["mlp.fc2.weight"].T + layer["mlp.fc2.bias"])
    return states


@torch.no_grad()
def test_the_converted_tower_computes_what_the_original_weights_say() -> None:
    config = internvl_config(tiny("qwen2"), 3)
    weights = tiny_weights(config, "qwen2")
    model = convert_internvl(weights, config).eval()
    pixels = torch.randn(2, 3, 56, 56)
    expected = reference_vision(weights, pixels, layers=2, heads=2)
    torch.testing.assert_close(model.model.vision_tower(pixels).last_hidden_state, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_internlm2_keeps_its_queries_keys_and_values_by_group() -> None:
    config = internvl_config(tiny("internlm2"), 3)
    weights = tiny_weights(config, "internlm2")
    attention = convert_internvl(weights, config).model.language_model.layers[1].self_attn
    states = torch.randn(5, 32)
    fused = states @ weights["language_model.model.layers.1.attention.wqkv.weight"].T
    groups = fused.view(5, 2, 2 + 2, 8)  # two key-value heads; each has two queries, a key and a value of 8
    torch.testing.assert_close(attention.q_proj(states), groups[:, :, :2].reshape(5, 32))
    torch.testing.assert_close(attention.k_proj(states), groups[:, :, 2].reshape(5, 16))
    torch.testing.assert_close(attention.v_proj(states), groups[:, :, 3].reshape(5, 16))


@torch.no_grad()
def test_the_language_model_and_projector_compute_what_the_original_weights_say() -> None:
    config = internvl_config(tiny("qwen2"), 3)
    weights = tiny_weights(config, "qwen2")
    model = convert_internvl(weights, config).eval()
    seen = torch.randn(2, 4, 64)
    inner = F.layer_norm(seen, (64,), weights["mlp1.0.weight"], weights["mlp1.0.bias"])
    inner = F.gelu(inner @ weights["mlp1.1.weight"].T + weights["mlp1.1.bias"])
    expected = inner @ weights["mlp1.3.weight"].T + weights["mlp1.3.bias"]
    torch.testing.assert_close(model.model.multi_modal_projector(seen), expected, rtol=1e-4, atol=1e-4)
    ids = torch.tensor([[1, 4, 9]])
    own = type(model.model.language_model)(config.text_config).eval()
    own.load_state_dict(
        {
            name.removeprefix("language_model.model."): value
            for name, value in weights.items()
            if name.startswith("language_model.model.")
        }
    )
    head = weights["language_model.lm_head.weight"]
    torch.testing.assert_close(model(input_ids=ids).logits, own(input_ids=ids).last_hidden_state @ head.T)


def test_the_configuration_keeps_what_matters() -> None:
    config = internvl_config(tiny("internlm2"), 3)
    assert config.text_config.model_type == "llama"
    assert config.image_seq_length == 4
    assert config.text_config.rope_parameters["rope_type"] == "dynamic"
    assert config.text_config.rope_parameters["rope_theta"] == 1e6
    assert (config.vision_config.use_qk_norm, config.vision_config.attention_bias) == (True, False)
    assert not config.tie_word_embeddings


def test_rotary_settings_are_taken_by_either_name_and_never_guessed() -> None:
    stored = tiny("qwen2")
    old = internvl_config(stored, 3).text_config.rope_parameters
    theta, scaling = (stored["llm_config"].pop(name) for name in ("rope_theta", "rope_scaling"))
    with pytest.raises(ValueError, match="has neither rope_theta nor rope_parameters"):
        internvl_config(stored, 3)
    stored["llm_config"]["rope_parameters"] = {"rope_type": scaling["type"], "factor": 2.0, "rope_theta": theta}
    new = internvl_config(stored, 3).text_config.rope_parameters
    assert {name: new[name] for name in ("rope_type", "factor", "rope_theta")} == {
        name: old[name] for name in ("rope_type", "factor", "rope_theta")
    }


@pytest.mark.parametrize("key", ["image_size", "patch_size"])
def test_a_vision_tower_without_its_sizes_is_refused(key: str) -> None:
    stored = tiny("qwen2")
    del stored["vision_config"][key]
    with pytest.raises(ValueError, match=f"vision_config.{key} is missing"):
        internvl_config(stored, 3)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ps_version": "v1"}, "ps_version must be 'v2', not 'v1'"),
        ({"select_layer": -4}, "select_layer must be -1, not -4"),
        ({"llm_config": {"model_type": "phi3"}}, "of type 'phi3': only qwen2"),
        ({"llm_config": None}, "no llm_config and vision_config"),
    ],
)
def test_a_configuration_without_a_counterpart_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        internvl_config(tiny("qwen2") | change, 3)


def test_what_does_not_fit_is_listed() -> None:
    config = internvl_config(tiny("qwen2"), 3)
    weights = tiny_weights(config, "qwen2")
    del weights["mlp1.0.bias"]
    weights["vision_model.surplus"] = torch.zeros(1)
    weights["language_model.model.norm.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match="do not fit the InternVL") as caught:
        convert_internvl(weights, config)
    message = str(caught.value)
    assert "missing: model.multi_modal_projector.layer_norm.bias (1 in all)" in message
    assert "unexpected: vision_model.surplus (1 in all)" in message
    assert "of another shape: model.language_model.norm.weight (3,) instead of (32,)" in message

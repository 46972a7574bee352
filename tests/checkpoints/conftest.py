"""The tiny InternVL of `parts` as a checkpoint in the original format, and as Sa2VA's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Sam2Model

from perceptio.checkpoints.assemble import load_vlm
from perceptio.checkpoints.sizes import sam_config
from perceptio.pretrained.weights import read_weights

SA2VA_TOKENS = {"[SEG]": 300, "<p>": 301, "</p>": 302}  # as Sa2VA adds them to its tokenizer
VISION = {
    "embeddings.cls_token": "embeddings.class_embedding",
    "embeddings.position_embeddings": "embeddings.position_embedding",
    "patch_embeddings.projection": "patch_embedding",
    "encoder.layer.": "encoder.layers.",
    "attention.projection_layer": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "lambda_": "ls",
}


def to_original(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Transformers' names of the tiny InternVL back to the original ones."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name.startswith("model.vision_tower."):
            name = name.replace("model.vision_tower", "vision_model")
            if ".attention.q_proj." in name:
                parts = [weights[f"model.vision_tower{name[12:]}".replace("q_proj", f"{part}_proj")] for part in "qkv"]
                name, value = name.replace("attention.q_proj", "attn.qkv"), torch.cat(parts)
            elif ".attention.k_proj." in name or ".attention.v_proj." in name:
                continue
            for new, old in VISION.items():
                name = name.replace(new, old)
        for new, old in (("layer_norm", "0"), ("linear_1", "1"), ("linear_2", "3")):
            name = name.replace(f"model.multi_modal_projector.{new}", f"mlp1.{old}")
        name = name.replace("model.language_model", "language_model.model")
        found[f"language_model.{name}" if name.startswith("lm_head") else name] = value.clone().contiguous()
    return found


@pytest.fixture
def original(parts: Path, tmp_path: Path) -> Path:
    """The tiny InternVL of `parts` in the original format."""
    vlm = load_vlm(parts / "vlm")
    text, vision = vlm.config.text_config, vlm.config.vision_config
    folder = tmp_path / "original"
    folder.mkdir()
    for file in ("vocab.json", "merges.txt", "added_tokens.json"):
        shutil.copy(parts / "vlm" / file, folder)
    tokenizer = json.loads((parts / "vlm" / "tokenizer_config.json").read_text())
    for key in ("extra_special_tokens", "start_image_token", "end_image_token", "context_image_token"):
        del tokenizer[key]  # the original repositories do not name them
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    config = {
        "model_type": "internvl_chat",
        "force_image_size": 128,
        "llm_config": {**text.to_dict(), "model_type": "qwen2", "rope_theta": text.rope_parameters["rope_theta"]},
        "vision_config": {
            **vision.to_dict(),
            "image_size": 128,
            "patch_size": 8,
            "qkv_bias": True,
            "qk_normalization": False,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(to_original(vlm.state_dict()), folder / "model.safetensors")
    return folder


def sa2va_sam() -> dict[str, Tensor]:
    """A SAM 2 of the size tiny under Sa2VA's names."""
    renamed: dict[str, Tensor] = {}
    for name, value in Sam2Model(sam_config("tiny")).state_dict().items():
        for new, old in (
            ("no_memory_embedding", "no_mem_embed"),
            ("vision_encoder.backbone", "image_encoder.trunk"),
            ("vision_encoder.neck.convs", "image_encoder.neck.convs"),
            ("patch_embed.projection", "patch_embed.proj"),
            ("prompt_encoder.", "sam_prompt_encoder."),
            ("mask_decoder.", "sam_mask_decoder."),
            ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
            ("mask_embed.conv1", "mask_downscaling.0"),
            ("mask_embed.layer_norm1", "mask_downscaling.1"),
            ("mask_embed.conv2", "mask_downscaling.3"),
            ("mask_embed.layer_norm2", "mask_downscaling.4"),
            ("mask_embed.conv3", "mask_downscaling.6"),
            ("upscale_conv1", "output_upscaling.0"),
            ("upscale_layer_norm", "output_upscaling.1"),
            ("upscale_conv2", "output_upscaling.3"),
            ("layer_norm", "norm"),
            ("o_proj", "out_proj"),
        ):
            name = name.replace(new, old)
        deep = any(head in name for head in ("iou_prediction_head", "pred_obj_score_head", "output_hypernetworks_mlps"))
        name = name.replace("layers.0", "layers.1") if deep else name
        name = name.replace("proj_in", "layers.0").replace("proj_out", "layers.2" if deep else "layers.1")
        if name.startswith("image_encoder.neck"):
            name = name.replace(".weight", ".conv.weight").replace(".bias", ".conv.bias")
        if "point_embed.weight" in name and "not_a" not in name:
            for number, row in enumerate(value):
                renamed[f"sam_prompt_encoder.point_embeddings.{number}.weight"] = row[None].clone()
        elif not name.startswith("shared_image_embedding"):
            renamed[name] = value
    renamed["memory_attention.norm.weight"] = torch.zeros(256)
    return {f"grounding_encoder.sam2_model.{name}": value.contiguous() for name, value in renamed.items()}


@pytest.fixture
def sa2va(original: Path) -> Path:
    """The checkpoint of `original` with Sa2VA's parts."""
    torch.manual_seed(0)
    projection = {
        "text_hidden_fcs.0.weight": torch.randn(64, 64),
        "text_hidden_fcs.0.bias": torch.randn(64),
        "text_hidden_fcs.2.weight": torch.randn(256, 64),
        "text_hidden_fcs.2.bias": torch.randn(256),
    }
    weights = read_weights(original) | projection | sa2va_sam()
    head = weights["language_model.lm_head.weight"]
    head[SA2VA_TOKENS["[SEG]"]] = torch.randn(64, generator=torch.Generator().manual_seed(3))  # is written now and then
    save_file(weights, original / "model.safetensors")
    path = original / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "sa2va_chat"}))
    path = original / "tokenizer_config.json"
    tokenizer = json.loads(path.read_text())
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    tokenizer["added_tokens_decoder"] |= {
        str(number): {"content": token, **flags} for token, number in SA2VA_TOKENS.items()
    }
    path.write_text(json.dumps(tokenizer))
    path = original / "added_tokens.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | SA2VA_TOKENS))
    return original

"""Whole checkpoints of other formats: read, converted, saved, loaded, asked."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import Sam2Model

from perceptio.checkpoints.assemble import load_vlm
from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint, read_weights
from perceptio.checkpoints.sizes import sam_config
from perceptio.cli import main
from perceptio.model.design import Design
from perceptio.model.loading import load_depth_tokenizer
from perceptio.pipeline import Perceptio

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


def edit(folder: Path, **change: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


def test_there_and_back_nothing_changes(parts: Path, original: Path) -> None:
    model, processor, report = convert_checkpoint(
        original, load_depth_tokenizer(parts / "depth"), tiles=4, sam_folder=parts / "sam"
    )
    own = load_vlm(parts / "vlm").eval()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 256, 3), dtype=np.uint8))
    batch = processor.prepare([image], ["Where is the cube?"])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "pixel_values")}
    assert batch["pixel_values"].shape[0] == 3
    with torch.no_grad():
        torch.testing.assert_close(model.vlm(**inputs).logits[..., :300], own(**inputs).logits[..., :300])
    assert "the [SEG] projector" in str(report).splitlines()[1]


def test_a_head_that_is_there_is_kept_though_the_configuration_says_tied(parts: Path, original: Path) -> None:
    edit(original, tie_word_embeddings=True)
    depth = load_depth_tokenizer(parts / "depth")
    model, *_ = convert_checkpoint(original, depth, tiles=4, sam_folder=parts / "sam")
    own = load_vlm(parts / "vlm").get_output_embeddings().weight
    assert not model.config.tie_word_embeddings
    torch.testing.assert_close(model.get_output_embeddings().weight[:300], own[:300])


def test_weights_that_were_cut_short_are_one_sentence(original: Path, tmp_path: Path) -> None:
    weights = original / "model.safetensors"
    (tmp_path / weights.name).write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="are damaged or cut short"):
        read_weights(tmp_path)


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
    save_file(weights, original / "model.safetensors")
    edit(original, model_type="sa2va_chat")
    return original


def test_sa2va_comes_with_its_sam_and_its_projection(
    parts: Path, sa2va: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = read_weights(sa2va)
    out = tmp_path / "converted"
    arguments = ["convert", sa2va, "--tokenizer", parts / "depth", "--out", out, "--tiles", 1]
    monkeypatch.setattr(sys, "argv", ["perceptio", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    said = capsys.readouterr().out
    assert "SAM 2 31,440,721" in said
    assert "new and untrained: the rows of 21 new tokens" in said
    model = Perceptio.from_pretrained(out, device="cpu")
    assert (model.model.config.pointing, model.model.config.sam_prompts) == (False, "padded")
    projector, sam = model.model.projector.state_dict(), model.model.sam.state_dict()
    for number in (0, 2):
        for kind in ("weight", "bias"):
            assert torch.equal(projector[f"layers.{number}.{kind}"], weights[f"text_hidden_fcs.{number}.{kind}"])
    prefix = "grounding_encoder.sam2_model"
    for ours, theirs in (
        ("vision_encoder.backbone.blocks.3.mlp.proj_out.bias", "image_encoder.trunk.blocks.3.mlp.layers.1.bias"),
        ("mask_decoder.iou_prediction_head.layers.0.weight", "sam_mask_decoder.iou_prediction_head.layers.1.weight"),
        ("mask_decoder.upscale_conv2.weight", "sam_mask_decoder.output_upscaling.3.weight"),
    ):
        assert torch.equal(sam[ours], weights[f"{prefix}.{theirs}"])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    assert model.ask(image, "Depth?", seg="off", depth="on", max_new_tokens=30).depth is not None


def test_what_a_checkpoint_lacks_is_said(parts: Path, original: Path) -> None:
    depth = load_depth_tokenizer(parts / "depth")
    with pytest.raises(ValueError, match="holds no SAM 2: name one with --sam"):
        convert_checkpoint(original, depth)
    edit(original, model_type="sa2va_chat")
    with pytest.raises(ValueError, match="said to be sa2va_chat, but its weights lack a SAM 2"):
        convert_checkpoint(original, depth)
    edit(original, model_type="llava")
    with pytest.raises(ValueError, match="of type 'llava': only internvl_chat and sa2va_chat"):
        convert_checkpoint(original, depth)
    (original / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing .* only safetensors are read"):
        read_weights(original)


def test_a_surplus_weight_is_refused(parts: Path, original: Path) -> None:
    save_file(read_weights(original) | {"language_model.surplus": torch.zeros(1)}, original / "model.safetensors")
    with pytest.raises(ValueError, match=r"unexpected: language_model\.surplus \(1 in all\)"):
        convert_checkpoint(original, load_depth_tokenizer(parts / "depth"), sam_folder=parts / "sam")


def test_pointing_is_not_promised_for_sa2va(parts: Path, sa2va: Path) -> None:
    with pytest.raises(ValueError, match="has no weights for pointing"):
        convert_checkpoint(sa2va, load_depth_tokenizer(parts / "depth"), Design(pointing=True))

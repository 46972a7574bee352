"""Whole checkpoints of other formats: read, converted, saved, loaded, asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from perceptio.checkpoints.assemble import load_vlm
from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint, read_weights
from perceptio.cli import main
from perceptio.model.design import Design
from perceptio.model.loading import load_depth_tokenizer
from perceptio.pipeline import Perceptio


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
    assert "new and untrained: the rows of 18 new tokens" in said
    assert "kept, with the rows they came with: [SEG] (id 300), <p> (id 301), </p> (id 302)" in said
    model = Perceptio.from_pretrained(out, device="cpu")
    config = model.model.config
    assert (config.pointing, config.sam_prompts, config.order, config.mask_gate) == (
        False,
        "padded",
        "interleaved",
        False,
    )
    assert model.processor.sam_resampling == "bicubic"
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

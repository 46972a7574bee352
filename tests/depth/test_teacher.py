"""Teachers of depth: the renderer's own, and a tiny Depth Anything with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.depth.teacher import DepthAnything, ExactDepth, Picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 12],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    model = DepthAnythingForDepthEstimation(config)
    with torch.no_grad():  # the last layer's ReLU must not silence a random network
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.2)
        model.head.conv3.bias.fill_(20.0)
    folder = tmp_path_factory.mktemp("teacher")
    model.save_pretrained(folder)
    DPTImageProcessorPil(
        size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True, do_pad=False
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(folder) -> DepthAnything:
    return DepthAnything(folder)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("width", "height"), [(90, 60), (40, 70), (56, 56)])
def test_network_s_map_has_the_picture_s_size_and_the_one_scale(teacher, width, height):
    found = teacher.inverse_depth(Picture(image=picture(width, height)))
    assert found.shape == (height, width)
    assert found.dtype == np.float32
    assert found.min() == -1
    assert found.max() == 1


def test_network_s_map_is_what_transformers_predicts(teacher, folder):
    image = picture(84, 56)
    model = DepthAnythingForDepthEstimation.from_pretrained(folder).eval()
    processor = DPTImageProcessorPil.from_pretrained(folder)
    with torch.no_grad():
        output = model(**processor(images=image, return_tensors="pt"))
    raw = processor.post_process_depth_estimation(output, [(56, 84)])[0]["predicted_depth"].numpy()
    assert raw.shape == (56, 84)
    found = teacher.inverse_depth(Picture(image=image))
    # larger raw values are nearer, and nothing but scale, shift and the clipped ends lies between
    assert np.corrcoef(raw.ravel(), found.ravel())[0, 1] > 0.99


def test_network_is_repeatable_and_looks_at_the_picture(teacher):
    first, again, other = (teacher.inverse_depth(Picture(image=picture(60, 60, seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01
    assert not teacher.model.training


def test_exact_depth_is_the_renderer_s():
    depth = np.random.default_rng(0).uniform(1, 9, (12, 16)).astype(np.float32)
    found = ExactDepth().inverse_depth(Picture(depth=depth))
    np.testing.assert_array_equal(found, inverse_depth_from_metric(depth))
    assert found[np.unravel_index(depth.argmin(), depth.shape)] == 1


def test_teachers_refuse_pictures_without_what_they_need(teacher):
    with pytest.raises(ValueError, match="no exact depth: name a depth network"):
        ExactDepth().inverse_depth(Picture(image=picture(8, 8)))
    with pytest.raises(ValueError, match="must be positive"):
        ExactDepth().inverse_depth(Picture(depth=np.zeros((4, 4), np.float32)))
    with pytest.raises(ValueError, match="needs the picture itself"):
        teacher.inverse_depth(Picture(depth=np.ones((4, 4), np.float32)))


def test_missing_network_is_one_sentence(tmp_path):
    for name in (tmp_path / "nowhere", tmp_path, "nobody/has-this-network"):
        with pytest.raises(ValueError, match=r"the depth teacher .* cannot be loaded") as error:
            DepthAnything(name)
        assert "\n" not in str(error.value)


def test_pickled_weights_are_not_loaded(folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    model = DepthAnythingForDepthEstimation.from_pretrained(folder)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be loaded"):
        DepthAnything(tmp_path)

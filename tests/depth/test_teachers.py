"""ZoeDepth and Depth Pro, tiny and with random weights: what transformers predicts, as relative inverse depth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import (
    BeitConfig,
    DepthProConfig,
    DepthProForDepthEstimation,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessorPil,
)

from perceptio.depth.normalization import normalize_inverse_depth
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.depth.teachers.depth_pro import DepthPro
from perceptio.depth.teachers.loading import load_teacher
from perceptio.depth.teachers.zoe_depth import ZoeDepth
from perceptio.pretrained.folder import ModelError

SIDE = 128  # px, of what the tiny Depth Pro reads
BINS = {"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def enliven(model: torch.nn.Module) -> None:
    """Make a random network's maps vary with what it reads."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=0.3)


def save_zoe(folder: Path, bins: list[dict[str, Any]], **more: Any) -> None:
    torch.manual_seed(0)
    backbone = BeitConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        use_relative_position_bias=True,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=4,
        bin_embedding_dim=8,
        num_attractors=[4, 4, 2, 1],
        bin_configurations=bins,
        **more,
    )
    model = ZoeDepthForDepthEstimation(config)
    enliven(model)
    model.save_pretrained(folder)
    processor = ZoeDepthImageProcessorPil(
        size={"height": 64, "width": 96}, ensure_multiple_of=32, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    processor.save_pretrained(folder)


@pytest.fixture(scope="module")
def zoe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoe")
    save_zoe(folder, [BINS])
    return folder


@pytest.fixture(scope="module")
def pro(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pro")
    encoder = {"model_type": "dinov2", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    encoder |= {"mlp_ratio": 2, "image_size": 32, "patch_size": 8}
    config = DepthProConfig(
        patch_size=32,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_feature_dims=[8, 8, 8],
        image_model_config=dict(encoder),
        patch_model_config=dict(encoder),
        fov_model_config=dict(encoder),
        use_fov_model=True,
    )
    DepthProForDepthEstimation(config).save_pretrained(folder)
    fields = {"do_normalize": True, "do_rescale": True, "do_resize": True, "resample": 2, "rescale_factor": 1 / 255}
    fields |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": SIDE, "width": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(fields))
    return folder


@pytest.mark.parametrize("name", ["depth_anything", "zoe", "pro"])
def test_folder_says_which_teacher_it_is(name: str, request: pytest.FixtureRequest) -> None:
    kinds = {"depth_anything": DepthAnything, "zoe": ZoeDepth, "pro": DepthPro}
    teacher = load_teacher(request.getfixturevalue(name))
    assert type(teacher) is kinds[name]
    images = [picture(90, 60, 0), picture(40, 70, 1), picture(90, 60, 2)]
    together = teacher.inverse_depths(images)
    for image, found in zip(images, together, strict=True):
        assert found.shape == image.size[::-1]
        assert (found.dtype, found.min(), found.max()) == (np.float32, -1, 1)
        np.testing.assert_allclose(found, teacher.inverse_depth(image), atol=1e-4)
    assert np.abs(together[0] - together[2]).mean() > 0.01


@torch.no_grad()
def test_zoe_depth_is_inverted_within_its_border(zoe: Path) -> None:
    """As its processor undoes the border, which needs torchvision: enlarged without a filter, and cut."""
    image = picture(90, 60)
    pixels = ZoeDepthImageProcessorPil.from_pretrained(zoe)(images=image, return_tensors="pt")
    depth = ZoeDepthForDepthEstimation.from_pretrained(zoe).eval()(**pixels).predicted_depth
    top, left = int((60 / 2) ** 0.5 * 3), int((90 / 2) ** 0.5 * 3)
    whole = F.interpolate(depth[None], (60 + 2 * top, 90 + 2 * left), mode="bicubic")[0, 0]
    expected = normalize_inverse_depth(1 / whole[top : top + 60, left : left + 90].numpy())
    np.testing.assert_allclose(load_teacher(zoe).inverse_depth(image), expected, atol=1e-5)


def test_heads_that_a_batch_votes_for_see_one_picture_at_a_time(tmp_path: Path) -> None:
    heads = [{"name": "nyu", **BINS}, {"name": "kitti", **BINS, "max_depth": 80.0}]
    sizes = {"hidden_size": 128, "intermediate_size": 16, "num_attention_heads": 2}
    layers: dict[str, Any] = {"num_patch_transformer_layers": 4}
    save_zoe(tmp_path, heads, **layers, **{f"patch_transformer_{name}": value for name, value in sizes.items()})
    teacher = load_teacher(tmp_path)
    seen: list[int] = []
    teacher.model.register_forward_pre_hook(
        lambda model, given, named: seen.append(len(named["pixel_values"])), with_kwargs=True
    )
    teacher.inverse_depths([picture(64, 64, seed) for seed in range(3)])
    assert seen == [1, 1, 1]


@torch.no_grad()
def test_depth_pro_is_what_transformers_predicts(pro: Path) -> None:
    image = picture(90, 60)
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - 0.5) / 0.5
    square = F.interpolate(pixels[None], (SIDE, SIDE), mode="bilinear")
    inverse = DepthProForDepthEstimation.from_pretrained(pro).eval()(pixel_values=square).predicted_depth
    expected = normalize_inverse_depth(F.interpolate(inverse[None], (60, 90), mode="bilinear")[0, 0].numpy())
    np.testing.assert_allclose(load_teacher(pro).inverse_depth(image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "file", "change", "message"),
    [
        ("zoe", "config.json", {"model_type": "dpt"}, "'dpt' is no depth network that is known here"),
        ("zoe", "config.json", {"readout_type": "add"}, "readout_type must be 'project', not 'add'"),
        ("zoe", "config.json", {"num_attractors": [4, 4]}, "num_attractors must be a list of 4 values"),
        ("zoe", "config.json", {"bottleneck_features": 16}, "bottleneck_features must be fusion_hidden_size"),
        (
            "zoe",
            "config.json",
            {"bin_configurations": [{"n_bins": 8}]},
            r"bin_configurations\[0\].min_depth is missing",
        ),
        ("zoe", "preprocessor_config.json", {"ensure_multiple_of": 24}, "multiple of the patch_size 16, not 24"),
        ("pro", "config.json", {"patch_size": 48}, "image_model_config.image_size must be patch_size 48"),
        ("pro", "config.json", {"intermediate_hook_ids": [5, 0]}, "intermediate_hook_ids must be at most 1"),
        ("pro", "config.json", {"scaled_images_ratios": [0.25, 1]}, "scaled_images"),
        ("pro", "preprocessor_config.json", {"size": {"height": 64, "width": 64}}, "a square of at least 128 px"),
    ],
)
def test_fields_that_cannot_be_are_named(
    name: str, file: str, change: dict[str, Any], message: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(request.getfixturevalue(name), folder)
    (folder / file).write_text(json.dumps({**json.loads((folder / file).read_text()), **change}))
    with pytest.raises(ModelError, match=message) as error:
        load_teacher(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "weight"), [("zoe", "metric_head.conv2.weight"), ("pro", "head.layers.0.weight")])
def test_missing_weights_are_not_made_up(
    name: str, weight: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "lacking"
    shutil.copytree(request.getfixturevalue(name), folder)
    weights = load_file(folder / "model.safetensors")
    del weights[weight]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=f"missing: {weight}"):
        load_teacher(folder)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("zoe", "neck.fusion_stage.layers.0.residual"), ("pro", "fusion_stage.intermediate.0.residual")],
)
def test_weights_that_are_never_read_may_be_absent(
    name: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole: Path = request.getfixturevalue(name)
    folder = tmp_path / "less"
    shutil.copytree(whole, folder)
    weights = load_file(folder / "model.safetensors")
    unused = [each for each in weights if each.startswith(f"{prefix}_layer1.")]
    assert unused
    save_file({each: weights[each] for each in weights if each not in unused}, folder / "model.safetensors")
    found, expected = (load_teacher(each).inverse_depth(picture(64, 64)) for each in (folder, whole))
    np.testing.assert_array_equal(found, expected)

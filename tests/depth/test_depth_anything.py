"""A tiny Depth Anything with random weights, as a teacher of depth."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import DepthAnythingForDepthEstimation, DPTImageProcessorPil

from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.pretrained.folder import ModelError


@pytest.fixture(scope="module")
def folder(depth_anything: Path) -> Path:
    return depth_anything


@pytest.fixture(scope="module")
def teacher(folder) -> DepthAnything:
    return DepthAnything(folder)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("width", "height"), [(90, 60), (40, 70), (56, 56)])
def test_network_s_map_has_the_picture_s_size_and_the_one_scale(teacher, width, height):
    found = teacher.inverse_depth(picture(width, height))
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
    found = teacher.inverse_depth(image)
    # larger raw values are nearer, and nothing but scale, shift and the clipped ends lies between
    assert np.corrcoef(raw.ravel(), found.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("width", "height"), [(2000, 10), (7, 600), (1, 1), (100, 1)])
def test_strip_of_a_picture_is_read_as_a_square(teacher, folder, width, height):
    """Kept to its shape it would be less than a patch wide, or tens of thousands of pixels long."""
    image = picture(width, height)
    found = teacher.inverse_depth(image)
    assert found.shape == (height, width)
    side = DPTImageProcessorPil.from_pretrained(folder).size["height"]
    square = image.resize((side, side), Image.Resampling.BICUBIC)
    expected = teacher.model(teacher.pixels(square)[None]).predicted_depth
    torch.testing.assert_close(
        teacher.model(teacher.pixels(image)[None]).predicted_depth, expected, atol=1e-3, rtol=0.01
    )


def test_network_is_repeatable_and_looks_at_the_picture(teacher):
    first, again, other = (teacher.inverse_depth(picture(60, 60, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01
    assert not teacher.model.training


def test_pictures_of_any_sizes_together_are_as_each_alone(teacher):
    pictures = [picture(*size, seed) for seed, size in enumerate([(90, 60), (56, 56), (60, 40), (84, 56)])]
    together = teacher.inverse_depths(pictures)
    for each, found in zip(pictures, together, strict=True):
        np.testing.assert_allclose(found, teacher.inverse_depth(each), atol=1e-5)
    assert teacher.inverse_depths([]) == []


def test_network_of_another_kind_is_refused(folder, parts, tmp_path):
    """Random weights in place of the missing ones would give depth maps of nonsense without a word."""
    for path in (parts / "sam").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    with pytest.raises(ValueError, match=r"config\.json: it is no Depth Anything V2: a model_type is 'sam2'"):
        DepthAnything(tmp_path)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    unused = [name for name in weights if name.startswith("neck.fusion_stage.layers.0.residual_layer1.")]
    assert unused
    for name in unused:
        del weights[name]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    image = picture(56, 56)
    np.testing.assert_array_equal(
        DepthAnything(tmp_path).inverse_depth(image), DepthAnything(folder).inverse_depth(image)
    )
    del weights["head.conv1.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"missing: head.conv1.weight"):
        DepthAnything(tmp_path)


def test_network_that_predicts_metres_is_refused(folder, tmp_path):
    model = DepthAnythingForDepthEstimation.from_pretrained(folder)
    model.config.depth_estimation_type = "metric"
    model.save_pretrained(tmp_path)
    DPTImageProcessorPil.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="depth_estimation_type must be 'relative', not 'metric'"):
        DepthAnything(tmp_path)


def test_missing_network_is_one_sentence(tmp_path):
    for name in (tmp_path / "nowhere", tmp_path, "nobody/has-this-network"):
        with pytest.raises(ModelError, match=str(name)) as error:
            DepthAnything(name)
        assert "\n" not in str(error.value)


def test_pickled_weights_are_not_loaded(folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    model = DepthAnythingForDepthEstimation.from_pretrained(folder)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        DepthAnything(tmp_path)


def test_weights_that_were_cut_short_are_one_sentence(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"the weights in .*cut/model\.safetensors are damaged or cut short"):
        DepthAnything(tmp_path / "cut")

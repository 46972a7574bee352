"""Only safetensors beside their index are read, and only numbers that a network can have."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Sam2Model

from perceptio.checkpoints.assemble import load_sam, load_vlm
from perceptio.checkpoints.conversion.checkpoint import convert_checkpoint
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.loading import load_depth_tokenizer
from perceptio.pipeline import Perceptio
from perceptio.pretrained.folder import ModelError
from perceptio.pretrained.weights import build_network, read_weights

VALUES = {"a": torch.arange(4.0), "b.c": torch.ones(2, 3), "b.d": torch.tensor(True)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights in two files with an index, and much else beside them."""
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": VALUES["a"]}, folder / "one.safetensors")
    save_file({name: VALUES[name] for name in ("b.c", "b.d")}, folder / "two.safetensors")
    write_index(folder, {"a": "one.safetensors", "b.c": "two.safetensors", "b.d": "two.safetensors"})
    torch.save(VALUES, folder / "pytorch_model.bin")
    shutil.copy(folder / "one.safetensors", tmp_path / "outside.safetensors")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "folder.safetensors").mkdir()
    (folder / "device.safetensors").symlink_to("/dev/zero")
    (folder / "broken.safetensors").symlink_to("nowhere")
    (folder / "text.safetensors").symlink_to("/etc/hostname")
    return folder


def write_index(folder: Path, places: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def test_weights_of_several_files_are_one(folder: Path) -> None:
    found = read_weights(folder)
    assert found.keys() == VALUES.keys()
    assert all(torch.equal(found[name], value) for name, value in VALUES.items())
    assert read_weights(folder, "b.").keys() == {"c", "d"}


def test_links_of_the_hub_s_cache_are_followed(folder: Path) -> None:
    blobs, snapshot = folder.parent / "blobs", folder.parent / "snapshots" / "0123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name in ("one.safetensors", "two.safetensors", "model.safetensors.index.json"):
        shutil.copy(folder / name, blobs / name[::-1])
        (snapshot / name).symlink_to(Path("../../blobs") / name[::-1])
    assert read_weights(snapshot).keys() == VALUES.keys()


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "../outside.safetensors",
        "/dev/zero",
        "sub/one.safetensors",
        "",
        "one.safetensors\0",
        5,
        None,
    ]
    + [f"{kind}.safetensors" for kind in ("pipe", "folder", "device", "broken", "text", "gone")],
)
def test_what_is_no_safetensors_file_of_the_folder_is_not_opened(folder: Path, name: Any) -> None:
    write_index(folder, {"a": "one.safetensors", "b.c": name})
    with pytest.raises(ModelError, match=r"index\.json names|\.safetensors") as caught:
        read_weights(folder)
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("places", [None, [], {}, "one.safetensors"])
def test_index_without_places_is_refused(folder: Path, places: Any) -> None:
    write_index(folder, places)
    with pytest.raises(ModelError, match=r"index\.json is damaged"):
        read_weights(folder)


def test_weight_in_two_files_is_refused(folder: Path) -> None:
    save_file({"a": VALUES["a"]}, folder / "two.safetensors")
    with pytest.raises(ModelError, match=r"two\.safetensors: the weight a stands in another file too"):
        read_weights(folder)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.tensor([1.0, torch.nan]), "holds NaN or infinity"),
        (torch.tensor([1.0, -torch.inf], dtype=torch.bfloat16), "holds NaN or infinity"),
        (torch.tensor([1.0, -1e30]), "holds 1e.30, which no network has"),
        (torch.zeros(2, dtype=torch.int8), "is of int8"),
        (torch.zeros(2, dtype=torch.float8_e4m3fn), "is of float8"),
    ],
)
def test_numbers_that_no_network_has_are_refused(folder: Path, value: Tensor, complaint: str) -> None:
    save_file({"a": value}, folder / "one.safetensors")
    with pytest.raises(ModelError, match=rf"one\.safetensors: the weight a {complaint}"):
        read_weights(folder)


def spoil(source: Path, target: Path) -> str:
    """A copy of a network's folder with one NaN in it; the name of the weight."""
    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    name = next(name for name in sorted(weights) if weights[name].dim() > 1)
    weights[name].view(-1)[-1] = torch.nan
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return name


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ("vlm", load_vlm),
        ("sam", load_sam),
        ("depth", load_depth_tokenizer),
        ("teacher", DepthAnything),
        ("model", Perceptio.from_pretrained),
    ],
)
def test_every_network_is_read_so(
    parts: Path, depth_anything: Path, tiny_folder: Path, tmp_path: Path, part: str, read: Callable[[Path], Any]
) -> None:
    source = {"teacher": depth_anything, "model": tiny_folder}.get(part, parts / part)
    name = spoil(source, tmp_path / part)
    with pytest.raises(ModelError, match=f"the weight {name} holds NaN"):
        read(tmp_path / part)


def test_checkpoint_to_convert_is_read_so(parts: Path, tmp_path: Path) -> None:
    name = spoil(parts / "vlm", tmp_path / "vlm")
    (tmp_path / "vlm" / "config.json").write_text('{"model_type": "internvl_chat"}')
    with pytest.raises(ModelError, match=f"the weight {name} holds NaN"):
        convert_checkpoint(tmp_path / "vlm", load_depth_tokenizer(parts / "depth"), sam_folder=parts / "sam")


def test_network_far_larger_than_its_weights_is_not_built(parts: Path) -> None:
    weights = read_weights(parts / "sam")
    config = Sam2Model.config_class.from_pretrained(parts / "sam")
    config.mask_decoder_config.mlp_dim = 1_000_000
    with pytest.raises(ValueError, match=r"describes [\d,]+ weights, but its files hold [\d,]+"):
        build_network(Sam2Model, config, weights)


def test_marks_and_numbers_are_not_exchanged(parts: Path, tmp_path: Path) -> None:
    tokenizer = DepthTokenizer.from_pretrained(parts / "depth")
    tokenizer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["decoder.layers.0.bias"] = torch.ones_like(weights["decoder.layers.0.bias"], dtype=torch.bool)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"of another type: decoder\.layers\.0\.bias"):
        load_depth_tokenizer(tmp_path)

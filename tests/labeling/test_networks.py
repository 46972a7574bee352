"""Identity and licence of the networks that label."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.labeling.networks import OWN_TERMS, Network, tokenizer_hash


def depth_config(width: int) -> dict[str, object]:
    return {"model_type": "depth_anything", "backbone_config": {"model_type": "dinov2", "hidden_size": width}}


def sam_config(width: int) -> dict[str, object]:
    return {"model_type": "sam2_video", "vision_config": {"backbone_config": {"hidden_size": width}}}


@pytest.mark.parametrize(
    ("config", "licence"),
    [
        (depth_config(384), "Apache-2.0"),
        (depth_config(768), "CC-BY-NC-4.0"),
        (depth_config(1024), "CC-BY-NC-4.0"),
        (depth_config(16), OWN_TERMS),
        (sam_config(96), "Apache-2.0"),
        (sam_config(144), "Apache-2.0"),
        (sam_config(32), OWN_TERMS),
        ({"model_type": "zoedepth", "backbone_config": {"hidden_size": 1024}}, "MIT"),
        ({"model_type": "depth_pro", "patch_model_config": {"hidden_size": 1024}}, "apple-amlr (research only)"),
        ({"model_type": "dpt", "backbone_config": {"hidden_size": 384}}, OWN_TERMS),
        ({"model_type": ["depth_anything"], "backbone_config": None}, OWN_TERMS),
    ],
)
def test_licence_goes_by_what_the_network_is(tmp_path: Path, config: dict[str, object], licence: str) -> None:
    """Whatever its folder is called: behind a link, or in the hub's cache, its name is lost."""
    cached = tmp_path / "models--depth-anything--Depth-Anything-V2-Small-hf" / "snapshots" / "0123"
    cached.mkdir(parents=True)
    (cached / "config.json").write_text(json.dumps(config))
    (tmp_path / "link").symlink_to(cached)
    for folder in (cached, tmp_path / "link"):
        assert Network(str(folder), folder).licence == licence


def test_name_is_that_of_the_hub_where_its_cache_is_given(depth_anything: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--depth-anything--Depth-Anything-V2-Small-hf" / "snapshots" / "0123"
    shutil.copytree(depth_anything, cached)
    assert Network(str(cached), cached).identity().startswith("Depth-Anything-V2-Small-hf@")


def test_identity_follows_the_files_and_not_their_place(depth_anything: Path, tmp_path: Path) -> None:
    first = Network("hub/teacher", depth_anything).identity()
    copy = tmp_path / "teacher"
    copy.mkdir()
    for path in depth_anything.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert Network(str(copy), copy).identity() == first
    (copy / "preprocessor_config.json").write_text("{}")
    assert Network(str(copy), copy).identity() != first


def test_tokenizer_hash_follows_what_decides_codes(tokenizer_folder: Path) -> None:
    tokenizer = DepthTokenizer.from_pretrained(tokenizer_folder)
    first = tokenizer_hash(tokenizer)
    assert tokenizer_hash(DepthTokenizer.from_pretrained(tokenizer_folder)) == first
    with torch.no_grad():
        tokenizer.codebook[0] += 1e-3
    assert tokenizer_hash(tokenizer) != first

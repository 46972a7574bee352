"""Identity and licence of the networks that label."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.labeling.networks import OWN_TERMS, Network, tokenizer_hash


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0"),
        ("depth-anything/Depth-Anything-V2-Base-hf", "CC-BY-NC-4.0"),
        ("models/Depth-Anything-V2-Large-hf/", "CC-BY-NC-4.0"),
        ("facebook/sam2.1-hiera-large", "Apache-2.0"),
        ("facebook/sam2-hiera-tiny", "Apache-2.0"),
        ("runs/my-depth", OWN_TERMS),
        ("mine/not-Depth-Anything-V2-Small", OWN_TERMS),
    ],
)
def test_licence_goes_by_the_published_name(name: str, licence: str) -> None:
    assert Network(name, Path(name)).licence == licence


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

"""Pictures of many sizes with boxes and points, and tiny teachers in folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.labeling.job import LabelPlan
from perceptio.labeling.networks import Network

SIZES = [(90, 60), (40, 70), (56, 56), (60, 40), (64, 48), (50, 50), (90, 60)]
SMALL = {"image_size": 32, "downsample": 8, "codes": 16, "code_dim": 8, "width": 16, "blocks": 1}
MakePlan = Callable[..., LabelPlan]


def draw(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with seven pictures, two of them in a subfolder."""
    folder = tmp_path / "pictures"
    for seed, size in enumerate(SIZES):
        draw(folder / ("more" if seed > 4 else "") / f"{seed}.png", size, seed)
    return folder


@pytest.fixture
def prompts(pictures: Path) -> Path:
    """Boxes and points for some of the pictures."""
    lines = [
        {"image": "pictures/0.png", "boxes": [[10, 5, 60, 40], [0, 0, 90, 60]]},
        {"image": "pictures/more/5.png", "points": [[20, 30]], "boxes": [[1, 2, 30, 40]]},
        {"image": "pictures/3.png", "points": [[5, 5], [59, 39]]},
    ]
    path = pictures.parent / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depth tokenizer whose codebook holds what its random encoder makes of random maps, so that codes vary."""
    torch.manual_seed(0)
    tokenizer = DepthTokenizer(DepthTokenizerConfig(**SMALL)).eval()
    maps = F.interpolate(torch.rand(8, 1, 4, 4) * 2 - 1, tokenizer.config.image_size, mode="bicubic")
    with torch.no_grad():
        vectors = tokenizer.encoder(maps).flatten(2).transpose(1, 2).flatten(0, 1)
        tokenizer.codebook.copy_(vectors[torch.randperm(len(vectors))[: tokenizer.config.codes]])
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_plan(depth_anything: Path, parts: Path, tokenizer_folder: Path) -> MakePlan:
    """Plans with tiny teachers, three pictures a shard, two a batch."""
    tokenizer = DepthTokenizer.from_pretrained(tokenizer_folder).eval()

    def make(prompts: Path | None = None, **changes: Any) -> LabelPlan:
        segmenter = None if prompts is None else Network(str(parts / "sam"), parts / "sam")
        teacher = Network(str(depth_anything), depth_anything)
        settings: dict[str, Any] = {"segmenter": segmenter, "prompts": prompts, "shard_size": 3, "batch_size": 2}
        return LabelPlan(teacher, tokenizer, **{**settings, **changes})

    return make


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

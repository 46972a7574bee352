"""Small folders of depth maps and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.labeling.map_job import MapPlan
from perceptio.labeling.networks import Network
from perceptio.labeling.running import LabelWorkers
from perceptio.training.codebook.sources import MapMaker

SIDE = 40  # px, of a stored map


def write_depth(folder: Path, count: int, seed: int = 0) -> Path:
    """Maps of metric depth: a slope with a nearer box."""
    folder.mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        depth = np.linspace(rng.uniform(3, 9), rng.uniform(1, 3), 48)[:, None] * np.ones(64)
        top, left = rng.integers(0, 30, 2)
        depth[top : top + 16, left : left + 20] *= rng.uniform(0.4, 0.8)
        np.save(folder / f"{number:02d}.npy", depth.astype(np.float32))
    return folder


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
        Image.fromarray(coarse).resize((72, 56), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def depth_folder(tmp_path: Path) -> Path:
    return write_depth(tmp_path / "depth", 6)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures", 4)


@pytest.fixture
def maker(tmp_path: Path, depth_anything: Path) -> MapMaker:
    teacher = Network(str(depth_anything), depth_anything)
    return MapMaker(tmp_path / "made", teacher, MapPlan(SIDE, shard_size=4), LabelWorkers())

"""A folder with one good sample: two overlapping masks, metric depth, a picture of 48 x 32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.schema import Sample, Turn

HEIGHT, WIDTH = 32, 48


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    depth = np.linspace(500, 4000, HEIGHT).astype(np.uint16)[:, None].repeat(WIDTH, 1)
    Image.fromarray(depth).save(tmp_path / "a-depth.png")
    return tmp_path


@pytest.fixture
def sample(home: Path) -> Sample:
    """The sample."""
    first = np.zeros((HEIGHT, WIDTH), bool)
    first[4:20, 4:28] = True
    return Sample(
        image="a.png",
        turns=(
            Turn("Where?", "Here: <p>one</p> and <p>two</p>.", "referring", masks=(1, 0)),
            Turn("Depth?", "Here.", "depth", depth=True),
            Turn("How many?", "There are 2.", "counting", target="2"),
        ),
        key="a",
        masks=(json_rle(mask_rle(first)), [[20.0, 12.0, 44.0, 12.0, 44.0, 28.0, 20.0, 28.0]]),
        depth="a-depth.png",
        licence="CC0",
    )

"""What the tests of all adapters do: write pictures, convert, and read every sample as training does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.data.adapters.registry import Conversion, convert
from perceptio.data.reading import read_sample
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample


@dataclass
class Converted:
    """The samples of a conversion, and the same with their files read."""

    done: Conversion
    samples: list[Sample]
    read: list[Sample]


Convert = Callable[..., Converted]


@pytest.fixture
def converted(tmp_path: Path) -> Convert:
    """Convert a folder of `tmp_path` (by default "data") to samples elsewhere in it."""

    def run(name: str, folder: str = "data", **options: Any) -> Converted:
        out = tmp_path / "out" / "samples.jsonl"
        done = convert(name, tmp_path / folder, out, **options)
        file = SampleFile(out)
        samples = [file[index] for index in range(len(file))]
        assert done.samples == len(samples)
        assert done.turns == sum(len(sample.turns) for sample in samples)
        assert done.masks == sum(len(sample.masks) for sample in samples)
        assert not [path for path in out.parent.rglob("*") if ".part" in path.name]
        read = [read_sample(sample, out.parent, file.where(number)) for number, sample in enumerate(samples)]
        return Converted(done, samples, read)

    return run


@pytest.fixture
def picture() -> Callable[[Path, int, int], None]:
    """Write a picture of noise."""

    def write(path: Path, height: int, width: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(height * width).integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(values).save(path)

    return write


@pytest.fixture
def write_json() -> Callable[[Path, Any], None]:
    """Write a file of annotations."""

    def write(path: Path, content: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    return write

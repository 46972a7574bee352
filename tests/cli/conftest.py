"""What the tests of the command line share: one run of the command, what it left, and a picture to run it on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main


class Result(NamedTuple):
    """What one run left."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, from its arguments to its exit code."""

    def call(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["perceptio", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        assert code is None or isinstance(code, int)
        return Result(code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """60 wide, 90 high."""
    return noise(tmp_path / "photo.png", 0)


@pytest.fixture
def options(tiny_folder: Path) -> list[str]:
    return ["--model", str(tiny_folder), "--device", "cpu"]


def noise(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 60, 3), dtype=np.uint8)).save(path)
    return path


def failed(result: Result) -> str:
    """The sentence of a failed run."""
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    return result.err.removeprefix("error: ").rstrip()

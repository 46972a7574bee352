"""`perceptio data convert` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one with depth in steps of 1/256 m."""
    for name in ("images", "depth"):
        (tmp_path / "rooms" / name).mkdir(parents=True)
    for name in "ab":
        Image.new("RGB", (30, 20)).save(tmp_path / "rooms" / "images" / f"{name}.png")
    steps = np.linspace(256, 2560, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(steps).save(tmp_path / "rooms" / "depth" / "a.png")
    return tmp_path / "rooms"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["perceptio", "data", "convert", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_samples_and_what_was_left_out_are_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rooms.jsonl"
    assert run(monkeypatch, "depth", folder, out, "--scale", 256, "--allow-missing") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"1 samples with 1 turns and 0 masks in {out}",
        "left out: 1 depth maps that are missing",
    ]
    (line,) = out.read_text().splitlines()
    sample = json.loads(line)
    assert (sample["image"], sample["depth"], sample["depth_scale"]) == (
        "rooms/images/a.png",
        "rooms/depth/a.png",
        256.0,
    )


def test_a_missing_file_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "depth", folder, tmp_path / "rooms.jsonl") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 1 of 2 depth maps are missing, the first is b: put it at")
    assert not (tmp_path / "rooms.jsonl").exists()

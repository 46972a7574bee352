"""The benchmark of decoding runs on a toy, and writes its table, its record and its plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "decoding.py"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1", "LP_NUM_THREADS": "0", "HF_HUB_OFFLINE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--batches", "1", "2"), ("--windows",)])
def test_the_toy_is_measured_in_every_section(tmp_path: Path, tiny_folder: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, "--model", str(tiny_folder), "--repeats", "1", "--out", "found", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads((tmp_path / "found" / "decoding.json").read_text())
    measured = record["measured"]
    sections = {each["section"] for each in measured}
    expected = {"ways", "session", "perception", "questions", "image tokens", "objects", "peers"}
    assert sections == ({"windows"} if "--windows" in options else expected)
    assert all(len(each["seconds"]) == 1 and each["calls"] > 0 for each in measured)
    calls = {each["name"]: each["calls"] for each in measured if each["section"] == "ways" and each["batch"] == 1}
    if calls:
        assert calls["exact"] < calls["sequential"]
    assert (tmp_path / "found" / "decoding.md").read_text().count("\n") == len(measured) + 2
    with Image.open(tmp_path / "found" / "decoding.png") as plot:
        assert plot.width > 500


@pytest.mark.slow
def test_what_cannot_be_measured_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "must be at least 1" in run(tmp_path, "--repeats", "0").stderr
    assert run(tmp_path, "--out", "file/below").stderr.startswith("error: ")

"""`perceptio tokenizer train`, killed wherever it is: the same command again ends as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perceptio.scenes.render_job import render_split

RECIPE = """
name: tiny
scenes: {train: 6, val: 2, size: 128}
depth_tokenizer: {image_size: 64, downsample: 16, codes: 16, code_dim: 8, width: 16, blocks: 1}
depth: {steps: 12, batch: 2, warmup: 1, workers: 1, log_every: 2, save_every: 2}
"""
MOMENTS = ("depth/recipe.json", "depth/checkpoint-2", "depth/checkpoint-6/complete", "depth/final")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "recipe.yaml").write_text(RECIPE)
    for split, count in (("train", 6), ("val", 2)):
        render_split(folder / "scenes" / split, split, count, size=128, progress=False)
    return folder


def start(folder: Path, out: str) -> subprocess.Popen[bytes]:
    command = ["tokenizer", "train", "recipe.yaml", "--out", out, "--scenes", "scenes"]
    code = "from perceptio.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *command], cwd=folder, stderr=subprocess.PIPE)


def kill_at(moment: Path, run: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Kill a run once something is there, and wait until its workers have ended too."""
    while not moment.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(how)
    run.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "terminate"])
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(how: signal.Signals, folder: Path) -> None:
    out = f"out-{how}"
    for moment in MOMENTS:
        kill_at(folder / out / moment, start(folder, out), how)
    for name in (out, "unbroken"):
        with start(folder, name) as run:
            said = run.communicate(timeout=300)[1]
        assert run.returncode == 0, said.decode()
    expected, found = (
        {path.name: path.read_bytes() for path in (folder / name / "depth" / "final").iterdir()}
        for name in ("unbroken", out)
    )
    assert found == expected
    litter = [path for path in (folder / out).rglob(".*") if path.name == ".lock" or path.suffix == ".part"]
    assert not litter

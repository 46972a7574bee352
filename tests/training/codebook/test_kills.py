"""`perceptio tokenizer train --images`, killed wherever it is: the same command again ends as an unbroken one does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import write_pictures

MOMENTS = ("recipe.json", "maps/*/maps-000000.safetensors", "checkpoint-2", "checkpoint-6/complete", "final")
RECIPE = """
name: tiny
teacher: {teacher}
data: {{pictures: {{kind: images}}}}
sizes: {{image_size: 32, downsample: 8, codes: 16, code_dim: 8, width: 16, blocks: 1}}
training: {{steps: 12, batch: 2, warmup: 1, workers: 1, log_every: 2, save_every: 2, evaluate_every: 4}}
"""


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path, depth_anything: Path) -> None:
    write_pictures(tmp_path / "pictures", 9)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(teacher=depth_anything))

    def start(out: str) -> subprocess.Popen[bytes]:
        command = ["-c", "from perceptio.cli import main; main()", "tokenizer", "train", "recipe.yaml", "--out", out]
        return subprocess.Popen([sys.executable, *command], cwd=tmp_path, stderr=subprocess.PIPE)

    for moment in MOMENTS:
        run = start("killed")
        while not list((tmp_path / "killed").glob(moment)) and run.poll() is None:
            time.sleep(0.01)
        run.kill()
        run.communicate(timeout=60)
    for out in ("killed", "unbroken"):
        with start(out) as run:
            said = run.communicate(timeout=300)[1]
        assert run.returncode == 0, said.decode()
    expected, found = (
        {path.name: path.read_bytes() for path in (tmp_path / out / "final").iterdir()}
        for out in ("unbroken", "killed")
    )
    assert found == expected
    litter = [path for path in (tmp_path / "killed").rglob(".*") if path.suffix in (".lock", ".part")]
    assert not litter

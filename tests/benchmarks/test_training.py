"""The benchmark of training runs, and prints a line for each trainer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "training.py"


@pytest.mark.slow
def test_the_toy_runs_on_any_machine(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--tiny"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("perceptio", "plain", "ratio"):
        assert re.search(rf"^{name} +\d+\.\d\d", done.stdout, re.MULTILINE), done.stdout

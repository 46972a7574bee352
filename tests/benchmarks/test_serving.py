"""The load test of the server runs, loses nothing, and writes its table and its record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "serving.py"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARK), *options],
        env=os.environ | {"LP_NUM_THREADS": "0", "HF_HUB_OFFLINE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=500,
    )


@pytest.mark.slow
def test_two_clients_are_served_and_measured(tmp_path: Path) -> None:
    short = ("--clients", "2", "--seconds", "3", "--warmup", "2", "--engine-seconds", "2", "--threads", "1")
    done = run(tmp_path, *short, "--out", "found")
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    record = json.loads((tmp_path / "found" / "serving.json").read_text())
    load = record["load"]
    assert (load["lost"], set(load["statuses"]), load["exit_code"]) == ([], {"200"}, 0)
    assert 0 < load["answered"] <= load["statuses"]["200"]
    assert all(each["rate"] > 0 and each["cores"] > 0 for each in record["own_batches"])
    assert all(0 < load["p50_ms"][kind] <= load["p95_ms"][kind] for kind in load["p50_ms"])
    assert (tmp_path / "found" / "serving.md").read_text() in done.stdout


@pytest.mark.slow
def test_what_cannot_be_measured_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path, "--clients", "1000").stderr.startswith("error: at most 256 clients")
    assert run(tmp_path, "--out", "file/below").stderr.startswith("error: ")

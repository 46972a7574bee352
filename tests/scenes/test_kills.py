"""A rendering that is ended at some moment and started again at once gives what an unbroken one gives."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perceptio.scenes.render_job import render_split

COUNT, SIZE = 320, 32  # five shards


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "scenes"
    render_split(folder, "train", COUNT, size=SIZE, workers=2, progress=False)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from perceptio.cli import main; main()", "scenes", "render", str(folder)]
    command += ["--count", str(COUNT), "--size", str(SIZE), "--workers", "2"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["plan.json", "shard-00000", "shard-00002", "shard-00003"])
@pytest.mark.parametrize(("end", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_ended_and_started_again_at_once(
    whole: dict[str, bytes], tmp_path: Path, finished: str, end: signal.Signals, code: int
) -> None:
    folder = tmp_path / "scenes"
    process = start(folder)
    wait_for(folder / finished, process)
    time.sleep(0.05)  # into the next shard
    process.send_signal(end)
    assert process.wait() == code
    render_split(folder, "train", COUNT, size=SIZE, workers=2, progress=False)
    assert contents(folder) == whole
    assert not list(folder.glob(".*"))
    assert process.stderr is not None
    told = process.stderr.read()  # to the end, which comes when the last worker has gone
    assert "Traceback" not in told
    assert (end == signal.SIGTERM) == told.rstrip().endswith("terminated")

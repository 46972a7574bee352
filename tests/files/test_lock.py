"""One run at a time in an output folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perceptio.files import FolderInUseError, OutputError, locked

HOLD = """
import time
from perceptio.files import locked

with locked("out"):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "a" / "out"):
            assert (tmp_path / "a" / "out").is_dir()
        assert not list((tmp_path / "a" / "out").iterdir())


def test_a_second_run_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        with pytest.raises(FolderInUseError, match=rf"out .* process {process.pid}:"), locked(tmp_path / "out"):
            pass
        process.terminate()


def test_the_lock_of_a_killed_run_is_taken_over_and_its_litter_swept(tmp_path: Path) -> None:
    with hold(tmp_path) as process:
        part = tmp_path / "out" / "deep" / f".final.{'0' * 6}-1-{'0' * 8}.part"
        part.mkdir(parents=True)
        (tmp_path / "out" / "mine.part").touch()
        process.send_signal(signal.SIGKILL)
    with locked(tmp_path / "out"):
        assert not part.exists()
        assert (tmp_path / "out" / "mine.part").exists()


def test_of_many_at_once_one_at_a_time_holds_it(tmp_path: Path) -> None:
    code = (
        "import os\nfrom perceptio.files import FolderInUseError, locked\n"
        "for _ in range(200):\n"
        "    try:\n"
        "        with locked('out'):\n"
        "            os.close(os.open('out/only', os.O_CREAT | os.O_EXCL)); os.unlink('out/only')\n"
        "    except FolderInUseError: pass\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out is a file"), locked(tmp_path / "out"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_protected_folder_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"), locked(tmp_path / "out"):
        pass

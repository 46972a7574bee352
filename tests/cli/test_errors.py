"""How a run ends when it is interrupted, unread or cannot be printed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.cli import main

# Looking at a picture stops the run until it is interrupted or told to go on by the end of stdin.
WAITING = """
import sys
import perceptio.images as images
size = images.upright_size
def wait(source):
    print("loading", file=sys.stderr, flush=True)
    sys.stdin.read()
    return size(source)
images.upright_size = wait
"""
RUN = "from perceptio.cli import main; main()"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def start(arguments: Sequence[object], before: str = "", **variables: str) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**environment, **variables},
    )


@pytest.mark.parametrize(
    ("sent", "code", "said"), [(signal.SIGINT, 130, b"interrupted\n"), (signal.SIGTERM, 143, b"terminated\n")]
)
def test_interruption_says_so_and_leaves_no_output(
    image: Path, tmp_path: Path, sent: signal.Signals, code: int, said: bytes
) -> None:
    process = start(["ask", image, "hello", "--out", tmp_path / "out"], WAITING)
    assert process.stderr is not None
    assert process.stderr.readline() == b"loading\n"
    process.send_signal(sent)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (code, b"", said)
    assert not (tmp_path / "out").exists()


def test_a_reader_that_leaves_a_long_answer_is_no_error(image: Path, tiny_folder: Path) -> None:
    images = [image] * 12  # more than fits into the buffers: the run meets the closed pipe while it prints
    process = start(["segment", *images, "the cone", "--model", tiny_folder, "--device", "cpu", "--json"])
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    assert process.communicate(timeout=120)[1] == b""
    assert process.returncode == 0


def test_characters_that_the_terminal_lacks_are_escaped(
    image: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = image.rename(tmp_path / "\u00e9t\u00e9.png")
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", f"perceptio depth {name} --model {tiny_folder} --device cpu --json".split())
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert json.loads(printed.getvalue().decode("ascii"))["image"] == str(name)
    settings = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}  # file names in UTF-8, printed text in ASCII
    process = start(["depth", tmp_path / "\u00e0.png"], **settings)
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, b"")
    assert error.startswith(b"error: there is no image file ")
    assert error.endswith(b"\\xe0.png\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_behind_stdout_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run([sys.executable, "-c", RUN, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert (result.returncode, result.stderr) == (1, b"error: No space left on device\n")

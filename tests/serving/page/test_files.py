"""What is downloaded."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from perceptio.results import Answer
from perceptio.serving.page.files import FILES, KEPT_S, still_there, write_files


def make_older(folder: Path, seconds: float) -> None:
    for each in (*folder.iterdir(), folder):
        os.utime(each, (time.time() - seconds,) * 2)


def test_an_answer_s_files(answer: Answer, tmp_path: Path) -> None:
    files = write_files(answer, tmp_path)
    assert set(files) == set(FILES)
    written = json.loads(Path(files["answer.json"]).read_text(encoding="utf-8"))
    assert written["text"] == answer.text
    assert written["depth"]["file"] == "depth16.png"
    with Image.open(files["depth16.png"]) as depth:
        assert answer.depth is not None
        assert np.allclose(np.asarray(depth) / 65535, answer.depth.unit, atol=1e-4)
    with Image.open(files["overlay.png"]) as overlay:
        assert overlay.size == (640, 640)
    assert len(trimesh.load(files["relief.glb"]).geometry) == 1


def test_nothing_is_written_that_is_not_offered(answer: Answer, tmp_path: Path) -> None:
    for each in (answer, dataclasses.replace(answer, depth=None)):
        files = write_files(each, tmp_path)
        folder = Path(files["answer.json"]).parent
        assert {str(path) for path in folder.iterdir()} == set(files.values())
    assert set(files) == {"overlay.png", "answer.json"}


def test_old_files_go_with_their_folders(answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "of gradio").mkdir()
    make_older(tmp_path / "of gradio", 2 * KEPT_S + 60)
    old, young = (Path(write_files(answer, tmp_path)["answer.json"]).parent for _ in range(2))
    make_older(old, 2 * KEPT_S + 60)
    make_older(young, 2 * KEPT_S - 60)
    new = Path(write_files(answer, tmp_path)["answer.json"]).parent
    assert set(tmp_path.iterdir()) == {young, new, tmp_path / "of gradio"}


def test_what_was_removed_is_not_offered_and_what_is_offered_stays(answer: Answer, tmp_path: Path) -> None:
    files = write_files(answer, tmp_path)
    folder = Path(files["answer.json"]).parent
    make_older(folder, 2 * KEPT_S + 60)
    assert still_there(files) == files
    write_files(answer, tmp_path)
    assert folder.exists()
    Path(files["relief.glb"]).unlink()  # as gradio does to each file
    assert set(still_there(files)) == set(FILES) - {"relief.glb"}

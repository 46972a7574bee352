"""What is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from perceptio.serving.page.files import FILES, write_files
from perceptio.serving.page.handlers import Handlers
from perceptio.serving.page.talk import Talk

from .conftest import QUESTION, all_of


def test_nothing_is_written_before_an_answer(tmp_path: Path) -> None:
    assert write_files(Talk(), tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_an_answer_is_written_once(answered: Talk, tmp_path: Path) -> None:
    files = write_files(answered, tmp_path)
    assert set(files) == set(FILES)
    assert answered.last is not None
    assert answered.last.answer is not None
    answer = answered.last.answer
    assert json.loads(Path(files["answer.json"]).read_text(encoding="utf-8"))["text"] == answer.text
    with Image.open(files["depth16.png"]) as depth:
        assert answer.depth is not None
        assert np.allclose(np.asarray(depth) / 65535, answer.depth.unit, atol=1e-4)
    with Image.open(files["overlay.png"]) as overlay:
        assert overlay.size == (640, 640)
    assert len(trimesh.load(files["relief.glb"]).geometry) == 1
    assert write_files(answered, tmp_path) == files
    assert len(list(tmp_path.iterdir())) == 1


def test_an_earlier_depth_map_stays(handlers: Handlers, talk: Talk, tmp_path: Path) -> None:
    all_of(handlers.ask(talk, QUESTION, "off", "on", False))
    first = write_files(talk, tmp_path)
    all_of(handlers.ask(talk, "How many pyramids are there?", "off", "off", False))
    second = write_files(talk, tmp_path)
    assert second["relief.glb"] == first["relief.glb"]
    assert second["answer.json"] != first["answer.json"]

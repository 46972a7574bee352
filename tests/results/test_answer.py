"""Answers as plain data: JSON and the files of a saved answer."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.files import OutputError
from perceptio.results import Answer, DepthMap, Mask, Trace

from .conftest import answer


def test_very_large_original_is_drawn_on_the_reduced_picture(tmp_path: Path) -> None:
    """The picture is held reduced; masks and depth keep the original's size."""
    mask = np.zeros((31, 22), bool)
    mask[10:20, 5:15] = True
    depth = DepthMap(np.linspace(-1, 1, 31 * 22, dtype=np.float32).reshape(31, 22), np.zeros((2, 2), np.int64))
    found = Answer("", [Mask(mask, 1.0)], depth, Trace(""), Image.new("RGB", (8, 11)))
    found.save(tmp_path)
    assert json.loads((tmp_path / "answer.json").read_text())["masks"][0]["rle"]["size"] == [31, 22]
    with Image.open(tmp_path / "overlay.png") as overlay:
        assert len(overlay.getcolors(maxcolors=10_000_000) or []) > 1


def test_an_answer_is_one_object_of_plain_json() -> None:
    content = answer(trace=Trace("raw", [], {"read": np.float64(0.123456)}, np.int64(12), np.bool_(True))).to_dict(
        "d.png"
    )
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == [
        *("text", "masks", "depth", "raw", "malformed", "seconds", "tokens", "spatial_tokens", "no_target", "ended")
    ]
    assert content["seconds"] == {"read": 0.1235}
    assert content["depth"] == {"file": "d.png", "size": [40, 30], "codes": np.arange(16).reshape(4, 4).tolist()}
    assert [(mask["score"], mask["phrase"]) for mask in content["masks"]] == [(0.75, "the red cube"), (0.5, None)]


def test_without_depth_the_field_is_null() -> None:
    assert answer(depth=False).to_dict("d.png")["depth"] is None


def test_saved_files_hold_the_answer(tmp_path: Path) -> None:
    found = answer()
    assert found.save(str(tmp_path / "out")) == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["answer.json", "depth.png", "overlay.png"]
    text = (tmp_path / "out" / "answer.json").read_text(encoding="utf-8")
    assert json.loads(text) == found.to_dict("depth.png")
    assert "the red cube — “left”" in text  # readable, not escaped
    assert "[0, 1, 2, 3]" in text  # a row of codes on one line
    for name in ("overlay.png", "depth.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            picture.load()
            assert picture.mode == "RGB"
            assert picture.width == 480


def test_json_layout_does_not_touch_strings(tmp_path: Path) -> None:
    tricky = '[\n  1,\n  2\n] [ 3,4 ] "quoted" \\ \x00 \u2028'
    answer(text=tricky).save(tmp_path)
    assert json.loads((tmp_path / "answer.json").read_text(encoding="utf-8"))["text"] == tricky


def test_depth_of_an_earlier_answer_does_not_outlive_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    answer().save(tmp_path)
    answer(depth=False).save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answer.json", "notes.txt", "overlay.png"]
    assert json.loads((tmp_path / "answer.json").read_text())["depth"] is None


def test_failing_in_the_middle_leaves_a_new_folder_empty_and_an_old_one_as_it_was(tmp_path: Path) -> None:
    old = answer()
    old.save(tmp_path / "old")
    before = {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()}
    long = answer(text="x" * 1_000_000, depth=False)  # the pictures fit below the limit, the last file does not
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        for folder in ("new", "old"):
            with pytest.raises(OutputError, match=r"cannot write .*answer\.json: "):
                long.save(tmp_path / folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "new").iterdir()) == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "old").iterdir()} == before


def test_values_that_json_cannot_hold_write_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        answer(masks=[Mask(np.ones((40, 30), bool), float("nan"))]).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_answer_without_its_image_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no image to draw on"):
        answer(image=None).save(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out is a file, not a folder"):
        answer().save(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_overlay_says_when_nothing_was_found() -> None:
    plain = answer(masks=[], trace=Trace("")).overlay()
    noted = answer(masks=[], trace=Trace("", no_target=True)).overlay()
    assert (np.asarray(plain) == (0, 128, 128)).all()
    changed = (np.asarray(noted) != (0, 128, 128)).any(-1)
    assert changed.any()
    assert not changed[noted.height // 4 :].any()  # in the upper corner only

"""Folders of pictures with depth -> requests for depth, and marked points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.adapters.registry import convert
from perceptio.data.errors import DataError
from perceptio.data.marks import HARDBLINK_PROMPT, draw_marks
from perceptio.data.schema import Mark
from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth

HEIGHT, WIDTH = 240, 320
# a slope from far (left) to near (right): any two points 20 px apart in x differ
METRES = np.tile(np.linspace(8, 1, WIDTH, dtype=np.float32), (HEIGHT, 1))
INVERSE = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))


@pytest.fixture
def data(tmp_path: Path, picture) -> Path:
    """One picture with metric depth, as .npy."""
    folder = tmp_path / "data"
    picture(folder / "images" / "a.jpg", HEIGHT, WIDTH)
    (folder / "depth").mkdir()
    np.save(folder / "depth" / "a.npy", METRES)
    return folder


def test_the_depth_map_is_asked_for(data, converted) -> None:
    result = converted("depth")
    (sample,), (read,) = result.samples, result.read
    (turn,) = sample.turns
    assert turn.depth
    assert turn.task == "depth"
    assert (sample.image, sample.depth, sample.depth_kind) == ("../data/images/a.jpg", "../data/depth/a.npy", "metric")
    assert (sample.key, sample.source) == ("data/a", "data")
    assert np.array_equal(read.depth, inverse_depth_from_metric(METRES))
    assert result.done.files is None


def test_sixteen_bits_have_a_scale(data, converted) -> None:
    (data / "depth" / "a.npy").unlink()
    values = np.round(METRES * 256).astype(np.uint16)
    Image.fromarray(values).save(data / "depth" / "a.png")
    result = converted("depth", scale=256.0)
    assert result.samples[0].depth_scale == 256.0
    expected = inverse_depth_from_metric(values / 256)
    assert np.abs(result.read[0].depth - expected).max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_maps_of_ade20k_are_inverse_depth(tmp_path, converted, picture, channels) -> None:
    picture(tmp_path / "data/images/training/ADE_train_00000001.jpg", HEIGHT, WIDTH)
    path = tmp_path / "data/inverse/training/ADE_train_00000001.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(INVERSE if channels == 1 else np.repeat(INVERSE[..., None], 3, 2)).save(path)
    result = converted("ade20k-depth")
    (sample,) = result.samples
    assert np.array_equal(result.read[0].depth, normalize_inverse_depth(INVERSE))
    assert (sample.source, sample.key) == ("ADE20K", "ADE20K/training/ADE_train_00000001")
    assert (sample.depth or "").startswith("../data" if channels == 1 else "samples-files/")
    assert (result.done.files is None) == (channels == 1)


def test_marked_points_are_drawn_where_depth_says(data, converted) -> None:
    result = converted("marks")
    (sample,), (read,) = result.samples, result.read
    (turn,) = sample.turns
    assert turn.question == HARDBLINK_PROMPT
    assert turn.depth
    assert 3 <= len(sample.marks) <= 5
    nearest = max(sample.marks, key=lambda mark: mark.x)  # nearest is rightmost on the slope
    assert turn.target == nearest.letter
    assert turn.answer.endswith(f"Point {nearest.letter}.")
    scaled = [Mark(m.letter, round(m.x * 336 / WIDTH), round(m.y * 336 / HEIGHT)) for m in sample.marks]
    for number, mark in enumerate(scaled):
        assert f"{mark.letter} at {mark.y * 10 // 336},{mark.x * 10 // 336} nearness" in turn.answer
        for other in scaled[:number]:
            assert np.hypot(mark.x - other.x, mark.y - other.y) >= 20
    assert np.array_equal(read.image, draw_marks(np.asarray(Image.open(data / "images" / "a.jpg")), scaled))
    levels = sorted((read.depth[mark.y, mark.x] for mark in sample.marks), reverse=True)
    assert levels[0] - levels[1] >= 2 * 20 / 255 - 0.02


def test_marks_are_the_same_each_time(data, tmp_path) -> None:
    texts = []
    for _ in range(2):
        convert("marks", data, tmp_path / "m.jsonl")
        texts.append((tmp_path / "m.jsonl").read_text())
    assert texts[0] == texts[1]


def test_pictures_without_clear_points_are_counted(data, converted, picture) -> None:
    picture(data / "images" / "b.jpg", HEIGHT, WIDTH)
    step = np.full((HEIGHT, WIDTH), 5.0)
    step[:5] = 1  # above the band of points; all others are equally far
    np.save(data / "depth" / "b.npy", step)
    result = converted("marks")
    assert len(result.samples) == 1
    assert result.done.left_out == {"pictures without points whose order is clear": 1}


def test_missing_maps_stop_the_conversion_or_are_counted(data, converted, picture) -> None:
    picture(data / "images" / "b.jpg", HEIGHT, WIDTH)
    np.save(data / "depth" / "c.npy", METRES)
    with pytest.raises(DataError, match=r"^1 of 2 depth maps are missing, the first is b: put it at .*depth/b.png, or"):
        converted("depth")
    left_out = converted("depth", allow_missing=True).done.left_out
    assert left_out == {"depth maps that are missing": 1, "depth maps without a picture": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(METRES > 4, 0, METRES), "values that are zero or less"),
        (np.where(METRES > 4, np.nan, METRES), "values that are NaN or infinite"),
        (METRES[::2], "is 320 x 120 pixels but its picture 320 x 240: resize it"),
        (METRES * 0 + 3, "is the same everywhere"),
    ],
)
def test_maps_that_cannot_be_used_are_counted_and_the_first_is_named(data, converted, picture, values, message) -> None:
    picture(data / "images" / "b.jpg", HEIGHT, WIDTH)
    np.save(data / "depth" / "b.npy", values)
    done = converted("depth").done
    assert done.left_out == {"depth maps that cannot be used": 1}
    assert re.search(rf"b\.npy .*{message}", done.first["depth maps that cannot be used"])


def test_depth_in_false_colours_is_refused(tmp_path, converted, picture) -> None:
    for folder in ("images", "inverse"):
        picture(tmp_path / "data" / folder / "a.png", HEIGHT, WIDTH)
    with pytest.raises(DataError, match="is in colours: save depth as grey values"):
        converted("depth")


def test_the_folder_says_which_kind_of_depth(data, converted) -> None:
    (data / "inverse").mkdir()
    with pytest.raises(DataError, match="holds both of depth and inverse"):
        converted("depth")
    with pytest.raises(DataError, match=r"holds neither of depth/val and inverse/val"):
        converted("depth", split="val")

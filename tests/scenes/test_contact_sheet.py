"""The page of pictures, masks, depth and questions."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from perceptio.files import OutputError
from perceptio.scenes.contact_sheet import draw_pictures, draw_scenes, fresh_scenes
from perceptio.scenes.samples import build_sample
from perceptio.visualize import color_depth

SIDE, GAP, LINE = 448, 16, 21  # px: a tile, the space between two, a line of a caption


def test_sheet_has_one_row_of_three_tiles_a_scene(store, tmp_path):
    path = tmp_path / "made" / "sheet.png"
    draw_scenes(store[:2], path)
    with Image.open(path) as page:
        assert page.format == "PNG"
        page.load()
    assert page.width == GAP + 3 * (SIDE + GAP)
    text = page.height - GAP - 2 * (SIDE + 8 + GAP)
    assert text % LINE == 0
    assert 2 <= text // LINE <= 2 * 12
    assert [file.name for file in path.parent.iterdir()] == ["sheet.png"]


def test_tiles_are_the_picture_its_masks_and_its_depth(store, tmp_path):
    draw_scenes(store[:1], tmp_path / "sheet.png", seed=3)
    page = np.array(Image.open(tmp_path / "sheet.png")).astype(int)
    picture, masks, depth = (page[GAP : GAP + SIDE, GAP + k * (SIDE + GAP) :][:, :SIDE] for k in range(3))
    stored = store[0]
    sample = build_sample(stored, np.random.default_rng(3), questions=5)
    expected = Image.fromarray(sample.image).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(picture, np.array(expected))
    plain = np.array(Image.fromarray(stored.rgb).resize((SIDE, SIDE), Image.Resampling.LANCZOS)).astype(int)
    inside = np.array(Image.fromarray(stored.ids).resize((SIDE, SIDE), Image.Resampling.NEAREST)) > 0
    changed = np.abs(np.array(Image.fromarray(masks.astype(np.uint8)).resize((SIDE, SIDE))).astype(int) - plain).mean(
        -1
    )
    assert changed[inside].mean() > 4 * changed[~inside].mean()
    sheet = color_depth(sample.depth)
    shown = sheet.resize((round(sheet.width * SIDE / sheet.height), SIDE), Image.Resampling.LANCZOS)
    left = (SIDE - shown.width) // 2
    np.testing.assert_array_equal(depth[:, left : left + shown.width], np.array(shown))


def test_same_seed_gives_the_same_sheet_and_another_seed_other_questions(store, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw_scenes(store[:1], tmp_path / name, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_fresh_scenes_are_the_first_of_the_split(store):
    fresh = fresh_scenes("val", 3)
    for made, stored in zip(fresh, store, strict=False):
        assert made.scene == stored.scene
        assert made.views == stored.views
        for name in ("rgb", "depth", "ids"):
            np.testing.assert_array_equal(getattr(made, name), getattr(stored, name))
    assert len(fresh) == 3


def test_sheet_that_cannot_be_written_is_an_output_error(store, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        draw_scenes(store[:1], tmp_path / "file" / "sheet.png")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        draw_scenes(store[:1], tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_narrow_tiles_share_rows_and_a_suffix_chooses_jpeg(store, tmp_path):
    draw_scenes(store[:3], tmp_path / "sheet.jpg", side=200)
    with Image.open(tmp_path / "sheet.jpg") as page:
        assert page.format == "JPEG"
        assert page.width == GAP + 6 * (200 + GAP)


def test_pictures_alone_come_eight_in_a_row(store, tmp_path):
    draw_pictures(store, tmp_path / "sheet.png", side=60)
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.width == GAP + 8 * (60 + GAP)
        assert page.height == pytest.approx(GAP + 2 * (60 + GAP), abs=4)

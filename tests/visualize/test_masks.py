"""Masks drawn on their image: what changes, and what must not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from perceptio.visualize import draw_masks
from perceptio.visualize.masks import COLORS, FILL

SIDE = 640  # a picture of this side is neither enlarged nor reduced
GREY = (120, 130, 140)


def square(left: int, top: int, right: int, bottom: int, side: int = SIDE) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def canvas() -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), GREY)


def changed(picture: Image.Image, before: Image.Image) -> np.ndarray:
    return (np.asarray(picture) != np.asarray(before)).any(axis=-1)


def test_pixels_change_only_within_and_just_around_the_mask() -> None:
    difference = changed(draw_masks(canvas(), [square(200, 250, 400, 350)], [""]), canvas())
    assert difference[250:350, 200:400].all()
    assert not (difference & ~square(190, 240, 410, 360)).any()


def test_fill_is_a_mixture_and_the_outline_pure() -> None:
    picture = np.asarray(draw_masks(canvas(), [square(200, 250, 400, 350)], [""]))
    mixture = [(1 - FILL) * grey + FILL * colour for grey, colour in zip(GREY, COLORS[0], strict=True)]
    np.testing.assert_allclose(picture[300, 300], mixture, atol=2)
    row = picture[300].astype(int)
    outline = np.flatnonzero(np.abs(row - COLORS[0]).max(axis=1) < 3)
    assert {int(column) // 100 for column in outline} <= {1, 2, 3, 4}
    assert min(outline) in range(195, 202)
    assert max(outline) in range(398, 405)
    assert (row[min(outline) - 1] < 60).all()  # a dark line around the coloured one


def test_the_outline_follows_the_shape() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - 320, columns - 320)
    picture = np.asarray(draw_masks(canvas(), [distance < 150], [""])).astype(int)
    outline = np.abs(picture - COLORS[0]).max(axis=-1) < 3
    assert outline.sum() > 2 * np.pi * 150
    assert 140 < distance[outline].min() <= distance[outline].max() < 160


def test_each_mask_has_its_own_colour() -> None:
    masks = [square(20 + 85 * i, 300, 70 + 85 * i, 350) for i in range(7)]
    picture = np.asarray(draw_masks(canvas(), masks, [""] * 7))
    assert len({tuple(picture[325, 45 + 85 * i]) for i in range(7)}) == 7


def test_a_label_lies_beside_its_mask_and_within_the_picture() -> None:
    mask = square(300, 300, 340, 340)
    bare, labelled = (draw_masks(canvas(), [mask], [text]) for text in ("", "the red cube 0.93"))
    rows, columns = np.nonzero(changed(labelled, bare))
    assert 0 < min(columns) < 320 < max(columns) < SIDE - 1
    assert abs((min(columns) + max(columns)) / 2 - 320) < 20
    assert 250 < min(rows) <= max(rows) < 400
    assert not changed(labelled, bare)[300:340, 300:340].all()


@pytest.mark.parametrize(
    "corner", [(0, 0, 30, 30), (610, 0, 640, 30), (0, 610, 30, 640), (610, 610, 640, 640), (0, 0, 640, 640)]
)
def test_labels_of_masks_at_the_border_are_whole(corner: tuple[int, int, int, int]) -> None:
    bare, labelled = (draw_masks(canvas(), [square(*corner)], [text]) for text in ("", "the red cube"))
    rows, columns = np.nonzero(changed(labelled, bare))
    reference = changed(draw_masks(canvas(), [square(300, 300, 340, 340)], ["the red cube"]), canvas())
    assert max(columns) - min(columns) > 80
    assert min(columns) > 0
    assert min(rows) > 0
    assert max(columns) < SIDE - 1
    assert max(rows) < SIDE - 1
    assert reference.any()


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    masks = [square(300, 300, 340, 340)] * 4
    labels = ["one", "two", "three", "four"]
    pictures = [draw_masks(canvas(), masks, [*labels[:count], *[""] * (4 - count)]) for count in range(5)]
    plates = [changed(after, before) for before, after in pairwise(pictures)]
    assert all(plate.sum() > 300 for plate in plates)
    assert sum(plate.astype(int) for plate in plates).max() == 1


def test_an_overlong_label_is_cut_to_the_picture() -> None:
    picture = draw_masks(canvas(), [square(300, 300, 340, 340)], ["a very long phrase " * 50])
    assert picture.size == (SIDE, SIDE)
    columns = np.nonzero(changed(picture, canvas()))[1]
    assert min(columns) > 0
    assert max(columns) < SIDE - 1


def test_a_note_is_written_in_the_upper_left() -> None:
    difference = changed(draw_masks(canvas(), [], [], note="nothing found"), canvas())
    rows, columns = np.nonzero(difference)
    assert max(rows) < 80
    assert min(columns) < 40
    assert max(columns) < 320


def test_an_empty_mask_draws_nothing_and_keeps_the_colours_of_the_others() -> None:
    mask = square(300, 300, 340, 340)
    empty = np.zeros_like(mask)
    assert not changed(draw_masks(canvas(), [empty], ["gone"]), canvas()).any()
    picture = np.asarray(draw_masks(canvas(), [empty, mask], ["gone", ""]))
    mixture = [(1 - FILL) * grey + FILL * colour for grey, colour in zip(GREY, COLORS[1], strict=True)]
    np.testing.assert_allclose(picture[320, 320], mixture, atol=2)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((30, 40), (480, 640)), ((900, 700), (900, 700)), ((4096, 1024), (2048, 512)), ((1, 1), (640, 640))],
)
def test_picture_keeps_proportions_within_its_bounds(size: tuple[int, int], expected: tuple[int, int]) -> None:
    mask = np.ones(size[::-1], dtype=bool)
    picture = draw_masks(Image.new("RGB", size), [mask], ["everything"])
    assert picture.size == expected
    assert picture.mode == "RGB"


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000), (3, 2)])
def test_slivers_are_drawn(size: tuple[int, int]) -> None:
    assert draw_masks(Image.new("RGB", size), [np.ones(size[::-1], bool)], ["label"], note="note").size[0] >= 1


def test_a_single_pixel_of_a_large_image_is_still_shown() -> None:
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[1500, 1000] = True
    picture = np.asarray(draw_masks(Image.new("RGB", (4000, 3000), GREY), [mask], [""]))
    rows, columns = np.nonzero((picture != GREY).any(axis=-1))
    assert len(rows) > 20
    assert abs(rows.mean() - 768) < 3
    assert abs(columns.mean() - 512) < 3


def test_enlarged_masks_stay_in_place_and_are_smooth() -> None:
    mask = square(16, 16, 32, 32, side=64)
    picture = draw_masks(Image.new("RGB", (64, 64), GREY), [mask], [""])
    rows, columns = np.nonzero((np.asarray(picture) != GREY).any(axis=-1))
    for ends in (rows, columns):
        assert min(ends) in range(145, 161)
        assert max(ends) in range(319, 335)


def test_inputs_are_not_changed() -> None:
    image, mask = canvas(), square(300, 300, 340, 340)
    draw_masks(image, [mask], ["label"], note="note")
    assert not changed(image, canvas()).any()
    np.testing.assert_array_equal(mask, square(300, 300, 340, 340))


def test_wrong_numbers_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 masks and 2 labels"):
        draw_masks(canvas(), [square(0, 0, 9, 9)], ["a", "b"])
    with pytest.raises(ValueError, match=r"mask of \(64, 64\) does not fit an image of \(640, 640\)"):
        draw_masks(canvas(), [square(0, 0, 9, 9, side=64)], ["a"])

"""Contact sheets, and text that fits."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from perceptio.visualize import contact_sheet
from perceptio.visualize.canvas import canvas_size, font, shorten, text_width, wrap

GAP = 16
FONT = font(16)


def tile(colour: str, size: tuple[int, int] = (50, 50), caption: str = "") -> tuple[Image.Image, str]:
    return Image.new("RGB", size, colour), caption


@pytest.mark.parametrize(
    ("tiles", "columns", "grid"), [(1, 4, (1, 1)), (3, 2, (2, 2)), (4, 4, (4, 1)), (5, 1, (1, 5)), (9, 4, (4, 3))]
)
def test_size_is_that_of_the_grid(tiles: int, columns: int, grid: tuple[int, int]) -> None:
    page = contact_sheet([tile("teal")] * tiles, columns=columns, width=100, letters=16)
    assert page.size == (GAP + grid[0] * (100 + GAP), GAP + grid[1] * (100 + 8 + GAP))


def test_pictures_fill_their_place_row_by_row() -> None:
    colours = ["red", "lime", "blue"]
    page = np.asarray(contact_sheet([tile(colour) for colour in colours], columns=2, width=100))
    places = [(66, 66), (66, 182), (66 + 124, 66)]
    assert [tuple(page[place]) for place in places] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    assert tuple(page[190, 182]) == (255, 255, 255)  # the place left over


def test_pictures_keep_their_proportions_and_are_centred() -> None:
    page = np.asarray(contact_sheet([tile("red", (10, 40)), tile("blue", (80, 20))], width=100))
    red, blue = ((page == colour).all(axis=-1) for colour in ((255, 0, 0), (0, 0, 255)))
    for found, height, width in ((red, 100, 25), (blue, 25, 100)):
        rows, columns = np.nonzero(found)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (height, width)
    columns = np.nonzero(red)[1]
    assert abs((columns.min() + columns.max()) / 2 - (GAP + 49.5)) <= 1


def test_captions_stand_below_their_picture_within_its_width() -> None:
    page = np.asarray(contact_sheet([tile("teal", caption="some words " * 20), tile("teal")], width=100, lines=3))
    assert page.shape[0] == GAP + 100 + 3 * round(16 * 1.3) + 8 + GAP
    rows, columns = np.nonzero((page < 128).all(axis=-1))
    assert rows.min() >= GAP + 100
    assert rows.max() < page.shape[0] - GAP // 2
    assert columns.min() >= GAP
    assert columns.max() < GAP + 100


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [({"columns": 0}, "got 0 and 400"), ({"width": 0}, "got 4 and 0"), ({"columns": -1}, "got -1 and 400")],
)
def test_impossible_grids_are_refused(arguments: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        contact_sheet([tile("teal")], **arguments)


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet([])


@pytest.mark.parametrize("width", [0, 5, 20, 60, 200, 1000])
def test_shortened_text_fits_and_is_the_longest_that_does(width: int) -> None:
    text = "the small red cube behind the large green ball"
    found = shorten(text, FONT, width)
    assert text_width(found, FONT) <= width
    if found == text:
        return
    assert found == "" or found.endswith("...")
    kept = len(found.removesuffix("..."))
    longer = text[: kept + 2].rstrip() + "..."
    assert text_width(longer, FONT) > width


def test_shortened_text_is_one_line() -> None:
    assert shorten("a\n b\t c", FONT, 500) == "a b c"


def test_wrapped_text_keeps_every_word_where_there_is_room() -> None:
    text = "Where is the red cube?\nIt is left of the ball."
    found = wrap(text, FONT, 120, 20)
    assert " ".join(found) == text.replace("\n", " ")
    assert all(text_width(line, FONT) <= 120 for line in found)
    assert any(line.startswith("It is") for line in found)


def test_wrapped_text_that_is_too_long_ends_in_dots() -> None:
    found = wrap("word " * 100, FONT, 120, 3)
    assert len(found) == 3
    assert found[-1].endswith("...")
    assert all(text_width(line, FONT) <= 120 for line in found)
    assert wrap("a" * 200, FONT, 60, 3)[0].endswith("...")  # one word wider than the line


def test_pictures_are_between_640_and_2048_pixels_long() -> None:
    assert canvas_size(224, 224) == (640, 640)
    assert canvas_size(1000, 2000) == (1000, 2000)
    assert canvas_size(9000, 3000) == (2048, 683)
    assert canvas_size(1, 9000) == (1, 2048)

"""Many pictures with captions on one page."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageOps

from perceptio.visualize.canvas import font, wrap

_PAPER, _INK = (255, 255, 255), (40, 40, 44)
_GAP = 16  # px between tiles


def contact_sheet(
    tiles: Sequence[tuple[Image.Image, str]], *, columns: int = 4, width: int = 400, letters: int = 16, lines: int = 6
) -> Image.Image:
    """Lay pictures out in rows, each with its caption below.

    Args:
        tiles: pictures with captions; a line end in a caption starts a new line.
        columns: tiles in a row.
        width: width of a tile in px; a picture is scaled to fit a square of this side.
        letters: height of letters in px.
        lines: the most lines of a caption; a longer one is cut.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one picture")
    if columns < 1 or width < 1:
        raise ValueError(f"columns and width must be at least 1, got {columns} and {width}")
    typeface = font(letters)
    line = round(letters * 1.3)
    pictures = [ImageOps.contain(image.convert("RGB"), (width, width), Image.Resampling.LANCZOS) for image, _ in tiles]
    captions = [wrap(text, typeface, width, lines) if text else [] for _, text in tiles]
    columns = min(columns, len(tiles))
    rows = [range(first, min(first + columns, len(tiles))) for first in range(0, len(tiles), columns)]
    heights = [
        (max(pictures[i].height for i in row), line * max(len(captions[i]) for i in row) + letters // 2) for row in rows
    ]
    page_height = _GAP + sum(image + caption + _GAP for image, caption in heights)
    page = Image.new("RGB", (_GAP + columns * (width + _GAP), page_height), _PAPER)
    draw = ImageDraw.Draw(page)
    top = _GAP
    for row, (image_height, caption_height) in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            left = _GAP + column * (width + _GAP)
            page.paste(pictures[index], (left + (width - pictures[index].width) // 2, top))
            for number, words in enumerate(captions[index]):
                draw.text((left, top + image_height + letters // 2 + number * line), words, font=typeface, fill=_INK)
        top += image_height + caption_height + _GAP
    return page

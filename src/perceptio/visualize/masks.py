"""Masks on their image: filled, outlined and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from perceptio.visualize.canvas import Font, enlarge, font, shorten, text_size, text_width

# Okabe and Ito's palette, distinct under the common kinds of colour blindness; black is left out.
COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
FILL = 0.38  # opacity of a mask's fill
EDGE = (16, 16, 18)  # dark line around the coloured one: it shows on any background
PLATE = (20, 20, 24, 225)  # background of a label


@dataclass(frozen=True)
class _Box:
    """Where a label's plate is, px; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def overlap(self, other: _Box) -> int:
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


def draw_masks(
    image: Image.Image, masks: Sequence[np.ndarray], labels: Sequence[str], *, note: str | None = None
) -> Image.Image:
    """Draw masks over an image.

    Args:
        image: RGB. The picture is enlarged or reduced to a long side of 640 to 2048 px.
        masks: each (H, W) bool, of the image's size; an empty one is not drawn.
        labels: one line for each mask, cut where it is wider than the picture.
        note: one line for the picture as a whole, in its upper left corner.

    Returns:
        An RGB picture in the image's proportions; every label lies within it, clear of the others where there is room.
    """
    if len(masks) != len(labels):
        raise ValueError(f"each mask needs one label, got {len(masks)} masks and {len(labels)} labels")
    for mask in masks:
        if mask.shape != (image.height, image.width):
            raise ValueError(f"mask of {mask.shape} does not fit an image of {(image.height, image.width)}")
    picture = enlarge(image.convert("RGB"))
    shapes = [_smooth(mask, picture.size) if mask.any() else None for mask in masks]
    line = max(2, round(max(picture.size) / 280))
    for index, shape in enumerate(shapes):
        if shape is not None:
            _paint(picture, shape, COLORS[index % len(COLORS)], line)

    typeface = font(text_size(picture.size))
    taken: list[_Box] = []
    if note is not None:
        _label(picture, note, (255, 255, 255), typeface, [(0, 0)], taken, None)
    covered = np.zeros((picture.height, picture.width), dtype=bool)
    for shape in shapes:
        if shape is not None:
            covered |= np.asarray(shape) > 127
    for index, (shape, text) in enumerate(zip(shapes, labels, strict=True)):
        box = shape.getbbox() if shape is not None else None
        if box is not None:
            _label(picture, text, COLORS[index % len(COLORS)], typeface, _anchors(box, typeface), taken, covered)
    return picture


def _smooth(mask: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """The mask as soft coverage (L) at the picture's size (width, height), without the steps of enlarged pixels."""
    coarse = Image.fromarray(mask.astype(np.uint8) * 255)
    factor = max(size[0] / coarse.width, size[1] / coarse.height)
    soft = coarse.resize(size, Image.Resampling.BILINEAR)
    if factor > 1:
        soft = soft.filter(ImageFilter.GaussianBlur(0.9 * factor))
        soft = soft.point([min(255, max(0, round((value - 127.5) * max(factor, 2) + 127.5))) for value in range(256)])
    # a speck that smoothing or reduction would wipe out is still shown
    return soft if (np.asarray(soft) > 127).any() else coarse.resize(size, Image.Resampling.BOX).point(_any_coverage)


def _any_coverage(value: int) -> int:
    return 255 if value > 0 else 0


def _paint(picture: Image.Image, shape: Image.Image, color: tuple[int, int, int], line: int) -> None:
    """Fill and outline one shape in place, touching only its surroundings."""
    box = shape.getbbox()
    assert box is not None
    margin = 2 * line + 2
    region = (
        max(0, box[0] - margin),
        max(0, box[1] - margin),
        min(picture.width, box[2] + margin),
        min(picture.height, box[3] + margin),
    )
    inside, tile = shape.crop(region), picture.crop(region)
    tile.paste(color, mask=inside.point(lambda value: value * FILL))
    edge = max(1, line // 2)
    narrow = inside.filter(ImageFilter.MaxFilter(2 * edge + 1))
    wide = narrow.filter(ImageFilter.MaxFilter(2 * edge + 1))
    core = inside.filter(ImageFilter.MinFilter(2 * line + 1))
    tile.paste(EDGE, mask=ImageChops.subtract(wide, narrow))
    tile.paste(color, mask=ImageChops.subtract(narrow, core))
    picture.paste(tile, region[:2])


def _anchors(box: tuple[int, int, int, int], typeface: Font) -> list[tuple[float, float]]:
    """Wanted centres of a label for a shape in `box`, best first: above, below, beside, inside, then further off."""
    left, top, right, bottom = box
    x, y, height = (left + right) / 2, (top + bottom) / 2, _plate_height(typeface)
    near = [(x, top - 0.75 * height), (x, bottom + 0.75 * height), (right, y), (left, y), (x, y)]
    return near + [(x, top - step * height) for step in (2, 3.2)] + [(x, bottom + step * height) for step in (2, 3.2)]


def _plate_height(typeface: Font) -> int:
    top, bottom = typeface.getbbox("Ag")[1::2]
    return round((bottom - top) * 1.6)


def _label(
    picture: Image.Image,
    text: str,
    color: tuple[int, int, int],
    typeface: Font,
    anchors: Sequence[tuple[float, float]],
    taken: list[_Box],
    covered: np.ndarray | None,
) -> None:
    """Write a label on the best of its anchors: off other labels first, then off the masks, then in anchor order."""
    height = _plate_height(typeface)
    pad = height // 3
    stripe = max(6, height // 3)
    margin = pad if min(picture.size) > height + 2 * pad else 0
    text = shorten(text, typeface, picture.width - stripe - 2 * pad - 2 * margin)
    if not text or height > picture.height:
        return  # a picture a few pixels wide or high has no room for letters
    width = stripe + 2 * pad + text_width(text, typeface)
    boxes = []
    for x, y in anchors:
        left = round(min(max(margin, x - width / 2), picture.width - margin - width))
        top = round(min(max(margin, y - height / 2), picture.height - margin - height))
        boxes.append(_Box(left, top, left + width, top + height))

    def cost(rank: int) -> float:
        box = boxes[rank]
        hidden = 0 if covered is None else float(covered[box.top : box.bottom, box.left : box.right].mean())
        clash = sum(box.overlap(other) for other in taken) / (width * height)
        return 100 * clash + hidden + 0.12 * rank

    box = boxes[min(range(len(boxes)), key=cost)]
    taken.append(box)
    draw = ImageDraw.Draw(picture, "RGBA")
    radius = height // 5
    draw.rounded_rectangle((box.left, box.top, box.right - 1, box.bottom - 1), radius=radius, fill=PLATE)
    swatch = (box.left, box.top, box.left + stripe, box.bottom - 1)
    draw.rounded_rectangle(swatch, radius=radius, fill=color, corners=(True, False, False, True))
    draw.text((box.left + stripe + pad, box.top + height / 2), text, font=typeface, fill="white", anchor="lm")

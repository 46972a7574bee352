"""The pictures of an answer for a web page: the picture itself, its masks as outlines, its depth map in colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from perceptio.results.contours import polygons
from perceptio.results.mask import Mask
from perceptio.results.pictures import png

if TYPE_CHECKING:
    from PIL import Image

_SIDE, _DEPTH_SIDE = 1280, 640  # px of the longer side in the page, at most


def picture(image: Image.Image, alt: str) -> str:
    """An `img` element that holds the picture as JPEG."""
    from PIL import Image

    shown = image.convert("RGB")
    shown.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="JPEG", quality=88)
    return _img("jpeg", buffer.getvalue(), shown.size, alt)


def depth_picture(unit_HW: np.ndarray, alt: str) -> str:
    """An `img` element of the depth map in colour, as PNG with a table of 256 colours."""
    from PIL import Image

    from perceptio.visualize.depth import color_table

    step = max(1, -(-max(unit_HW.shape) // _DEPTH_SIDE))
    levels = Image.fromarray(np.round(unit_HW[::step, ::step] * 255).astype(np.uint8))
    levels.putpalette(color_table().tobytes())
    return _img("png", png(levels), levels.size, alt)


def outlines(masks: Sequence[Mask]) -> str:
    """An `svg` element with one group for each mask, of the classes `m1`, `m2` ..., to lie over the picture."""
    if not masks:
        return ""
    step = -(-max(masks[0].array.shape) // _SIDE)
    height, width = masks[0].array[::step, ::step].shape
    shapes = "".join(_shape(mask, number, step) for number, mask in enumerate(masks, 1))
    return f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{shapes}</svg>'


def cell_colors(unit_HW: np.ndarray, codes: np.ndarray) -> list[tuple[int, int, int]]:
    """RGB of each code in raster order: the colour of the depth in the middle of its cell."""
    from perceptio.visualize.depth import color_table

    rows, columns = (
        ((np.arange(cells) + 0.5) * side / cells).astype(int)
        for cells, side in zip(codes.shape, unit_HW.shape, strict=True)
    )
    table = color_table()[np.round(unit_HW[np.ix_(rows, columns)] * 255).astype(np.uint8)]
    return [(int(red), int(green), int(blue)) for red, green, blue in table.reshape(-1, 3)]


def _shape(mask: Mask, number: int, step: int) -> str:
    """The outline twice: a dark line beneath the coloured one shows it on any background."""
    path = _path(polygons(mask.array[::step, ::step]) if step > 1 else mask.polygons)
    return (
        f'<g class="mask c{number} m{number}"><title>{escape(mask.label(number))}</title>'
        f'<path class="edge" d="{path}"/><path d="{path}"/></g>'
    )


def _path(outlines: Sequence[Sequence[float]]) -> str:
    return "".join(
        "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(polygon[::2], polygon[1::2], strict=True)) + "Z"
        for polygon in outlines
    )


def _img(kind: str, content: bytes, size: tuple[int, int], alt: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" width="{size[0]}" height="{size[1]}" alt="{escape(alt)}">'

"""Depth as colour: near is bright, far is dark, with a legend."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from perceptio.visualize.canvas import canvas_size, font, text_size, text_width

# Every eighth colour of "inferno" (matplotlib, CC0): perceptually uniform, readable in grey and by the colour-blind.
_INFERNO = (
    "000004 040312 0b0724 150b37 210c4a 2f0a5b 3d0965 4a0c6b 57106e 64156e 71196e 7d1e6d 8a226a 972766 a32c61 b0315b "
    "bc3754 c63d4d d04545 da4e3c e35933 eb6429 f1711f f67e14 f98c0a fb9b06 fcaa0f fbba1f f9c932 f5d949 f2e865 f3f586 "
    "fcffa4"
)
_PAPER, _INK = (255, 255, 255), (40, 40, 44)


@lru_cache(maxsize=1)
def color_table() -> np.ndarray:
    """Far to near: (256, 3) uint8, the anchors joined by straight lines."""
    anchors = np.array([tuple(bytes.fromhex(color)) for color in _INFERNO.split()], dtype=np.float64)
    position = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(position, np.arange(len(anchors)), channel) for channel in anchors.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def colorize(depth: np.ndarray) -> np.ndarray:
    """Relative inverse depth (H, W) float in [-1, 1], larger nearer -> (H, W, 3) uint8. Values beyond are clipped."""
    if depth.ndim != 2:
        raise ValueError(f"depth is an (H, W) array, got {depth.shape}")
    if not np.isfinite(depth).all():
        raise ValueError("depth contains NaN or infinite values")
    levels = np.clip((depth.astype(np.float32) + 1) * 127.5, 0, 255).round().astype(np.uint8)
    return color_table()[levels]


def color_depth(depth: np.ndarray, *, legend: bool = True) -> Image.Image:
    """A picture of relative inverse depth (H, W) float in [-1, 1], larger nearer.

    The map is enlarged or reduced to a long side of 640 to 2048 px; with `legend` a bar from far to near is added
    below. Colours stand for the whole range [-1, 1] in every picture.
    """
    height, width = depth.shape
    size = canvas_size(width, height)
    # resampled before colouring: mixing colours would invent depths that are not on the way between two others
    values = Image.fromarray(depth.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    picture = Image.fromarray(colorize(np.asarray(values)))
    return _with_legend(picture) if legend else picture


def _with_legend(picture: Image.Image) -> Image.Image:
    letters = text_size(picture.size)
    typeface = font(letters)
    pad = round(letters * 0.8)
    far, near = text_width("far", typeface), text_width("near", typeface)
    width = max(picture.width, far + near + 8 * pad)  # a very narrow map still gets a legend one can read
    strip = letters + 2 * pad
    sheet = Image.new("RGB", (width, picture.height + strip), _PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    middle = picture.height + strip / 2
    draw.text((pad, middle), "far", font=typeface, fill=_INK, anchor="lm")
    draw.text((width - pad, middle), "near", font=typeface, fill=_INK, anchor="rm")
    left, right = 2 * pad + far, width - 2 * pad - near
    top, bottom = round(middle - letters * 0.4), round(middle + letters * 0.4)
    ramp = Image.fromarray(color_table()[None]).resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    sheet.paste(ramp, (left, top))
    draw.rectangle((left - 1, top - 1, right, bottom), outline=_INK)
    return sheet

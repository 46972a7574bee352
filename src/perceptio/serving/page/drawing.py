"""What the browser draws: pictures as data URLs, masks as SVG paths, depth codes as colours. Plain JSON all of it.

Legend: K codes of the codebook, D their width.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.results import Answer, DepthMap, Mask
from perceptio.results.report.pictures import cell_colors
from perceptio.results.report.tokens import raw_tokens
from perceptio.visualize.depth import color_depth, color_table
from perceptio.visualize.masks import COLORS

LONG_SIDE = 1024  # px of a picture or a mask in the browser
_AROUND = 3  # cells on a side of the little map that shows how near a code is; the one in the middle is looked at


def data_url(image: Image.Image, *, quality: int = 90) -> str:
    """A JPEG of the picture, in the page itself: no file is served for it."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def draw_picture(image: Image.Image, size: tuple[int, int], alt: str) -> dict[str, Any]:
    """A picture with its (width, height) px, to which points, boxes and masks refer."""
    preview = image.copy()
    preview.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.LANCZOS)
    return {"src": data_url(preview), "width": size[0], "height": size[1], "alt": alt}


def hex_color(index: int) -> str:
    """The colour of an answer's mask, the one it has in `Answer.overlay`."""
    red, green, blue = COLORS[index % len(COLORS)]
    return f"#{red:02x}{green:02x}{blue:02x}"


def draw_mask(mask: Mask, index: int) -> dict[str, Any]:
    """A mask as an SVG path in pixels of the picture, its colour, and where its label is anchored."""
    step = max(1, math.ceil(max(mask.array.shape) / LONG_SIDE))
    coarse = mask if step == 1 else Mask(mask.array[::step, ::step], mask.score)
    path, top = [], (0.0, 0.0)
    for polygon in coarse.polygons:
        points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2) * step
        path.append("M" + "L".join(f"{x:g} {y:g}" for x, y in points.round(1)) + "Z")
    if mask.bbox is not None:
        left, upper, right, _ = mask.bbox
        top = ((left + right) / 2, float(upper))
    return {"path": "".join(path), "color": hex_color(index), "label": mask.label(index + 1), "top": list(top)}


def draw_depth(depth: DepthMap) -> dict[str, Any]:
    """The finished depth map, coloured."""
    step = max(1, math.ceil(max(depth.array.shape) / LONG_SIDE))
    return {"src": data_url(color_depth(depth.array[::step, ::step], legend=False))}


def draw_codes(codes: Sequence[int], total: int, levels_K: np.ndarray) -> dict[str, Any]:
    """The depth grid as far as it is written: a colour for each code, in raster order."""
    return {"grid": math.isqrt(total), "colors": [level_color(int(levels_K[code])) for code in codes]}


def level_color(level: int) -> str:
    """The colour of a depth level: 0 the farthest, 255 the nearest."""
    return "#" + color_table()[level].tobytes().hex()


def draw_tokens(answer: Answer) -> str:
    """HTML of what the model wrote, token by token, and of what was wrong with it."""
    trace, depth = answer.trace, answer.depth
    if depth is None:
        written = raw_tokens(trace.raw)
    else:
        written = raw_tokens(trace.raw, cell_colors(depth.unit, depth.codes), depth.codes.shape[1])
    problems = "".join(f"<li>{escape(problem)}</li>" for problem in trace.malformed)
    return (
        f'<p class="note">{trace.tokens} tokens</p><div class="tokens">{written}</div>'
        f"{f'<ul>{problems}</ul>' if problems else ''}"
    )


@torch.no_grad()
def code_levels(tokenizer: DepthTokenizer) -> np.ndarray:
    """How near each code is: (K,) uint8, the mean of the map that the code makes among its own kind; 255 is nearest."""
    vectors_KD11 = tokenizer.codebook.to(tokenizer.dtype)[:, :, None, None]
    maps = tokenizer.decoder(vectors_KD11.expand(-1, -1, _AROUND, _AROUND)).float()
    cell = maps.shape[-1] // _AROUND
    middle = maps[..., cell:-cell, cell:-cell]
    return ((middle.mean((1, 2, 3)) + 1) * 127.5).clamp(0, 255).round().to("cpu", torch.uint8).numpy()

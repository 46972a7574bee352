"""What the browser draws, against the arrays that it is made of."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import torch
from PIL import Image, ImageDraw

from perceptio.results import Answer, Mask
from perceptio.serving.engine import Engine
from perceptio.serving.page.drawing import (
    LONG_SIDE,
    code_levels,
    draw_codes,
    draw_depth,
    draw_mask,
    draw_picture,
    draw_tokens,
)
from perceptio.visualize.depth import color_table


def decoded(source: str) -> Image.Image:
    kind, content = source.split(",", 1)
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def filled(path: str, size: tuple[int, int]) -> np.ndarray:
    """The pixels whose middle an SVG path of straight lines encloses, each drawn four times as large."""
    page = Image.new("1", (size[0] * 4, size[1] * 4))
    for ring in re.findall(r"M([^Z]*)Z", path):
        points = [tuple(4 * float(number) for number in pair.split()) for pair in ring.split("L")]
        ImageDraw.Draw(page).polygon(points, fill=1)
    return np.asarray(page)[2::4, 2::4]


def test_a_large_picture_is_reduced_and_keeps_its_coordinates() -> None:
    view = draw_picture(Image.new("RGB", (3000, 1500), "red"), (6000, 3000), "red")
    assert (view["width"], view["height"], view["alt"]) == (6000, 3000, "red")
    assert decoded(view["src"]).size == (LONG_SIDE, LONG_SIDE // 2)


def test_a_mask_is_a_path_in_pixels_of_the_picture() -> None:
    array = np.zeros((40, 60), dtype=bool)
    array[10:30, 20:50] = True
    view = draw_mask(Mask(array, 0.87, "the cube"), 1)
    assert (filled(view["path"], (60, 40)) == array).all()
    assert view["label"] == "the cube 0.87"
    assert view["top"] == [35.0, 10.0]


def test_a_mask_of_a_large_picture_keeps_its_place() -> None:
    array = np.zeros((3000, 2000), dtype=bool)
    array[900:1500, 300:1200] = True
    numbers = [float(number) for number in re.findall(r"[\d.]+", draw_mask(Mask(array, 0.5), 0)["path"])]
    left, right, top, bottom = min(numbers[::2]), max(numbers[::2]), min(numbers[1::2]), max(numbers[1::2])
    assert np.allclose((left, right, top, bottom), (300, 1200, 900, 1500), atol=3)


def test_an_empty_mask_draws_nothing() -> None:
    assert draw_mask(Mask(np.zeros((4, 4), dtype=bool), 0.1), 0)["path"] == ""


def test_the_level_of_a_code_is_the_mean_of_its_map(engine: Engine) -> None:
    tokenizer = engine.model.model.depth_tokenizer
    levels = code_levels(tokenizer)
    codes = torch.arange(0, tokenizer.config.codes, 16)
    with torch.no_grad():
        maps = tokenizer.decode(codes[:, None].expand(-1, tokenizer.config.grid**2))
    expected = ((maps.mean((1, 2, 3)) + 1) * 127.5).clamp(0, 255).numpy()
    assert levels.dtype == np.uint8
    assert levels.shape == (tokenizer.config.codes,)
    assert np.abs(levels[codes].astype(float) - expected).max() < 20
    assert np.corrcoef(levels[codes], expected)[0, 1] > 0.99


def test_codes_are_coloured_as_far_as_they_are_written() -> None:
    view = draw_codes((1, 0), 9, np.array([0, 255], dtype=np.uint8))
    near, far = ("#" + color_table()[level].tobytes().hex() for level in (255, 0))
    assert view == {"grid": 3, "colors": [near, far]}


def test_depth_and_tokens_of_an_answer(answer: Answer) -> None:
    assert answer.depth is not None
    shown = np.asarray(decoded(draw_depth(answer.depth)["src"]).convert("L"), dtype=float)
    nearness = np.asarray(Image.fromarray(answer.depth.array).resize(shown.shape[::-1]))
    assert np.corrcoef(shown.ravel(), nearness.ravel())[0, 1] > 0.9
    html = draw_tokens(answer)
    assert html.count('class="code"') == answer.depth.codes.size
    assert "[SEG]" in html
    assert "&lt;p&gt;" in html

"""Colour words: what people call a colour, and silence where they differ."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.scenes.assets.colors import COLOR_WORDS, color_word

# sRGB of names that people gave most often, xkcd's colour survey of 2010 (public domain)
SURVEY = {
    "red": "e50000 840000",
    "orange": "f97306 fdaa48",
    "yellow": "ffff14 fffe7a",
    "green": "15b01a 033500 96f97b",
    "cyan": "00ffff 41fdfe",
    "blue": "0343df 00035b 95d0fc",
    "purple": "7e1e9c bf77f6",
    "pink": "ff81c0 fe01b1 cb416b",
    "brown": "653700 341c02 5a4633",
    "white": "ffffff",
    "black": "000000",
    "gray": "929591 7d7f7c",
    "beige": "e6daa6 d1b26f",
}


def patch(*parts: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
    rgb = np.array([list(bytes.fromhex(code)) for code, _ in parts]) / 255
    return rgb, np.array([float(weight) for _, weight in parts])


def test_words_agree_with_a_survey():
    assert set(SURVEY) == set(COLOR_WORDS)
    wrong = {
        (word, code): got
        for word, codes in SURVEY.items()
        for code in codes.split()
        if (got := color_word(*patch((code, 1)))) != word
    }
    assert not wrong


@pytest.mark.parametrize(
    "parts",
    [
        (("e50000", 1), ("0343df", 1)),
        (("ffffff", 1), ("000000", 1)),
        (("d3d3d3", 1),),  # white to some, gray to others
        (("b1916e", 1),),  # brown or beige
        (("dc4d01", 3), ("e50000", 2)),
    ],
)
def test_doubtful_patches_have_no_word(parts):
    assert color_word(*patch(*parts)) is None


def test_weights_count():
    assert color_word(*patch(("e50000", 8), ("0343df", 1))) == "red"
    assert color_word(*patch(("e50000", 1), ("0343df", 8))) == "blue"
    assert color_word(*patch(("e50000", 0))) is None
    assert color_word(np.zeros((0, 3)), np.zeros(0)) is None


def test_a_red_car_is_red_with_its_tyres_and_a_dark_one_with_red_lamps_is_not():
    assert color_word(*patch(("c01010", 5), ("101010", 4))) == "red"
    assert color_word(*patch(("c01010", 4), ("101010", 6))) is None

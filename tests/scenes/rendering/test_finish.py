"""The faults of a photograph."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.scenes.rendering.drawing import Finish
from perceptio.scenes.rendering.finish import finish_picture


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(40, 200, (64, 64, 3), np.uint8)


def test_nothing_changes_nothing(picture):
    assert (finish_picture(picture, Finish()) == picture).all()


def test_noise_has_its_strength_and_its_seed(picture):
    flat = np.full((256, 256, 3), 128, np.uint8)
    noisy = finish_picture(flat, Finish(noise=5.0, seed=3))
    # grey noise of 0.8 and coloured of 0.4 times the strength
    assert noisy.std() == pytest.approx(5 * np.hypot(0.8, 0.4), rel=0.05)
    assert (noisy == finish_picture(flat, Finish(noise=5.0, seed=3))).all()
    assert (noisy != finish_picture(flat, Finish(noise=5.0, seed=4))).any()


def test_blur_grows_with_the_picture():
    line = np.zeros((112, 112, 3), np.uint8)
    line[:, 56] = 255
    large = np.repeat(np.repeat(line, 4, 0), 4, 1)
    spread = [np.sqrt((finish_picture(p, Finish(blur=2.0))[50, :, 0] > 8).sum()) for p in (line, large)]
    assert spread[1] > spread[0]


def test_colours_move_towards_another_picture(picture):
    mean, spread = (0.9, 0.5, 0.2), (0.1, 0.1, 0.1)
    there = finish_picture(picture, Finish(recolor=(mean, spread, 1.0)))
    half = finish_picture(picture, Finish(recolor=(mean, spread, 0.5)))
    assert there.mean((0, 1)) / 255 == pytest.approx(mean, abs=0.03)
    between = (picture.mean((0, 1)) / 255 + np.array(mean)) / 2
    assert half.mean((0, 1)) / 255 == pytest.approx(between, abs=0.03)

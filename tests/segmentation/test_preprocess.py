"""SAM 2's input pixels against a float64 reference."""

from __future__ import annotations

import numpy as np
from PIL import Image

from perceptio.segmentation.preprocess import preprocess


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_values_are_normalised_with_imagenet_statistics() -> None:
    pixels = picture(32, 32)
    expected = (pixels / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(preprocess(pixels, 32).numpy(), expected.transpose(2, 0, 1), atol=1e-6)


def test_any_shape_becomes_a_square() -> None:
    pixels = picture(20, 50)
    found = preprocess(pixels, 32)
    assert found.shape == (3, 32, 32)
    resized = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found.numpy(), preprocess(resized, 32).numpy())


def test_pictures_and_arrays_agree() -> None:
    pixels = picture(40, 30)
    np.testing.assert_array_equal(preprocess(pixels, 64).numpy(), preprocess(Image.fromarray(pixels), 64).numpy())


def test_other_modes_are_read_as_rgb() -> None:
    grey = Image.fromarray(picture(32, 32)[..., 0])
    found = preprocess(grey, 32)
    assert found.shape == (3, 32, 32)

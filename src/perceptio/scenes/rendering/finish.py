"""The last steps of a picture, on its pixels: another picture's colours, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from perceptio.images import open_image
from perceptio.scenes.rendering.drawing import Finish


def finish_picture(rgb: np.ndarray, finish: Finish) -> np.ndarray:
    """Give a drawn picture, (H, W, 3) uint8, the faults of a photograph."""
    picture = rgb if finish.recolor is None else _recolored(rgb, *finish.recolor)
    image = Image.fromarray(picture)
    if finish.blur:
        image = image.filter(ImageFilter.GaussianBlur(finish.blur * rgb.shape[0] / 224))
    if finish.noise:
        rng = np.random.default_rng(finish.seed)
        values: np.ndarray = np.asarray(image, np.float32)
        gray = rng.standard_normal(values.shape[:2], np.float32)[..., None]
        values = values + finish.noise * (0.8 * gray + 0.4 * rng.standard_normal(values.shape, np.float32))
        image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if finish.jpeg:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=finish.jpeg)
        with open_image(file.getvalue()) as decoded:
            return np.array(decoded)
    return np.array(image)


def _recolored(rgb: np.ndarray, mean: tuple[float, ...], spread: tuple[float, ...], far: float) -> np.ndarray:
    """Move the mean and spread of each channel towards another picture's (Reinhard et al. 2001, here in sRGB)."""
    values = rgb.astype(np.float32) / 255
    own_mean, own_spread = values.mean((0, 1)), values.std((0, 1)) + 1e-3
    # another picture may be flat: the spread is not let down to nothing
    gain = np.clip(np.array(spread, np.float32) / own_spread, 0.6, 1.6)
    moved = (values - own_mean) * gain + np.array(mean, np.float32)
    return np.clip((values + far * (moved - values)) * 255, 0, 255).astype(np.uint8)

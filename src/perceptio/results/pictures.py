"""Pictures as bytes of PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


def png(image: Image.Image, *, quick: bool = False) -> bytes:
    """A picture as the content of a PNG file; the quick way presses it less, in a third of the time."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1 if quick else 6)
    return buffer.getvalue()


def reduced(array: np.ndarray, image: Image.Image) -> np.ndarray:
    """An (H, W) array of the original at the size of the picture that is held of it; itself where that is the same."""
    return array[:: -(-array.shape[0] // image.height), :: -(-array.shape[1] // image.width)]

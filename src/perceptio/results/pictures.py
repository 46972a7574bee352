"""Pictures as bytes of PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


def png(image: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def reduced(array: np.ndarray, image: Image.Image) -> np.ndarray:
    """An (H, W) array of the original at the size of the picture that is held of it; itself where that is the same."""
    return array[:: -(-array.shape[0] // image.height), :: -(-array.shape[1] // image.width)]

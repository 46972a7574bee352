"""Who tells the truth about depth: a monocular network for photographs (`teachers/`), the renderer for its scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from perceptio.depth.normalization import inverse_depth_from_metric


@dataclass(frozen=True)
class Picture:
    """What a teacher may look at."""

    image: Image.Image | None = None  # RGB
    depth: np.ndarray | None = None  # (H, W) float32, exact view-space z in metres


class DepthTeacher(Protocol):
    """Gives the relative inverse depth of a picture."""

    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """(H, W) float32 in [-1, 1], larger is nearer."""
        ...


class ExactDepth:
    """The renderer's own depth."""

    def inverse_depth(self, picture: Picture) -> np.ndarray:
        """As `DepthTeacher`.

        Raises:
            ValueError: if the picture has no exact depth, or not a positive one.
        """
        if picture.depth is None:
            raise ValueError("this picture has no exact depth: name a depth network as teacher")
        return inverse_depth_from_metric(picture.depth)

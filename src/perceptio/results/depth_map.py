"""The depth map of an answer, and the forms that other programs read it in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Relative inverse depth of the whole image: no unit, comparable within one image only."""

    array: np.ndarray  # (H, W) float32 in [-1, 1], larger is nearer, at the size of the original image
    codes: np.ndarray  # (g, g) int64, the generated codebook entries in raster order

    def __post_init__(self) -> None:
        for name in ("array", "codes"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise TypeError(f"{name} must be a numpy array, not {type(getattr(self, name)).__name__}")
        if self.array.ndim != 2 or self.codes.ndim != 2:
            raise ValueError(
                f"depth is an (H, W) array with a (g, g) grid of codes, got {self.array.shape} and {self.codes.shape}"
            )

    @cached_property
    def unit(self) -> np.ndarray:
        """(H, W) float32 in 0..1, 1 the nearest a map can say: `array` with [-1, 1] laid on [0, 1]."""
        return np.clip((self.array.astype(np.float32) + 1) / 2, 0, 1)

    def png16(self) -> bytes:
        """A grey PNG of 16 bits: `unit` times 65535, rounded. White is near, whatever the picture holds."""
        return self._png(np.uint16)

    def png8(self) -> bytes:
        """As `png16`, of 8 bits: `unit` times 255."""
        return self._png(np.uint8)

    def _png(self, kind: type[np.unsignedinteger[Any]]) -> bytes:
        from PIL import Image

        from perceptio.results.pictures import png

        levels = np.round(self.unit * np.float64(np.iinfo(kind).max)).astype(kind)
        return png(Image.fromarray(levels), quick=True)  # a depth map's low bits cannot be pressed

    def to_dict(self, file: str | None = None) -> dict[str, Any]:
        """JSON-safe: size [H, W], the grid of codes, and the name of the coloured picture if one was written."""
        return {"file": file, "size": list(self.array.shape), "codes": self.codes.tolist()}

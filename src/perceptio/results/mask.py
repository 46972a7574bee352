"""One segmented object, and the forms that other programs read it in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

UNNAMED = "object"  # how a mask without a phrase is called


@dataclass(frozen=True, eq=False)
class Mask:
    """One segmented object."""

    array: np.ndarray  # (H, W) bool, at the size of the original image
    score: float  # 0..1, how sure the model is of the mask
    phrase: str | None = None  # the words of the answer it belongs to, if they are known

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise TypeError(f"array must be a numpy array, not {type(self.array).__name__}")
        if self.array.ndim != 2 or self.array.dtype != np.bool_:
            raise ValueError(f"a mask is an (H, W) array of bool, got {self.array.shape} of {self.array.dtype}")

    @cached_property
    def rle(self) -> dict[str, Any]:
        """COCO run-length encoding: `{"size": [H, W], "counts": str}`, the compressed form pycocotools reads."""
        from pycocotools import mask as coco

        encoded = coco.encode(np.asfortranarray(self.array).view(np.uint8))
        return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}

    @cached_property
    def bbox(self) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) px, right and bottom exclusive; None of an empty mask."""
        rows, columns = (np.flatnonzero(self.array.any(axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def polygons(self) -> list[list[float]]:
        """COCO polygons; see `contours.polygons`."""
        from perceptio.results.contours import polygons

        return polygons(self.array)

    @cached_property
    def png(self) -> bytes:
        """A PNG of one bit a pixel: white is the object."""
        from PIL import Image

        from perceptio.results.pictures import png

        return png(Image.fromarray(self.array))

    def label(self, number: int) -> str:
        """What stands beside it in a picture: its phrase, or "object 2" for the second of an answer; and its score."""
        return f"{self.phrase or f'{UNNAMED} {number}'} {self.score:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: rle, score, phrase."""
        return {"rle": self.rle, "score": float(self.score), "phrase": self.phrase}

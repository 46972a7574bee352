"""What a user gets back: the answer, its masks, the depth map and a trace of how they came about.

Masks and depth have the size of the original, upright image. Everything here is plain data: numpy arrays, strings and
numbers, no model and no tensors.
"""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptio.files import write_files

if TYPE_CHECKING:
    from PIL import Image

OVERLAY_FILE = "overlay.png"
DEPTH_FILE = "depth.png"
ANSWER_FILE = "answer.json"


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

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: rle, score, phrase."""
        return {"rle": self.rle, "score": float(self.score), "phrase": self.phrase}


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

    def to_dict(self, file: str | None = None) -> dict[str, Any]:
        """JSON-safe: size [H, W], the grid of codes, and the name of the coloured picture if one was written."""
        return {"file": file, "size": list(self.array.shape), "codes": self.codes.tolist()}


@dataclass(frozen=True)
class Trace:
    """How an answer came about."""

    raw: str  # the generated tokens as text, control tokens included
    malformed: list[str] = field(default_factory=list)  # deviations from the grammar; empty if well-formed
    seconds: dict[str, float] = field(default_factory=dict)  # time by stage
    tokens: int = 0  # generated tokens
    no_target: bool = False  # the model was to segment and found nothing that fits

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "raw": self.raw,
            "malformed": list(self.malformed),
            "seconds": {stage: round(float(value), 4) for stage, value in self.seconds.items()},
            "tokens": int(self.tokens),
            "no_target": bool(self.no_target),
        }


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model said and saw."""

    text: str
    masks: list[Mask]  # one for each referred object that was found, in the order of their [SEG] tokens
    depth: DepthMap | None  # None where the model wrote no depth span, or an unreadable one (see the trace)
    trace: Trace
    # the upright picture in RGB, needed to save; a very large original is held reduced by a whole factor
    image: Image.Image | None = field(default=None, repr=False)

    def to_dict(self, depth_file: str | None = None) -> dict[str, Any]:
        """One JSON-safe object: text, masks, depth and the trace. `depth_file` names a written depth picture."""
        return {
            "text": self.text,
            "masks": [mask.to_dict() for mask in self.masks],
            "depth": self.depth.to_dict(depth_file) if self.depth is not None else None,
            **self.trace.to_dict(),
        }

    def overlay(self) -> Image.Image:
        """The image with its masks filled, outlined and labelled."""
        from perceptio.visualize import draw_masks

        if self.image is None:
            raise ValueError("this answer holds no image to draw on; pass image= when building it")
        labels = [f"{mask.phrase or f'object {index}'} {mask.score:.2f}" for index, mask in enumerate(self.masks, 1)]
        note = "nothing found" if self.trace.no_target and not self.masks else None
        return draw_masks(self.image, [_reduced(mask.array, self.image) for mask in self.masks], labels, note=note)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `overlay.png`, `answer.json` and, if there is depth, `depth.png` into `folder`; returns the folder.

        The folder is made if it is missing and files of these names in it are replaced; a `depth.png` of an earlier
        answer does not outlive it. Either all files are written or none.

        Raises:
            OutputError: if the folder cannot be written.
            ValueError: if the answer holds no image.
        """
        from perceptio.visualize import color_depth

        files = {OVERLAY_FILE: _png(self.overlay())}
        if self.depth is not None:
            assert self.image is not None
            files[DEPTH_FILE] = _png(color_depth(_reduced(self.depth.array, self.image)))
        content = self.to_dict(DEPTH_FILE if self.depth is not None else None)
        files[ANSWER_FILE] = _json(content)
        write_files(folder, files)
        if self.depth is None:
            (Path(folder) / DEPTH_FILE).unlink(missing_ok=True)
        return Path(folder)


def _reduced(array: np.ndarray, image: Image.Image) -> np.ndarray:
    """An (H, W) array of the original at the size of the picture that is held of it; itself where that is the same."""
    return array[:: -(-array.shape[0] // image.height), :: -(-array.shape[1] // image.width)]


def _json(content: dict[str, Any]) -> bytes:
    """Indented JSON with each list of integers on one line (strings hold no raw line ends: the pattern spares them)."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2)
    text = re.sub(r"\[\n\s+(-?\d+(?:,\n\s+-?\d+)*)\n\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text)
    return (text + "\n").encode()


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()

"""Masks as COCO writes them: polygons, and run-length codes (RLE), compressed or not.

pycocotools trusts what it is given: a point far outside takes all memory, a code that does not fit its size writes past
the end of an array. All that comes from outside is checked here before it gets there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from perceptio.data.fields import kind, shown
from perceptio.images import MAX_PIXELS

LONGEST_OUTLINE = 4_000_000  # px of all polygons of one mask: pycocotools takes some 120 bytes for each
_LONGEST_RUN = 7  # characters of one number of a compressed code, 5 bits each
_FORMS = "neither a list of polygons nor a run-length code"


def check_sides(height: Any, width: Any) -> None:
    """Refuse what is no size of an image, before anything is made in it.

    Raises:
        ValueError: if it is none.
    """
    sides = (width, height)
    if not all(type(side) is int and side > 0 for side in sides) or height * width > MAX_PIXELS:
        size = " x ".join(shown(side) for side in sides)
        raise ValueError(f"its image is {size} pixels, but images have 1 to {MAX_PIXELS} pixels here")


def segmentation_rles(
    segmentation: Any, height: int, width: int, *, beyond: float | None = None
) -> list[dict[str, Any]]:
    """One compressed COCO RLE for each part of an annotation: each polygon, or the one run-length code.

    A polygon of fewer than three points encloses nothing and is left out; what lies outside the image is cut off.

    Args:
        segmentation: COCO's: a list of polygons [x0, y0, x1, y1, ...] in pixels, or {"size": [H, W], "counts": ...}
            with counts as a list (uncompressed), or text or bytes (compressed).
        height: of the image.
        width: of the image.
        beyond: px that a polygon's points may lie outside the image; its longer side by default, which no annotator's
            slip of the hand exceeds.

    Raises:
        ValueError: if it is neither, or of another size, or a point lies farther outside.
    """
    check_sides(height, width)
    if isinstance(segmentation, dict):
        return [_code_rle(segmentation, height, width)]
    if not isinstance(segmentation, (list, tuple)):
        raise ValueError(f"its segmentation is {_FORMS} but {kind(segmentation)}")
    beyond = max(height, width) if beyond is None else beyond
    outlines = [_outline(polygon, height, width, beyond) for polygon in segmentation]
    outlines = [outline for outline in outlines if len(outline) >= 3]
    length = sum(float(np.abs(outline - np.roll(outline, 1, 0)).max(1).sum()) for outline in outlines)
    if length > LONGEST_OUTLINE:
        raise ValueError(f"its polygons are {length:.0f} px long, and {LONGEST_OUTLINE} at most are drawn")
    return list(coco.frPyObjects([outline.ravel().tolist() for outline in outlines], height, width)) if outlines else []


def union_rle(parts: Sequence[dict[str, Any]], height: int, width: int) -> dict[str, Any]:
    """One compressed RLE of all pixels that any part covers; of nothing, an empty mask.

    Added up, two parts that overlap would make a mask with values above 1.
    """
    return dict(coco.merge(list(parts))) if parts else runs_rle([height * width], height, width)


def runs_rle(runs: Sequence[int] | np.ndarray, height: int, width: int) -> dict[str, Any]:
    """Compressed RLE of runs, empty and full pixels in turn, column by column.

    Raises:
        ValueError: if they do not add up to the size.
    """
    values, pixels = np.asarray(runs), height * width
    # pycocotools would read past their end, or hang
    if not len(values) or values.min() < 0 or values.max() > pixels or values.sum() != pixels:
        raise ValueError(f"its runs do not add up to {height} x {width} pixels")
    return dict(coco.frPyObjects({"size": [height, width], "counts": values}, height, width))


def mask_rle(mask: np.ndarray) -> dict[str, Any]:
    """Compressed RLE of (H, W) bool.

    COCO counts column by column. Where a column's pixels change is found row by row, as the mask lies in memory: a
    third of the time of pycocotools' `encode`, most of which goes into turning the mask first.
    """
    height, width = mask.shape
    changed = np.empty((height, width), bool)
    changed[1:] = mask[1:] != mask[:-1]
    changed[0, 1:] = mask[0, 1:] != mask[-1, :-1]  # from the foot of a column to the head of the next
    changed[0, 0] = mask[0, 0]  # the first run is of empty pixels, and may have none
    rows, columns = np.divmod(np.flatnonzero(changed), width)
    runs = np.diff(np.sort(columns * height + rows), prepend=0, append=height * width)
    return runs_rle(runs, height, width)


def json_rle(rle: dict[str, Any]) -> dict[str, Any]:
    """A compressed RLE as JSON can hold it: pycocotools makes bytes of the counts."""
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _code_rle(code: dict[Any, Any], height: int, width: int) -> dict[str, Any]:
    size, counts = code.get("size"), code.get("counts")
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        given = f"[{', '.join(map(shown, size[:3]))}]" if isinstance(size, (list, tuple)) else kind(size)
        raise ValueError(f"its mask is {given} but the image is {[height, width]} (height, width)")
    if isinstance(counts, (str, bytes)):
        return runs_rle(_runs(counts), height, width)
    if not isinstance(counts, (list, tuple)) or not all(type(run) is int for run in counts):
        raise ValueError("its counts are neither text nor a list of whole numbers")
    return runs_rle(counts, height, width)


def _outline(polygon: Any, height: int, width: int, beyond: float) -> np.ndarray:
    """Points (n, 2) of a polygon."""
    if not isinstance(polygon, (list, tuple)) or len(polygon) % 2:
        raise ValueError(f"its segmentation is {_FORMS}")
    for value in polygon:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"a polygon holds {kind(value)}, which is no number")
    for x, y in zip(polygon[::2], polygon[1::2], strict=True):
        if not (-beyond <= x <= width + beyond and -beyond <= y <= height + beyond):  # NaN neither
            point = f"({shown(x)}, {shown(y)})"
            raise ValueError(f"a polygon's point {point} lies outside the picture of {width} x {height} pixels")
    return np.array(polygon, np.float64).reshape(-1, 2)


def _runs(counts: str | bytes) -> np.ndarray:
    """Runs of a compressed code: groups of 5 bits, low ones first, each from the third on as a difference.

    Source: `rleFrString` of the COCO API (common/maskApi.c).

    Raises:
        ValueError: if it holds other characters, ends within a number, or one has more than 35 bits.
    """
    text = counts.encode("utf-8", "replace") if isinstance(counts, str) else counts
    groups = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if ((groups < 0) | (groups > 63)).any():
        raise ValueError(f"its code holds characters that no run-length code has: {shown(counts)}")
    if not len(groups):
        return groups
    ends = np.flatnonzero(groups & 0x20 == 0)  # else another group follows
    if not len(ends) or ends[-1] != len(groups) - 1:
        raise ValueError("its run-length code is cut short")
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_RUN:
        raise ValueError(f"its run-length code holds a number of {lengths.max()} groups of bits")
    place = np.arange(len(groups)) - np.repeat(starts, lengths)
    values = np.add.reduceat((groups & 0x1F) << 5 * place, starts)
    values -= (groups[ends] & 0x10 > 0).astype(np.int64) << 5 * lengths  # negative
    runs = values.copy()
    for first in (1, 2):
        runs[first::2] = np.cumsum(values[first::2])
    return runs

"""Masks as COCO writes them: polygons, and run-length codes (RLE), compressed or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco


def segmentation_rles(segmentation: Any, height: int, width: int) -> list[dict[str, Any]]:
    """One compressed COCO RLE for each part of an annotation: each polygon, or the one run-length code.

    A polygon of fewer than three points encloses nothing and is left out.

    Args:
        segmentation: COCO's: a list of polygons [x0, y0, x1, y1, ...] in pixels, or {"size": [H, W], "counts": ...}
            with counts as a list (uncompressed) or a string (compressed).
        height: of the image.
        width: of the image.

    Raises:
        ValueError: if it is neither, or of another size.
    """
    if isinstance(segmentation, dict):
        size, counts = list(segmentation["size"]), segmentation["counts"]
        if size != [height, width]:
            raise ValueError(f"its mask is {size} but the image is {[height, width]} (height, width)")
        return [runs_rle(counts if isinstance(counts, list) else _runs(counts), height, width)]
    if not isinstance(segmentation, list) or any(len(polygon) % 2 for polygon in segmentation):
        raise ValueError("its segmentation is neither a list of polygons nor a run-length code")
    polygons = [polygon for polygon in segmentation if len(polygon) >= 6]
    return list(coco.frPyObjects(polygons, height, width)) if polygons else []


def union_rle(parts: Sequence[dict[str, Any]], height: int, width: int) -> dict[str, Any]:
    """One compressed RLE of all pixels that any part covers; of nothing, an empty mask.

    Added up, two parts that overlap would make a mask with values above 1.
    """
    return dict(coco.merge(list(parts))) if parts else runs_rle([height * width], height, width)


def runs_rle(runs: Sequence[int], height: int, width: int) -> dict[str, Any]:
    """Compressed RLE of runs, empty and full pixels in turn, column by column.

    Raises:
        ValueError: if they do not add up to the size.
    """
    if min(runs, default=0) < 0 or sum(runs) != height * width:  # pycocotools would read past their end, or hang
        raise ValueError(f"its runs do not add up to {height} x {width} pixels")
    return dict(coco.frPyObjects({"size": [height, width], "counts": list(runs)}, height, width))


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
    return runs_rle(runs.tolist(), height, width)


def json_rle(rle: dict[str, Any]) -> dict[str, Any]:
    """A compressed RLE as JSON can hold it: pycocotools makes bytes of the counts."""
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _runs(counts: str) -> list[int]:
    """Runs of a compressed code: groups of 5 bits, low ones first, each from the third on as a difference.

    Source: `rleFrString` of the COCO API (common/maskApi.c).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:  # another group follows
            continue
        if bits & 0x10:  # negative
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs

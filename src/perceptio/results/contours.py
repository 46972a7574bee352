"""The outline of a mask as COCO polygons."""

from __future__ import annotations

from typing import cast

import numpy as np

OuterOffsets = tuple[list[np.ndarray], list[np.ndarray]]  # of each part: points (P, 2), and where each ring begins
_TOLERANCE = 0.25  # px; the full outline passes at least 0.35 px from each pixel's centre, so no pixel changes sides


def polygons(mask: np.ndarray) -> list[list[float]]:
    """COCO polygons of a mask: one for each part that hangs together.

    The outline runs through the middles between pixels inside and outside (marching squares) and is then simplified
    (Ramer, 1972; Douglas and Peucker, 1973). COCO knows no holes. A hole is joined to the outline around it by a slit
    without width: the polygon goes to the hole, around it the other way, and back, so that programs that fill polygons
    leave the hole empty.

    Args:
        mask: (H, W) bool.

    Returns:
        `[x0, y0, x1, y1, ...]` px in each, (0, 0) being the upper left corner of the picture; none of an empty mask.
        Filled by pycocotools (`frPyObjects`, then `merge`) they give the mask again, pixel for pixel.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    from contourpy import FillType, contour_generator

    top, left = int(rows[0]), int(columns[0])
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1).astype(np.float64)
    generator = contour_generator(z=inside, name="serial", fill_type=FillType.OuterOffset)
    outlines = cast(OuterOffsets, generator.filled(0.5, 2.0))
    found = []
    for lines_P2, starts in zip(*outlines, strict=True):
        # the padding took one pixel, and a pixel's centre lies half a pixel from its corner
        rings = np.split(lines_P2 + np.array([left - 0.5, top - 0.5]), starts[1:-1])
        outline_P2 = _joined([_simplified(ring[:-1]) for ring in rings])
        found.append(np.clip(outline_P2, 0, mask.shape[::-1]).ravel().tolist())
    return found


def _joined(rings: list[np.ndarray]) -> np.ndarray:
    """An outline and its holes, (P, 2) each, as one ring: each hole is entered from the corner nearest to it."""
    outline = rings[0]
    for hole in sorted(rings[1:], key=lambda ring: float(ring[:, 0].min())):
        first = hole[:, 0].argmin()
        door = np.square(outline - hole[first]).sum(1).argmin()
        around = np.roll(hole, -first, axis=0)
        outline = np.concatenate([outline[: door + 1], around, around[:1], outline[door:]])
    return outline


def _simplified(ring: np.ndarray) -> np.ndarray:
    """A closed ring (P, 2), its first point not repeated, of the points that it needs: at least three."""
    if len(ring) <= 3:
        return ring
    closed = np.concatenate([ring, ring[:1]])
    far = int(np.square(ring - ring[0]).sum(1).argmax())
    kept = {0, far}
    open_parts = [(0, far), (far, len(ring))]
    while open_parts:
        begin, end = open_parts.pop()
        if end - begin < 2:
            continue
        distances = _distances(closed[begin + 1 : end], closed[begin], closed[end])
        worst = int(distances.argmax())
        if distances[worst] > _TOLERANCE:
            middle = begin + 1 + worst
            kept.add(middle)
            open_parts += [(begin, middle), (middle, end)]
    return ring[sorted(kept)] if len(kept) >= 3 else ring


def _distances(points: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Distance in px of points (P, 2) from a straight line between two others."""
    along, offsets = end - begin, points - begin
    length = np.hypot(*along)
    if length == 0:
        return np.hypot(offsets[:, 0], offsets[:, 1])
    return np.abs(along[0] * offsets[:, 1] - along[1] * offsets[:, 0]) / length

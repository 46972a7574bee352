"""What each object of a scene looks like in its picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perceptio.scenes.rendering.rendered import RenderedScene


@dataclass(frozen=True)
class ObjectView:
    """What one object looks like in the picture."""

    index: int  # its value in the id map, never `rendering.drawing.NEVER_MARKED`
    pixels: int  # visible pixels
    visible: float  # visible pixels / pixels it would have alone, its part outside the frame included
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, the ends excluded; zeros if hidden
    center: tuple[float, float]  # centroid x, y of the visible pixels
    depth: float  # median view-space z of the visible pixels, metres
    nearest: float  # least view-space z of the visible pixels, metres


def describe_view(rendered: RenderedScene, scene: Any) -> tuple[ObjectView, ...]:
    """Measure the visible pixels of every object of a scene, of whatever world."""
    ids, depth = rendered.ids, rendered.depth
    views = []
    for thing, visible in zip(scene.objects, rendered.visible, strict=True):
        rows, columns = np.nonzero(ids == thing.index)
        if not len(rows):
            views.append(ObjectView(thing.index, 0, 0.0, (0, 0, 0, 0), (0.0, 0.0), 0.0, 0.0))
            continue
        z = depth[rows, columns]
        views.append(
            ObjectView(
                index=thing.index,
                pixels=len(rows),
                visible=round(visible, 4),
                box=(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1),
                center=(round(float(columns.mean()), 2), round(float(rows.mean()), 2)),
                depth=float(np.median(z)),
                nearest=float(z.min()),
            )
        )
    return tuple(views)

"""Which space is taken: upright boxes turned about the vertical."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perceptio.scenes.camera import Vector

Point = tuple[float, float]


@dataclass(frozen=True)
class Solid:
    """An upright box, turned by `yaw` radians about the vertical through its foot."""

    foot: Vector  # metres, middle of its bottom
    size: Vector  # metres: width, depth, height
    yaw: float = 0.0

    @cached_property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """Of its base, counter-clockwise."""
        w, d = self.size[0] / 2, self.size[1] / 2
        return self.at(-w, -d), self.at(w, -d), self.at(w, d), self.at(-w, d)

    @property
    def top(self) -> float:
        """Height of its top, metres."""
        return self.foot[2] + self.size[2]

    @property
    def center(self) -> Vector:
        """Its middle."""
        return self.foot[0], self.foot[1], self.foot[2] + self.size[2] / 2

    def at(self, right: float, back: float) -> Point:
        """A place of its base in the world, from its own frame."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return self.foot[0] + c * right - s * back, self.foot[1] + s * right + c * back

    def matrix(self, natural: Vector) -> np.ndarray:
        """The (4, 4) matrix that moves a model of this natural size here."""
        scale = self.size[2] / natural[2]
        c, s = math.cos(self.yaw) * scale, math.sin(self.yaw) * scale
        x, y, z = self.foot
        return np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, scale, z], [0, 0, 0, 1.0]])


def around(point: Vector, gap: float) -> Solid:
    """The box that keeps everything `gap` metres away from a point."""
    return Solid((point[0], point[1], point[2] - gap), (2 * gap, 2 * gap, 2 * gap))


def overlap(a: Solid, b: Solid, gap: float = 0.0) -> bool:
    """Whether two solids come closer than `gap` metres (to either side, between, and above each other)."""
    if a.foot[2] >= b.top + gap or b.foot[2] >= a.top + gap:
        return False
    for one in (a, b):  # no edge of either base separates them
        corners = one.corners
        for k in range(4):
            (x0, y0), (x1, y1) = corners[k], corners[(k + 1) % 4]
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            nx, ny = (y0 - y1) / length, (x1 - x0) / length
            first = [nx * x + ny * y for x, y in a.corners]
            second = [nx * x + ny * y for x, y in b.corners]
            if max(first) + gap <= min(second) or max(second) + gap <= min(first):
                return False
    return True


class Site:
    """Everything placed so far.

    Args:
        bounds: half width and half length of the ground that may be used, metres, about its middle.
        height: of the room; infinite outside.
    """

    def __init__(self, bounds: tuple[float, float], height: float = math.inf) -> None:
        self.bounds, self.height = bounds, height
        self.solids: list[Solid] = []

    def inside(self, solid: Solid) -> bool:
        """Whether a solid lies within the bounds."""
        x, y = self.bounds
        return solid.top <= self.height and all(abs(u) <= x + 1e-6 and abs(v) <= y + 1e-6 for u, v in solid.corners)

    def free(self, solid: Solid, gap: float = 0.02) -> bool:
        """Whether a solid is inside and touches nothing."""
        return self.inside(solid) and not any(overlap(solid, other, gap) for other in self.solids)

    def take(self, solid: Solid) -> None:
        """Take its space."""
        self.solids.append(solid)

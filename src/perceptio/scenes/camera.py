"""The camera of a scene, in a right-handed world frame in metres with z up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with square pixels whose axis passes through the centre of a square image."""

    position: Vector  # metres
    target: Vector  # metres, a point on the optical axis
    fov: float  # degrees, horizontal and vertical
    roll: float  # radians about the optical axis
    style: str  # "level", "steep" or "low"

    def axes(self) -> tuple[Vector, Vector, Vector]:
        """Return the unit vectors right, down and forward of the image in world coordinates."""
        forward = _unit(_sub(self.target, self.position))
        right = _unit(_cross(forward, (0.0, 0.0, 1.0)))
        down = _cross(forward, right)
        c, s = math.cos(self.roll), math.sin(self.roll)
        rolled = (c * right[0] + s * down[0], c * right[1] + s * down[1], c * right[2] + s * down[2])
        return rolled, _cross(forward, rolled), forward

    def focal(self, size: int) -> float:
        """Return the focal length in pixels of an image with `size` pixels a side."""
        return 0.5 * size / math.tan(math.radians(self.fov) / 2)

    def clip_matrix(self, near: float, far: float, zoom: float = 1.0) -> np.ndarray:
        """Return the (4, 4) float64 matrix from world to clip space; clip y points down, clip w is view-space z.

        Args:
            near: metres, nearest depth that is drawn.
            far: metres, farthest.
            zoom: scales the picture about its centre (below 1 shows more than the frame).
        """
        right, down, forward = np.array(self.axes())
        eye = np.array(self.position)
        focal = zoom / math.tan(math.radians(self.fov) / 2)
        rows = np.zeros((4, 4))
        rows[0, :3], rows[0, 3] = focal * right, -focal * right @ eye
        rows[1, :3], rows[1, 3] = focal * down, -focal * down @ eye
        slope = (far + near) / (far - near)
        rows[2, :3], rows[2, 3] = slope * forward, -slope * forward @ eye - 2 * far * near / (far - near)
        rows[3, :3], rows[3, 3] = forward, -forward @ eye
        return rows


def _sub(a: Vector, b: Vector) -> Vector:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _unit(a: Vector) -> Vector:
    n = math.sqrt(a[0] ** 2 + a[1] ** 2 + a[2] ** 2)
    return a[0] / n, a[1] / n, a[2] / n

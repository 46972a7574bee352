"""A cloud of coloured points from a picture and its depth map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from perceptio.results.space import Space

if TYPE_CHECKING:
    from PIL import Image

MOST_POINTS = 1_000_000  # a cloud of more takes every second, third ... pixel of the picture


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in space, x to the right, y up, the camera at 0 looking along -z; see `Space` for what they are worth."""

    points: np.ndarray  # (P, 3) float32, in the unit of `space.near` and `space.far`
    colors: np.ndarray  # (P, 3) uint8 RGB
    space: Space

    def ply(self) -> bytes:
        """The content of a PLY file, binary."""
        return self._export("ply")

    def glb(self) -> bytes:
        """The content of a GLB file (binary glTF 2.0)."""
        return self._export("glb")

    def _export(self, kind: str) -> bytes:
        import trimesh

        return cast(bytes, trimesh.PointCloud(self.points, self.colors).export(file_type=kind))


def point_cloud(unit_HW: np.ndarray, image: Image.Image, space: Space) -> PointCloud:
    """A point for each pixel, or for every second, third ... of a picture of more than `MOST_POINTS`.

    Args:
        unit_HW: relative inverse depth in 0..1, 1 the nearest.
        image: RGB, of the same size.
        space: camera and distances.
    """
    step = 1
    while -(-unit_HW.shape[0] // step) * -(-unit_HW.shape[1] // step) > MOST_POINTS:
        step += 1
    points, colors = space.points(unit_HW), np.asarray(image.convert("RGB"))
    every = slice(None, None, step)
    return PointCloud(points[every, every].reshape(-1, 3), colors[every, every].reshape(-1, 3), space)

"""Build pieces: flat quadrilaterals, boxes and meshes, as the textured renderer reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from perceptio.scenes.rendering.drawing import VERTEX

Triple = Sequence[float] | np.ndarray  # a point or a vector, metres

_CORNERS = (0, 1, 2, 0, 2, 3)
_UV = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)


def quad(a: Triple, b: Triple, c: Triple, d: Triple, material: int) -> np.ndarray:
    """Two triangles (6, VERTEX) float32 through four corners in order; the normal is that of (b - a) x (d - a)."""
    corners = np.array([a, b, c, d], np.float64)
    (ux, uy, uz), (vx, vy, vz) = (corners[1] - corners[0]).tolist(), (corners[3] - corners[0]).tolist()
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx  # numpy's cross takes ten times as long
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    out = np.empty((6, VERTEX), np.float32)
    out[:, 0:3] = out[:, 6:9] = corners[_CORNERS, :]
    out[:, 3:6] = nx / length, ny / length, nz / length
    out[:, 9:11] = _UV[_CORNERS, :]
    out[:, 11] = material
    return out


def panel(center: Triple, across: Triple, up: Triple, material: int) -> np.ndarray:
    """A rectangle by its centre and the half vectors to its right and to its top; it faces across x up."""
    c, u, v = (np.asarray(part, np.float64) for part in (center, across, up))
    return quad(c - u - v, c + u - v, c + u + v, c - u + v, material)


def box(low: Triple, high: Triple, material: int, top: int | None = None) -> np.ndarray:
    """An upright box without its bottom, (30, VERTEX) float32."""
    x0, y0, z0 = low
    x1, y1, z1 = high
    sides = (
        ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)),
        ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)),
        ((x1, y1, z0), (x0, y1, z0), (x0, y1, z1), (x1, y1, z1)),
        ((x0, y1, z0), (x0, y0, z0), (x0, y0, z1), (x0, y1, z1)),
        ((x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)),
    )
    return np.concatenate(
        [quad(*side, material if number < 4 or top is None else top) for number, side in enumerate(sides)]
    )


def slab(center: Triple, across: Triple, up: Triple, thickness: float, material: int, edge: int) -> np.ndarray:
    """A board (30, VERTEX): a panel and its four edges, `thickness` metres behind it (a picture frame, a pane)."""
    c, u, v = (np.asarray(part, np.float64) for part in (center, across, up))
    n = np.cross(u, v)
    back = -n / np.linalg.norm(n) * thickness
    corners = [c - u - v, c + u - v, c + u + v, c - u + v]
    sides = [
        quad(corners[k] + back, corners[(k + 1) % 4] + back, corners[(k + 1) % 4], corners[k], edge) for k in range(4)
    ]
    return np.concatenate([panel(c, u, v, material), *sides])


def mesh(vertices: np.ndarray, normals: np.ndarray, local: np.ndarray, faces: np.ndarray, material: int) -> np.ndarray:
    """A triangle mesh as a piece.

    Args:
        vertices: (V, 3) metres in the world.
        normals: (V, 3) of any length.
        local: (V, 3) metres in the thing's own frame, for covers.
        faces: (F, 3).
        material: number of its material.
    """
    out = np.zeros((faces.size, VERTEX), np.float32)
    order = faces.ravel()
    out[:, 0:3], out[:, 3:6], out[:, 6:9], out[:, 11] = vertices[order], normals[order], local[order], material
    return out

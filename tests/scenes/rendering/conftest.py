"""An independent view of a drawing: Embree finds the first surface that is not a hole of a cut-out texture."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from perceptio.scenes.camera import Camera
from perceptio.scenes.rendering.drawing import NEVER_MARKED, SKY_DEPTH
from perceptio.scenes.rendering.triangles import Triangles

_HOLES = 24  # one behind the other, before a ray is given up


@pytest.fixture(scope="session")
def cast() -> Callable[[Triangles, np.ndarray, Camera, int], tuple[np.ndarray, np.ndarray]]:
    """Ids (S, S) and view-space depth (S, S) of the centres of pixels, of triangles, textures, a camera and a side."""
    pytest.importorskip("embreex")
    return _cast


def _cast(triangles: Triangles, textures: np.ndarray, camera: Camera, side: int) -> tuple[np.ndarray, np.ndarray]:
    from embreex import mesh_construction, rtcore_scene

    scene = rtcore_scene.EmbreeScene()
    mesh_construction.TriangleMesh(scene, np.ascontiguousarray(triangles.corners, np.float32))
    right, down, forward = np.array(camera.axes())
    offsets = ((np.arange(side) + 0.5) / side * 2 - 1) * math.tan(math.radians(camera.fov) / 2)
    rays = offsets[None, :, None] * right + offsets[:, None, None] * down + forward  # length 1 along the optical axis
    rays = rays.reshape(-1, 3).astype(np.float32)
    eye = np.array(camera.position, np.float32)
    depth = np.full(len(rays), SKY_DEPTH, np.float32)
    ids = np.full(len(rays), NEVER_MARKED, np.uint8)
    start, todo = np.full(len(rays), 1e-4, np.float32), np.arange(len(rays))
    for _ in range(_HOLES):
        origins = eye + rays[todo] * start[todo, None]
        found = scene.run(origins.astype(np.float32), rays[todo], output=True)
        face, t = found["primID"], found["tfar"]
        todo, face, z = todo[face >= 0], face[face >= 0], (t + start[todo])[face >= 0]
        if not len(todo):
            break
        hole = _holes(triangles, textures, face, eye + rays[todo] * z[:, None])
        depth[todo[~hole]], ids[todo[~hole]] = z[~hole], triangles.ids[face[~hole]]
        start[todo[hole]] = z[hole] * (1 + 1e-5) + 1e-5
        todo = todo[hole]
    return ids.reshape(side, side), depth.reshape(side, side)


def _holes(triangles: Triangles, textures: np.ndarray, face: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Whether the nearest texel at each point is transparent."""
    corners = triangles.corners[face].astype(np.float64)
    a, b, p = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], point - corners[:, 0]
    aa, ab, bb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1)
    pa, pb = (p * a).sum(1), (p * b).sum(1)
    area = np.where(aa * bb - ab * ab == 0, 1.0, aa * bb - ab * ab)
    v, w = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
    uv = triangles.uv[face]
    at = uv[:, 0] * (1 - v - w)[:, None] + uv[:, 1] * v[:, None] + uv[:, 2] * w[:, None]
    layer, size = triangles.layers[face], textures.shape[1]
    x, y = np.clip((at % 1.0 * size).astype(int), 0, size - 1).T
    return (layer >= 0) & (textures[np.maximum(layer, 0), y, x, 3] < 128)

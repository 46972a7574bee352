"""A picture as a relief of its depth: a textured mesh to turn about in a viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from perceptio.results.space import Space

if TYPE_CHECKING:
    from PIL import Image

GRID = 256  # vertices of the longer side, at most
TEXTURE = 1024  # px of the longer side, at most
JUMP = 0.05  # share of the distance that two corners of a triangle may lie behind one another; a larger jump is a gap


def relief(unit_HW: np.ndarray, image: Image.Image, space: Space) -> bytes:
    """The content of a GLB file (binary glTF 2.0): y up, the camera at 0 looking along -z.

    Args:
        unit_HW: relative inverse depth in 0..1, 1 the nearest.
        image: RGB, the texture; of any size, in the same proportions.
        space: camera and distances.
    """
    import trimesh
    from PIL import Image

    grid = _smaller(Image.fromarray(unit_HW.astype(np.float32)), GRID)
    points = space.points(np.clip(np.asarray(grid), 0, 1))
    height, width = points.shape[:2]
    right, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=_as_jpeg(_smaller(image.convert("RGB"), TEXTURE)),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,
    )
    mesh = trimesh.Trimesh(
        points.reshape(-1, 3),
        _triangles(-points[..., 2]),
        # all towards the camera: a light shows the photograph as it is, which has its own shadows already
        vertex_normals=np.tile(np.array([0, 0, 1], np.float32), (height * width, 1)),
        visual=trimesh.visual.TextureVisuals(np.stack([right, 1 - down], -1).reshape(-1, 2), material=material),
        process=False,
    )
    return cast(bytes, mesh.export(file_type="glb", include_normals=True))


def _triangles(away_HW: np.ndarray) -> np.ndarray:
    """(F, 3) vertex numbers, two triangles for each square of four vertices that has no jump of depth in them."""
    height, width = away_HW.shape
    number = np.arange(height * width).reshape(height, width)
    a, b, c, d = number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]  # counter-clockwise as seen
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    away = away_HW.ravel()[faces]
    return faces[away.max(1) <= (1 + JUMP) * away.min(1)]


def _smaller(image: Image.Image, side: int) -> Image.Image:
    from PIL import Image

    scale = min(1, side / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)


def _as_jpeg(image: Image.Image) -> Image.Image:
    """The picture, marked as one of a JPEG file: a mesh stores it in the format that it came in."""
    image.format = "JPEG"
    return image

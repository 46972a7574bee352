"""Read a Wavefront OBJ model out of a zip: vertices in the model's frame, materials and their pictures."""

from __future__ import annotations

import io
import posixpath
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from perceptio.images import open_image
from perceptio.scenes.assets.normals import creased_normals, row_ids
from perceptio.scenes.camera import Vector

if TYPE_CHECKING:
    from PIL import Image

_PLAIN = (0.7, 0.7, 0.7)  # of a part whose material is not in the file
_MOST_REPEATS = 1000.0  # of a texture; beyond it files hold nonsense
_FILE_TO_MODEL = np.array([(1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)])


class MeshError(ValueError):
    """A model cannot be used; the message says why, in words that follow "skipped, "."""


@dataclass(frozen=True)
class MeshMaterial:
    """How a part of a model looks."""

    rgb: Vector  # sRGB, 0..1
    picture: Image.Image | None
    gloss: float  # 0..1, the mean of the specular colour
    opacity: float  # 0..1


@dataclass(frozen=True)
class Mesh:
    """T triangles over V vertices, which differ in position, normal, texture coordinate or material."""

    positions: np.ndarray  # (V, 3) float32
    normals: np.ndarray  # (V, 3) float32, unit vectors
    uv: np.ndarray  # (V, 2) float32, v up
    material: np.ndarray  # (V,) int32
    faces: np.ndarray  # (T, 3) uint32


@dataclass(frozen=True)
class ReadMesh:
    """What a file holds."""

    mesh: Mesh
    materials: list[MeshMaterial]  # those that `mesh.material` counts
    lost: tuple[str, ...]  # pictures that it names and that are not there: those parts keep their plain colour


def read_mesh(archive: zipfile.ZipFile, file: str, size: Vector, rotation: tuple[float, ...] | None) -> ReadMesh:
    """Read a model and put it into its own frame: z up, front to -y, foot at z = 0, its box around x = y = 0.

    Args:
        size: width, depth and height of its box in metres.
        rotation: 3 x 3, row by row, applied in the file's frame (y up, front to +z) before the model is scaled.

    Raises:
        MeshError: if it or one of its pictures cannot be read, or it holds numbers that are none.
    """
    from trimesh.exchange.obj import load_obj

    beside = _ZipFolder(archive, file)
    try:
        loaded = load_obj(io.BytesIO(archive.read(file)), resolver=cast(Any, beside))
        parts = [_Part(part) for part in loaded.get("geometry", {}).values()]
    except Exception as error:  # whatever a parser meets in a damaged file
        raise MeshError("the file cannot be read") from error
    if beside.damaged:
        raise MeshError("its materials are missing, or a picture of it is damaged")
    if not sum(len(part.corners) for part in parts):
        raise MeshError("it has no triangles")
    corners, normals, uv = (
        np.concatenate([getattr(part, key) for part in parts]) for key in ("corners", "normals", "uv")
    )
    material = np.repeat(np.arange(len(parts)), [3 * len(part.corners) for part in parts])
    if not np.isfinite(corners).all() or np.isinf(normals).any():
        raise MeshError("its positions or normals are no numbers")
    corners, normals = _placed(corners, normals, size, rotation)
    mesh = Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        normals.reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
        material.astype(np.int32),
        np.arange(3 * len(corners), dtype=np.uint32).reshape(-1, 3),
    )
    return ReadMesh(weld(mesh), [part.material for part in parts], tuple(beside.lost))


def weld(mesh: Mesh) -> Mesh:
    """Make one vertex of those that are the same to what a pack stores of them."""
    key = [_steps(mesh.positions, 32767), np.rint(mesh.normals * 20), np.rint(mesh.uv * 512), mesh.material]
    first, number = row_ids(np.column_stack(key))
    return select(mesh, first[number][mesh.faces])


def weld_places(mesh: Mesh, *, seams: bool) -> Mesh:
    """Make one vertex of those of one place and material, whatever their normals.

    Args:
        seams: keep apart what differs in texture coordinates.
    """
    key = [_steps(mesh.positions, 8192), mesh.material, *([np.rint(mesh.uv * 512)] if seams else [])]
    first, number = row_ids(np.column_stack(key))
    return select(mesh, first[number][mesh.faces])


def select(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """Some triangles (T, 3) of a mesh, but those without area, with the vertices that they use."""
    a, b, c = faces.T
    used, local = np.unique(faces[(a != b) & (b != c) & (a != c)], return_inverse=True)
    return Mesh(
        mesh.positions[used],
        mesh.normals[used],
        mesh.uv[used],
        mesh.material[used],
        local.reshape(-1, 3).astype(np.uint32),
    )


class _ZipFolder:
    """Files beside the model, as trimesh asks for them; it passes over what it does not get, so that is noted here."""

    def __init__(self, archive: zipfile.ZipFile, file: str) -> None:
        self._archive, self._folder = archive, posixpath.dirname(file)
        self._names = {name.lower(): name for name in archive.namelist() if name.startswith(self._folder)}
        self.lost: list[str] = []  # pictures that were only on their maker's machine
        self.damaged = False

    def get(self, name: str) -> bytes:
        path = posixpath.normpath(posixpath.join(self._folder, name.replace("\\", "/"))).lower()
        is_picture = not path.endswith(".mtl")
        if path not in self._names and is_picture:
            self.lost.append(name)
            raise KeyError(name)
        try:
            content = self._archive.read(self._names[path])
            if is_picture:
                with open_image(content, name):  # trimesh would pass over a damaged one
                    pass
        except Exception:
            self.damaged = True
            raise
        return content

    __getitem__ = get


class _Part:
    """The triangles of one material, corner by corner, as trimesh reads them."""

    def __init__(self, part: dict[str, Any]) -> None:
        from trimesh.geometry import triangulate_quads

        vertices, visual = part["vertices"], part.get("visual")
        faces = np.asarray(triangulate_quads(part["faces"]), np.int64).reshape(-1, 3)
        normals, uv = part.get("vertex_normals"), getattr(visual, "uv", None)
        if uv is not None and len(uv) != len(vertices):
            uv = None
        self.corners = vertices[faces]  # (T, 3, 3)
        # NaN where there is none
        self.normals = normals[faces] if normals is not None else np.full(self.corners.shape, np.nan)
        self.uv = _near_zero(np.nan_to_num(uv[faces])) if uv is not None else np.zeros((*faces.shape, 2))
        self.material = _material(getattr(visual, "material", None), has_uv=uv is not None)


def _placed(
    corners: np.ndarray, normals: np.ndarray, size: Vector, rotation: tuple[float, ...] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Turn and scale the file's triangles (T, 3, 3), and find the normals that the file does not give."""
    turn = _FILE_TO_MODEL @ np.array(rotation if rotation is not None else np.eye(3), np.float64).reshape(3, 3)
    corners, normals = corners @ turn.T, normals @ turn.T
    low, high = corners.min((0, 1)), corners.max((0, 1))
    extent = high - low
    scale = np.where(extent > 1e-9, size / np.maximum(extent, 1e-9), 1.0)
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    corners, normals = (corners - middle) * scale, normals / scale
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    given = (length > 0).all((1, 2))
    normals[given] /= length[given]
    if not given.all():
        normals[~given] = creased_normals(corners)[~given]
    return corners, normals


def _near_zero(uv: np.ndarray) -> np.ndarray:
    """Whole steps of a texture change nothing, and small numbers keep their precision in 16 bit."""
    if not uv.size:
        return uv
    return (uv - np.floor((uv.min((0, 1)) + uv.max((0, 1))) / 2)).clip(-_MOST_REPEATS, _MOST_REPEATS)


def _steps(positions: np.ndarray, steps: int) -> np.ndarray:
    low = positions.min(0)
    return np.rint((positions - low) / np.maximum(positions.max(0) - low, 1e-9) * steps)


def _material(material: Any, *, has_uv: bool) -> MeshMaterial:
    keys = getattr(material, "kwargs", None) or {}
    return MeshMaterial(
        rgb=_rgb(keys.get("kd")) or _PLAIN,
        picture=getattr(material, "image", None) if has_uv else None,
        gloss=float(np.mean(_rgb(keys.get("ks")) or (0.0,))),
        opacity=_opacity(keys),
    )


def _rgb(value: Any) -> Vector | None:
    if isinstance(value, (list, tuple)) and len(value) >= 3:
        r, g, b = (min(max(float(number), 0.0), 1.0) for number in value[:3])
        return r, g, b
    return None


def _opacity(keys: dict[str, Any]) -> float:
    try:
        return min(max(float(keys["d"][-1]), 0.0), 1.0)
    except (KeyError, ValueError, IndexError):
        return 1.0

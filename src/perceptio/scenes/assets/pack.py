"""A pack: models, classes and surface pictures in one folder, as the world and the renderer read them.

The folder holds `pack.json` (everything but arrays), `meshes.npz`, the sheets `textures.jpg`, `holes.png` and
`surfaces.jpg`, and `CREDITS.md`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.files import read_json
from perceptio.images import open_image
from perceptio.scenes.assets.classes import ObjectClass
from perceptio.scenes.camera import Vector

FORMAT = 1
TEXTURE_SIDE = 128  # px
SURFACE_SIDE = 256  # px
COLUMNS = 16  # pictures in a row of a sheet
_TEXTURES, _HOLES, _SURFACES, _MESHES = "textures.jpg", "holes.png", "surfaces.jpg", "meshes.npz"


class PackError(ValueError):
    """A pack cannot be read; the message is one sentence for people."""


@dataclass(frozen=True)
class Model:
    """One model. Its frame: z up, front to -y, foot at z = 0, its box around x = y = 0."""

    name: str  # in the catalogue it comes from
    noun: str  # of its class
    size: Vector  # metres along x, y, z
    elevation: float  # metres of its foot above the floor, where it belongs
    top: float | None  # metres of the height at which things may stand on it
    held_out: bool  # training never sees it
    color: str | None  # the word for it; None where no word is safe
    first_index: int  # in `Pack.indices`
    indices: int
    creator: str
    licence: str


@dataclass(frozen=True)
class Surface:
    """A picture of a surface; its number is its layer in `Pack.surface_images`."""

    name: str
    group: str  # what it may cover: one of `classes.GROUPS`
    licence: str
    credit: str


class Pack:
    """Models and surface pictures.

    The lists are read at once, the arrays when they are first asked for.

    Args:
        folder: that `perceptio scenes assets` has written.

    Raises:
        PackError: if there is none, or it is damaged or of another format; arrays raise it when they are read.
    """

    models: tuple[Model, ...]
    classes: Mapping[str, ObjectClass]
    surfaces: tuple[Surface, ...]
    content_hash: str  # of the lists and, through their hashes, of all files

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        path = self.folder / "pack.json"
        if not path.is_file():
            raise PackError(f"there is no pack in {self.folder}: `perceptio scenes assets` makes one")
        try:
            content = read_json(path)
        except ValueError as error:
            raise PackError(f"{error}: make the pack again") from error
        if content.get("format") != FORMAT:
            raise PackError(f"{path} has format {content.get('format')}, not {FORMAT}: make the pack again")
        self.content_hash = content.pop("content_hash", "")
        if content_hash(content) != self.content_hash:
            raise PackError(f"{path} is damaged, its content hash is another: make the pack again")
        self._files: dict[str, str] = content["files"]
        self._first_vertices: list[int] = content["first_vertices"]
        self.packages: dict[str, str | None] = content["packages"]
        self.models = tuple(Model(**row | {"size": tuple(row["size"])}) for row in content["models"])
        self.classes = {row["noun"]: _class(row) for row in content["classes"]}
        self.surfaces = tuple(Surface(**row) for row in content["surfaces"])
        self._textures: int = content["textures"]

    @cached_property
    def positions(self) -> np.ndarray:
        """(V, 3) float32, metres in the model's frame."""
        sizes = np.array([model.size for model in self.models], np.float32).reshape(-1, 3)
        counts = np.diff([*self._first_vertices, len(self._meshes["positions"])])
        size = np.repeat(sizes, counts, axis=0)
        share = self._meshes["positions"].astype(np.float32) / 65535 - np.array((0.5, 0.5, 0), np.float32)
        return share * size

    @cached_property
    def normals(self) -> np.ndarray:
        """(V, 3) float32 unit vectors."""
        normals = self._meshes["normals"].astype(np.float32)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)

    @cached_property
    def uv(self) -> np.ndarray:
        """(V, 2) float32 texture coordinates, which repeat."""
        return self._meshes["uv"].astype(np.float32)

    @cached_property
    def material(self) -> np.ndarray:
        """(V,) int32, a row of `materials`; the same at the three corners of a triangle."""
        return self._meshes["material"].astype(np.int32)

    @cached_property
    def indices(self) -> np.ndarray:
        """(I,) uint32 vertices of the triangles of all models, three each."""
        first = np.repeat(np.array(self._first_vertices, np.uint32), [model.indices for model in self.models])
        return self._meshes["indices"].astype(np.uint32) + first

    @cached_property
    def materials(self) -> np.ndarray:
        """(M, 5) float32: sRGB 0..1, layer of `textures` or -1, specular 0..1."""
        return self._meshes["materials"]

    @cached_property
    def textures(self) -> np.ndarray:
        """(L, 128, 128, 4) uint8 sRGB and alpha, row 0 at v = 0; alpha below 128 is a hole."""
        rgb = _cut(self._picture(_TEXTURES, "RGB"), self._textures, TEXTURE_SIDE)
        alpha = _cut(self._picture(_HOLES, "L")[..., None], self._textures, TEXTURE_SIDE)
        return np.ascontiguousarray(np.concatenate([rgb, alpha], 3)[:, ::-1])

    @cached_property
    def surface_images(self) -> np.ndarray:
        """(S, 256, 256, 3) uint8 sRGB, row 0 at v = 0; they repeat."""
        images = _cut(self._picture(_SURFACES, "RGB"), len(self.surfaces), SURFACE_SIDE)
        return np.ascontiguousarray(images[:, ::-1])

    @cached_property
    def _meshes(self) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(self._read(_MESHES)), allow_pickle=False) as arrays:
            return dict(arrays)

    def _picture(self, name: str, mode: str) -> np.ndarray:
        with open_image(self._read(name), str(self.folder / name)) as picture:
            return np.asarray(picture.convert(mode))

    def _read(self, name: str) -> bytes:
        """A file whose hash is the one that was written down, so that its content needs no further check."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError as error:
            raise PackError(f"the pack {self.folder} lacks {name} ({error.strerror}): make it again") from error
        if hashlib.sha256(content).hexdigest() != self._files[name]:
            raise PackError(f"{self.folder / name} is damaged or cut short: make the pack again")
        return content


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of the lists of a pack, which hold the hashes of its files."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _class(row: dict[str, Any]) -> ObjectClass:
    lists = {
        "synonyms": tuple((noun, plural) for noun, plural in row["synonyms"]),
        "also": tuple(row["also"]),
        "places": tuple(row["places"]),
    }
    return ObjectClass(**row | lists)


def _cut(sheet: np.ndarray, count: int, side: int) -> np.ndarray:
    """The pictures (count, side, side, channels) of a sheet."""
    rows, columns = sheet.shape[0] // side, sheet.shape[1] // side
    grid = sheet.reshape(rows, side, columns, side, -1).swapaxes(1, 2)
    return grid.reshape(rows * columns, side, side, -1)[:count]

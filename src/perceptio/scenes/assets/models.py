"""One model from a catalogue's entry to what a pack stores of it."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perceptio.scenes.assets.catalogue import Entry
from perceptio.scenes.assets.colors import color_word, seen_colors
from perceptio.scenes.assets.meshes import Mesh, MeshError, MeshMaterial, read_mesh, select
from perceptio.scenes.assets.pack import TEXTURE_SIDE
from perceptio.scenes.assets.simplify import reduce_mesh
from perceptio.scenes.assets.skipped import Skipped
from perceptio.scenes.camera import Vector

if TYPE_CHECKING:
    from PIL import Image

_GLASS = 0.62  # opacity at which a plain material counts as glass
_DARK_GLASS = (0.05, 0.06, 0.07)
_BEHIND_GLASS = 0.75  # brightness that shows through glass that is drawn opaque
_OPEN = ("door", "window")  # one looks through their glass


@dataclass(frozen=True)
class PreparedModel:
    """A model as a pack stores it."""

    entry: Entry
    mesh: Mesh
    looks: np.ndarray  # (materials, 5) as `Pack.materials`, layers counted in `textures`
    textures: list[np.ndarray]  # (128, 128, 4) uint8, first row on top
    color: str | None
    triangles_before: int
    lost: tuple[str, ...]  # pictures that it names and that are not in the library


def prepare_model(entry: Entry, role: str) -> PreparedModel | Skipped:
    """Read, reduce and name the colour of one model.

    Glass is left out of doors and windows; elsewhere it is drawn opaque, in vehicles dark.
    """
    try:
        read = read_mesh(_open(entry.archive), entry.file, entry.size, entry.rotation)
        mesh = read.mesh
        if role in _OPEN:
            clear = np.array([_is_glass(material) for material in read.materials])
            mesh = select(mesh, mesh.faces[~clear[mesh.material[mesh.faces[:, 0]]]])
            if not len(mesh.faces):
                raise MeshError("all of it is glass")
        mesh = reduce_mesh(mesh)
    except MeshError as error:
        return Skipped(entry.name, str(error))
    textures: list[np.ndarray] = []
    looks = np.array([_look(material, role, textures) for material in read.materials], np.float32)
    layers = np.stack(textures)[:, ::-1] if textures else np.zeros((0, 1, 1, 4), np.uint8)
    color = color_word(
        *seen_colors(mesh.positions, mesh.faces, mesh.uv, looks[mesh.material[mesh.faces[:, 0]]], layers)
    )
    return PreparedModel(entry, mesh, looks, textures, color, len(read.mesh.faces), read.lost)


def small_texture(picture: Image.Image) -> np.ndarray:
    """A texture (128, 128, 4) uint8 of a model, first row on top.

    Where it is a hole the colour is the mean of the rest: a renderer's filter mixes neighbours.
    """
    from PIL import Image

    side = (TEXTURE_SIDE, TEXTURE_SIDE)
    rgba = np.array(picture.convert("RGBA").resize(side, Image.Resampling.LANCZOS, reducing_gap=3.0))
    solid = rgba[..., 3] >= 128
    if solid.any() and not solid.all():
        rgba[~solid, :3] = rgba[solid, :3].mean(0).astype(np.uint8)
    rgba[..., 3] = np.where(solid, 255, 0)
    return rgba


@lru_cache(maxsize=8)
def _open(archive: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)


def _is_glass(material: MeshMaterial) -> bool:
    return material.picture is None and material.opacity <= _GLASS


def _look(material: MeshMaterial, role: str, textures: list[np.ndarray]) -> tuple[float, ...]:
    rgb: Vector = material.rgb
    if _is_glass(material):
        through = (1 - material.opacity) * _BEHIND_GLASS
        r, g, b = (material.opacity * value + through for value in rgb)
        rgb = _DARK_GLASS if role == "vehicle" else (r, g, b)
    if material.picture is None:
        return (*rgb, -1, material.gloss)
    textures.append(small_texture(material.picture))
    return (*rgb, len(textures) - 1, material.gloss)

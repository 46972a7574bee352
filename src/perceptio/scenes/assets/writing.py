"""Write a pack."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from perceptio.files import replacing_folder
from perceptio.scenes.assets.classes import ObjectClass
from perceptio.scenes.assets.credits import credits_text
from perceptio.scenes.assets.meshes import Mesh
from perceptio.scenes.assets.pack import COLUMNS, FORMAT, SURFACE_SIDE, TEXTURE_SIDE, Model, Surface, content_hash
from perceptio.scenes.camera import Vector


class PackWriter:
    """Collects models and surfaces; equal textures and materials are stored once."""

    def __init__(self) -> None:
        self.models: list[Model] = []
        self.surfaces: list[Surface] = []
        self._surface_images: list[np.ndarray] = []
        self._textures: list[np.ndarray] = []
        self._layer: dict[bytes, int] = {}
        self._materials: dict[tuple[float, ...], int] = {}
        self._arrays: dict[str, list[np.ndarray]] = {
            key: [] for key in ("positions", "normals", "uv", "material", "indices")
        }
        self._first_vertices: list[int] = []
        self._vertices = 0

    def add_model(
        self,
        *,
        name: str,
        noun: str,
        size: Vector,
        mesh: Mesh,
        looks: np.ndarray,
        textures: Sequence[np.ndarray] = (),
        elevation: float = 0.0,
        top: float | None = None,
        held_out: bool = False,
        color: str | None = None,
        creator: str,
        licence: str,
    ) -> None:
        """Add one model.

        Args:
            size: metres of its box, in which the mesh lies with its foot at z = 0 and its middle at x = y = 0.
            looks: (materials, 5) as `Pack.materials`, layers counted in `textures`.
            textures: (128, 128, 4) uint8 each, first row on top.
        """
        layers = [self._add_texture(texture) for texture in textures]
        rows = [(*look[:3], layers[int(look[3])] if look[3] >= 0 else -1, look[4]) for look in looks.tolist()]
        numbers = [self._materials.setdefault(row, len(self._materials)) for row in rows]
        share = mesh.positions / np.array(size) + np.array((0.5, 0.5, 0.0))
        indices = mesh.faces.reshape(-1)
        arrays = {
            "positions": np.rint(share.clip(0, 1) * 65535).astype(np.uint16),
            "normals": np.rint(mesh.normals * 127).astype(np.int8),
            "uv": mesh.uv.astype(np.float16),
            "material": np.array(numbers, np.uint16)[mesh.material],
            "indices": indices.astype(np.uint16),
        }
        assert len(mesh.positions) <= 65536, (name, len(mesh.positions))
        assert len(self._materials) <= 65536, len(self._materials)
        first_index = sum(model.indices for model in self.models)
        self.models.append(
            Model(
                *(name, noun, size, elevation, top, held_out, color, first_index, len(indices)),
                creator=creator,
                licence=licence,
            )
        )
        for key, array in arrays.items():
            self._arrays[key].append(array)
        self._first_vertices.append(self._vertices)
        self._vertices += len(mesh.positions)

    def add_surface(self, surface: Surface, image: np.ndarray) -> None:
        """Add a surface picture (256, 256, 3) uint8, first row on top."""
        assert image.shape == (SURFACE_SIDE, SURFACE_SIDE, 3), image.shape
        self.surfaces.append(surface)
        self._surface_images.append(image)

    def write(
        self,
        folder: str | os.PathLike[str],
        classes: Mapping[str, ObjectClass],
        packages: Mapping[str, str | None],
    ) -> str:
        """Write the pack, in full or not at all; it takes the place of an older one.

        Args:
            folder: new, or with a pack.
            classes: by noun; those of the models among them.
            packages: versions of where everything comes from.

        Returns:
            The content hash.

        Raises:
            OutputError: if the system refuses.
        """
        assert all(model.noun in classes for model in self.models)
        textures = (
            np.stack(self._textures) if self._textures else np.zeros((0, TEXTURE_SIDE, TEXTURE_SIDE, 4), np.uint8)
        )
        surfaces = (
            np.stack(self._surface_images)
            if self._surface_images
            else np.zeros((0, SURFACE_SIDE, SURFACE_SIDE, 3), np.uint8)
        )
        files = {
            "meshes.npz": self._meshes(),
            "textures.jpg": _sheet(textures[..., :3], "JPEG", quality=88, subsampling=0),
            "holes.png": _sheet(np.where(textures[..., 3:] < 128, 0, 255).astype(np.uint8), "PNG", bits=1),
            "surfaces.jpg": _sheet(surfaces, "JPEG", quality=88, subsampling=0),
            "CREDITS.md": credits_text(self.models, self.surfaces, packages).encode(),
        }
        content = {
            "format": FORMAT,
            "packages": dict(packages),
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            "textures": len(textures),
            "first_vertices": self._first_vertices,
            "classes": [asdict(each) for _, each in sorted(classes.items())],
            "models": [asdict(model) for model in self.models],
            "surfaces": [asdict(surface) for surface in self.surfaces],
        }
        content["content_hash"] = digest = content_hash(content)
        with replacing_folder(folder) as beside:
            for name, data in files.items():
                (beside / name).write_bytes(data)
            Path(beside / "pack.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return digest

    def _add_texture(self, texture: np.ndarray) -> int:
        assert texture.shape == (TEXTURE_SIDE, TEXTURE_SIDE, 4), texture.shape
        key = texture.tobytes()
        if key not in self._layer:
            self._layer[key] = len(self._textures)
            self._textures.append(texture)
        return self._layer[key]

    def _meshes(self) -> bytes:
        arrays = {key: np.concatenate(parts) for key, parts in self._arrays.items()}
        out = io.BytesIO()
        arrays["materials"] = np.array(list(self._materials), np.float32).reshape(-1, 5)
        np.savez_compressed(out, allow_pickle=False, **arrays)
        return out.getvalue()


def _sheet(pictures: np.ndarray, kind: str, **options: int) -> bytes:
    """Pictures (N, S, S, channels) side by side, as the bytes of an image file."""
    from PIL import Image

    count, side, _, channels = pictures.shape
    rows = max(-(-count // COLUMNS), 1)
    grid = np.zeros((rows * COLUMNS, side, side, channels), np.uint8)
    grid[:count] = pictures
    sheet = grid.reshape(rows, COLUMNS, side, side, channels).swapaxes(1, 2)
    sheet = sheet.reshape(rows * side, COLUMNS * side, channels)
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()

"""Exactly the triangles that the textured renderer draws, for an independent ray caster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.rendering.drawing import Drawing


@dataclass(frozen=True)
class Triangles:
    """All triangles of a drawing in world coordinates."""

    corners: np.ndarray  # (F, 3, 3) float32, metres
    ids: np.ndarray  # (F,) uint8, values in the id map
    uv: np.ndarray  # (F, 3, 2) float32, places on a texture; its nearest texel with alpha below 128 is a hole
    layers: np.ndarray  # (F,) int64, of the pack's textures; -1 for none


def triangles_of(drawing: Drawing, pack: Pack) -> Triangles:
    """Place every model and piece of a drawing."""
    corners, ids, uv, layers = [], [], [], []
    for each in drawing.placed:
        model = pack.models[each.model]
        index = pack.indices[model.first_index : model.first_index + model.indices].astype(np.int64).reshape(-1, 3)
        matrix = each.matrix.astype(np.float32)
        corners.append(pack.positions[index] @ matrix[:3, :3].T + matrix[:3, 3])
        uv.append(pack.uv[index])
        layers.append(pack.materials[pack.material[index[:, 0]], 3].astype(np.int64))
        ids.append(np.full(len(index), each.index, np.uint8))
    for piece in drawing.pieces:
        part = piece.vertices.reshape(-1, 3, piece.vertices.shape[1])
        corners.append(part[..., :3])
        uv.append(part[..., 9:11])
        layers.append(np.full(len(part), -1))
        ids.append(np.full(len(part), piece.index, np.uint8))
    return Triangles(
        np.concatenate(corners).astype(np.float32),
        np.concatenate(ids),
        np.concatenate(uv).astype(np.float32),
        np.concatenate(layers),
    )

"""Reduce meshes with meshoptimizer, keeping texture seams and the borders of materials."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from perceptio.scenes.assets.meshes import Mesh, MeshError, select, weld, weld_places
from perceptio.scenes.assets.normals import creased_normals, row_ids

MOST_TRIANGLES = 4000
_ERROR = 1.0  # of the model's size: the number of triangles decides before
# of normal, texture coordinate and material, against positions in units of the model's size
_WEIGHTS = (0.15, 0.15, 0.15, 0.1, 0.1, 0.5)
_NO_NORMALS = (0.0, 0.0, 0.0, 0.05, 0.05, 0.5)
_LEAF = 0.01  # of a model's area: loose parts up to this size may be thinned out
_FEW_LEAVES = 150  # each one would be missed
_LARGEST_SCALE = 2.0  # of the leaves that stay


def reduce_mesh(mesh: Mesh, most: int = MOST_TRIANGLES) -> Mesh:
    """A mesh of at most `most` triangles that looks like this one, or this one if it is small enough.

    Edges and texture seams are held as long as that is enough; then edges give way, then loose leaves are thinned out
    and those that stay grow (stochastic simplification, R. Cook et al., SIGGRAPH 2007), then seams give way.

    Raises:
        MeshError: if it stays heavier.
    """
    if len(mesh.faces) <= most:
        return mesh
    reduced = _simplify(mesh, most, _WEIGHTS)
    if len(reduced.faces) > most:
        smooth = weld_places(mesh, seams=True)
        reduced = _simplify(smooth, most, _NO_NORMALS)
        if len(reduced.faces) > most:
            reduced = _simplify(_thin_out(reduced, most), most, _NO_NORMALS)
        if len(reduced.faces) > most:
            reduced = _simplify(weld_places(smooth, seams=False), most, _NO_NORMALS)
        reduced = _with_edges(reduced)
    if not 0 < len(reduced.faces) <= most:
        raise MeshError(f"they stay above {most} triangles")
    return reduced


def _simplify(mesh: Mesh, most: int, weights: tuple[float, ...]) -> Mesh:
    positions = np.ascontiguousarray(mesh.positions / np.ptp(mesh.positions, axis=0).max(), np.float32)
    attributes = np.ascontiguousarray(np.column_stack([mesh.normals, mesh.uv, mesh.material]), np.float32)
    weight = np.array(weights, np.float32)
    indices = np.ascontiguousarray(mesh.faces.reshape(-1), np.uint32)
    out = np.empty_like(indices)
    count = _library().meshopt_simplifyWithAttributes(
        *(out.ctypes.data, indices.ctypes.data, len(indices)),
        *(positions.ctypes.data, len(positions), positions.strides[0]),
        *(attributes.ctypes.data, attributes.strides[0], weight.ctypes.data, len(weight)),
        *(None, most * 3, _ERROR, 0, None),
    )
    return select(mesh, out[:count].reshape(-1, 3))


def _thin_out(mesh: Mesh, most: int) -> Mesh:
    """Leave some of the small loose parts, chosen by chance, and let the others grow around their middles."""
    part = _parts(mesh)[mesh.faces[:, 0]]
    a, b, c = (mesh.positions[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    areas, triangles = np.bincount(part, area), np.bincount(part)
    small = areas < _LEAF * areas.sum()
    share = (most - triangles[~small].sum()) / max(triangles[small].sum(), 1)
    if share <= 0 or small.sum() < _FEW_LEAVES:
        return mesh
    kept = ~small | (np.random.default_rng(0).random(len(areas)) < min(share * 0.97, 1.0))
    faces = mesh.faces[kept[part]]
    scale = np.where(small, min(share**-0.5, _LARGEST_SCALE), 1.0)
    # parts share no vertex
    number = np.zeros(len(mesh.positions), np.int64)
    number[mesh.faces[:, 0]] = number[mesh.faces[:, 1]] = number[mesh.faces[:, 2]] = part
    counts = np.maximum(np.bincount(number, minlength=len(areas)), 1)
    middle = np.stack([np.bincount(number, axis, len(areas)) / counts for axis in mesh.positions.T], axis=1)[number]
    low, high = mesh.positions.min(0), mesh.positions.max(0)
    grown = (middle + (mesh.positions - middle) * scale[number, None]).clip(low, high).astype(np.float32)
    return select(Mesh(grown, mesh.normals, mesh.uv, mesh.material, mesh.faces), faces)


def _parts(mesh: Mesh) -> np.ndarray:
    """The number of the loose part of each vertex (V,); what touches in one place belongs together."""
    _, place = row_ids(np.ascontiguousarray(mesh.positions).view(np.int32).reshape(-1, 3))
    faces = place[mesh.faces]
    label = np.arange(place.max() + 1)
    while True:
        before = label.copy()
        lowest = label[faces].min(1)
        for k in range(3):
            np.minimum.at(label, faces[:, k], lowest)
        label = label[label]
        if (label == before).all():
            return np.unique(label[place], return_inverse=True)[1].reshape(-1)


def _with_edges(mesh: Mesh) -> Mesh:
    """The mesh with normals of its own triangles."""
    flat = mesh.faces.reshape(-1)
    normals = creased_normals(mesh.positions[mesh.faces]).reshape(-1, 3).astype(np.float32)
    corners = np.arange(len(flat), dtype=np.uint32).reshape(-1, 3)
    return weld(Mesh(mesh.positions[flat], normals, mesh.uv[flat], mesh.material[flat], corners))


def _library() -> Any:
    """meshoptimizer's C interface; its own wrapper passes the error, a float, without saying that it is one."""
    from meshoptimizer._loader import lib

    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    simplify = lib.meshopt_simplifyWithAttributes
    simplify.restype = size
    simplify.argtypes = [
        *(pointer, pointer, size),  # out, indices
        *(pointer, size, size),  # positions
        *(pointer, size, pointer, size),  # attributes, weights
        *(pointer, size, ctypes.c_float, ctypes.c_uint, pointer),  # locks, target, error, options, resulting error
    ]
    return lib

"""Normals of triangles without any: smooth over gentle bends, sharp at edges."""

from __future__ import annotations

import numpy as np

_CREASE = np.cos(np.radians(44))  # bends sharper than this are edges: so does Sweet Home 3D's viewer


def row_ids(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the different rows of an integer array (N, K).

    Returns:
        The first row of each number, and the number of each row (N,). Rows are told apart by a hash of 64 bit.
    """
    mixed = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        mixed = (mixed ^ column.astype(np.int64).view(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    _, first, number = np.unique(mixed, return_index=True, return_inverse=True)
    return first, number.reshape(-1)


def creased_normals(corners: np.ndarray) -> np.ndarray:
    """Normals of the corners of triangles.

    At each corner the normals of those triangles around the point are added, weighted by area, that bend less than
    the crease angle from the corner's own.

    Args:
        corners: (T, 3, 3) float, metres.

    Returns:
        (T, 3, 3) float64 unit vectors; zero at triangles without area.
    """
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).astype(np.float64)
    length = np.linalg.norm(faces, axis=1, keepdims=True)
    unit = faces / np.maximum(length, 1e-30)
    flat = corners.reshape(-1, 3)
    span = max(float(np.ptp(flat, axis=0).max()), 1e-9)
    _, point = row_ids(np.rint((flat - flat.min(0)) / span * (1 << 20)))
    owner = np.repeat(np.arange(len(corners)), 3)
    order = np.argsort(point, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(point))])
    around = starts[point + 1] - starts[point]
    total = np.zeros((len(flat), 3))
    for step in range(int(around.max(initial=0))):  # the step-th triangle around each point
        has = np.flatnonzero(around > step)
        other = owner[order[starts[point[has]] + step]]
        near = np.einsum("ij,ij->i", unit[owner[has]], unit[other]) > _CREASE
        total[has[near]] += faces[other[near]]
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)
    return total.reshape(-1, 3, 3)

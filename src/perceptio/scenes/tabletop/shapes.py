"""Unit triangle meshes of every shape and structure, each inside the cube [-0.5, 0.5] cubed, z up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from perceptio.scenes.tabletop.world import SHAPES

AROUND = 32  # segments around an axis of revolution: round at 224 px, cheap to transform


@dataclass(frozen=True)
class UnitMesh:
    """Vertices are repeated wherever normals differ; faces wind counter-clockwise seen from outside."""

    vertices: np.ndarray  # (V, 3) float32
    normals: np.ndarray  # (V, 3) float32, unit length
    faces: np.ndarray  # (F, 3) int32


@dataclass(frozen=True)
class Footprint:
    """The upright cylinder around a unit shape, and whether something can stand on it."""

    radius: float
    half_height: float
    flat_top: float  # radius of the flat top, 0 where there is none


FOOTPRINTS: dict[str, Footprint] = {
    "cube": Footprint(0.566, 0.40, 0.40),
    "sphere": Footprint(0.46, 0.46, 0.0),
    "cylinder": Footprint(0.38, 0.45, 0.38),
    "cone": Footprint(0.46, 0.48, 0.0),
    "torus": Footprint(0.50, 0.15, 0.0),
    "pyramid": Footprint(0.622, 0.45, 0.0),
    "capsule": Footprint(0.26, 0.50, 0.0),
    "prism": Footprint(0.46, 0.33, 0.38),
}


def _join(parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> UnitMesh:
    offset, vertices, normals, faces = 0, [], [], []
    for v, n, f in parts:
        vertices.append(v)
        normals.append(n)
        faces.append(f + offset)
        offset += len(v)
    return UnitMesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
    )


def _polyhedron(corners: np.ndarray, polygons: list[list[int]]) -> UnitMesh:
    """Flat-shaded convex polygons, wound counter-clockwise from outside."""
    parts = []
    for polygon in polygons:
        v = corners[polygon]
        n = np.cross(v[1] - v[0], v[2] - v[0])
        n = n / np.linalg.norm(n)
        fan = np.array([[0, i, i + 1] for i in range(1, len(polygon) - 1)])
        parts.append((v, np.repeat(n[None], len(polygon), 0), fan))
    return _join(parts)


def _lathe(profile: np.ndarray, normals: np.ndarray) -> UnitMesh:
    """Turn a profile (P, 2) of (radius, z), listed upwards, about z; `normals` (P, 2) are its outward normals."""
    angles = np.linspace(0, 2 * math.pi, AROUND + 1)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    vertices = np.concatenate([np.column_stack([ring * r, np.full(len(ring), z)]) for r, z in profile])
    outward = np.concatenate([np.column_stack([ring * r, np.full(len(ring), z)]) for r, z in normals])
    faces = []
    row = AROUND + 1
    for p in range(len(profile) - 1):
        for a in range(AROUND):
            i, j = p * row + a, (p + 1) * row + a
            if profile[p][0] > 0:
                faces.append([i, i + 1, j + 1])
            if profile[p + 1][0] > 0:
                faces.append([i, j + 1, j])
    return _join([(vertices, outward, np.array(faces))])


def _disc(radius: float, z: float, up: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    angles = np.linspace(0, 2 * math.pi, AROUND, endpoint=False)
    v = np.column_stack([radius * np.cos(angles), radius * np.sin(angles), np.full(AROUND, z)])
    n = np.tile([0.0, 0.0, 1.0 if up else -1.0], (AROUND, 1))
    fan = np.array([[0, i, i + 1] if up else [0, i + 1, i] for i in range(1, AROUND - 1)])
    return v, n, fan


def _box(h: float) -> UnitMesh:
    corners = np.array([[x, y, z] for z in (-h, h) for y in (-h, h) for x in (-h, h)])
    quads = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]]
    return _polyhedron(corners, quads)


def _cylinder(radius: float, h: float) -> UnitMesh:
    side = _lathe(np.array([[radius, -h], [radius, h]]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    return _join([(side.vertices, side.normals, side.faces), _disc(radius, -h, False), _disc(radius, h, True)])


def _cone(radius: float, h: float) -> UnitMesh:
    slope = math.hypot(2 * h, radius)
    normal = [2 * h / slope, radius / slope]
    side = _lathe(np.array([[radius, -h], [0.0, h]]), np.array([normal, normal]))
    return _join([(side.vertices, side.normals, side.faces), _disc(radius, -h, False)])


def _torus(ring: float, tube: float, tube_segments: int = 16) -> UnitMesh:
    angles = -np.linspace(0, 2 * math.pi, tube_segments + 1)[::-1]
    normals = np.column_stack([np.cos(angles), np.sin(angles)])
    return _lathe(np.column_stack([ring + tube * normals[:, 0], tube * normals[:, 1]]), normals)


def _capsule(radius: float, h: float, caps: int = 7) -> UnitMesh:
    angles = np.linspace(0, math.pi / 2, caps)
    normals = np.column_stack([np.cos(angles), np.sin(angles)])
    normals[-1] = (0.0, 1.0)
    top = radius * normals + [0.0, h - radius]
    bottom = top[::-1] * [1.0, -1.0]
    return _lathe(np.concatenate([bottom, top]), np.concatenate([normals[::-1] * [1.0, -1.0], normals]))


def _prism(radius: float, h: float, sides: int = 6) -> UnitMesh:
    angles = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    ring = np.column_stack([radius * np.cos(angles), radius * np.sin(angles)])
    corners = np.concatenate([np.column_stack([ring, np.full(sides, z)]) for z in (-h, h)])
    quads = [[i, (i + 1) % sides, sides + (i + 1) % sides, sides + i] for i in range(sides)]
    return _polyhedron(corners, [*quads, list(range(sides))[::-1], list(range(sides, 2 * sides))])


def _pyramid(half: float, h: float) -> UnitMesh:
    corners = np.array([[-half, -half, -h], [half, -half, -h], [half, half, -h], [-half, half, -h], [0, 0, h]])
    return _polyhedron(corners, [[3, 2, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])


def _wedge() -> UnitMesh:
    """A ramp that rises along +x."""
    h = 0.5
    corners = np.array([[-h, -h, -h], [h, -h, -h], [h, h, -h], [-h, h, -h], [h, -h, h], [h, h, h]])
    return _polyhedron(corners, [[3, 2, 1, 0], [0, 1, 4], [2, 3, 5], [1, 2, 5, 4], [0, 4, 5, 3]])


@cache
def unit_mesh(name: str) -> UnitMesh:
    """Return the mesh of a shape of SHAPES, or of the structures "box", "wedge" and "post"."""
    foot = FOOTPRINTS.get(name)
    if name == "cube":
        return _box(0.40)
    if name == "sphere":
        return _capsule(0.46, 0.46, caps=10)
    if name == "cylinder":
        return _cylinder(0.38, 0.45)
    if name == "cone":
        return _cone(0.46, 0.48)
    if name == "torus":
        return _torus(0.35, 0.15)
    if name == "pyramid":
        return _pyramid(0.44, 0.45)
    if name == "capsule":
        return _capsule(0.26, 0.50)
    if name == "prism":
        return _prism(0.46, 0.33)
    if name == "wedge":
        return _wedge()
    if name == "post":
        return _cylinder(0.5, 0.5)
    assert name == "box", name
    assert foot is None, name
    return _box(0.5)


assert set(FOOTPRINTS) == set(SHAPES)

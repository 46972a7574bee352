"""From a scene to one triangle soup in world coordinates, shared by the renderer and by any other ray caster."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from perceptio.scenes.camera import Vector
from perceptio.scenes.tabletop.shapes import UnitMesh, unit_mesh
from perceptio.scenes.tabletop.world import COLORS, FLOORS, MATERIALS, Scene

STRUCTURE_MATERIAL = len(MATERIALS)  # surface codes after the object materials
FLOOR_MATERIAL = STRUCTURE_MATERIAL + 1
WALL_MATERIAL = FLOOR_MATERIAL + len(FLOORS)
MAX_INSTANCES = 96


@dataclass(frozen=True)
class Geometry:
    """All triangles of a scene: the objects first in order of index, then structures, then the room."""

    vertices: np.ndarray  # (V, 10) float32: world position 3, world normal 3, unit-shape position 3, instance 1
    faces: np.ndarray  # (F, 3) int32
    table: np.ndarray  # (instances, 4) float32: sRGB colour and surface code
    first_face: tuple[int, ...]  # per object, then one entry for the end of the last object
    casters: int  # number of faces, from the start, that cast shadows: everything but the room
    caster_vertices: int  # number of vertices, from the start, that those faces use


def rotation_matrix(angles: Vector) -> np.ndarray:
    """Return the (3, 3) float64 matrix Rz(yaw) @ Ry(pitch) @ Rz(spin) of ZYZ angles in radians."""
    (ca, cb, cg), (sa, sb, sg) = [math.cos(a) for a in angles], [math.sin(a) for a in angles]
    return np.array(
        [
            [ca * cb * cg - sa * sg, -ca * cb * sg - sa * cg, ca * sb],
            [sa * cb * cg + ca * sg, -sa * cb * sg + ca * cg, sa * sb],
            [-sb * cg, sb * sg, cb],
        ]
    )


def build_geometry(scene: Scene) -> Geometry:
    """Place every mesh of a scene; objects are instances 0..n-1, so that an id is instance + 1."""
    soup = _Soup()
    first_face = []
    for thing in scene.objects:
        first_face.append(soup.faces)
        code = MATERIALS.index(thing.material)
        scale = np.full(3, thing.scale)
        soup.add(unit_mesh(thing.shape), thing.position, scale, thing.rotation, COLORS[thing.color], code)
    first_face.append(soup.faces)
    for piece in scene.structures:
        mesh = unit_mesh("post" if piece.mesh == "cylinder" else piece.mesh)
        soup.add(mesh, piece.position, np.array(piece.extent), piece.rotation, piece.rgb, STRUCTURE_MATERIAL)
    casters, caster_vertices = soup.faces, soup.count
    room = scene.room
    floor = FLOOR_MATERIAL + FLOORS.index(room.floor)
    extent = np.array([room.width, room.length, room.height])
    for side, (rgb, code) in enumerate(
        [(room.floor_rgb, floor), (room.ceiling_rgb, WALL_MATERIAL), *[(room.wall_rgb, WALL_MATERIAL)] * 4]
    ):
        soup.add(_room_side(side), (0.0, 0.0, room.height / 2), extent, (0.0, 0.0, 0.0), rgb, code)
    vertices, faces, table = soup.arrays()
    assert len(table) <= MAX_INSTANCES, len(table)
    return Geometry(vertices, faces, table, tuple(first_face), casters, caster_vertices)


def scene_triangles(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return exactly the triangles that the renderer draws.

    Returns:
        vertices (V, 3) float32 in metres, faces (F, 3) int32, and the id of every face (F,) uint8: the index of its
        object, 0 for structures and the room.
    """
    geometry = build_geometry(scene)
    ids = np.zeros(len(geometry.faces), np.uint8)
    for n, (start, stop) in enumerate(zip(geometry.first_face, geometry.first_face[1:], strict=False)):
        ids[start:stop] = scene.objects[n].index
    return np.ascontiguousarray(geometry.vertices[:, :3]), geometry.faces, ids


class _Soup:
    def __init__(self) -> None:
        self.count = 0  # vertices so far
        self.faces = 0  # faces so far
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._table: list[tuple[float, ...]] = []

    def add(
        self, mesh: UnitMesh, position: Vector, extent: np.ndarray, rotation: Vector, rgb: Vector, code: int
    ) -> None:
        turn = rotation_matrix(rotation).T
        part = np.empty((len(mesh.vertices), 10), np.float32)
        part[:, 0:3] = (mesh.vertices * extent) @ turn + position
        part[:, 3:6] = (mesh.normals / extent) @ turn  # the shader normalises
        part[:, 6:9] = mesh.vertices
        part[:, 9] = len(self._table)
        self._vertices.append(part)
        self._faces.append(mesh.faces + np.int32(self.count))
        self._table.append((*rgb, float(code)))
        self.count += len(part)
        self.faces += len(mesh.faces)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.concatenate(self._vertices), np.concatenate(self._faces), np.array(self._table, np.float32)


def _inward_sides() -> list[UnitMesh]:
    """The six sides of the unit box seen from inside: floor, ceiling, then the four walls."""
    box = unit_mesh("box")
    sides = []
    for k in range(6):
        v = slice(4 * k, 4 * k + 4)
        faces = box.faces[2 * k : 2 * k + 2] - 4 * k
        sides.append(UnitMesh(box.vertices[v], -box.normals[v], np.ascontiguousarray(faces[:, ::-1])))
    return sides


_SIDES: list[UnitMesh] = []


def _room_side(side: int) -> UnitMesh:
    if not _SIDES:
        _SIDES.extend(_inward_sides())
    return _SIDES[side]

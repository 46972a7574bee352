"""Meshes and their placement."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from perceptio.scenes.tabletop.geometry import build_geometry, rotation_matrix, scene_triangles
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.shapes import FOOTPRINTS, unit_mesh
from perceptio.scenes.tabletop.world import SHAPES

MESHES = (*SHAPES, "box", "wedge", "post")


def triangles(name: str) -> np.ndarray:
    """(F, 3, 3) corners of the faces, without those of no area at the poles of the sphere."""
    return unit_mesh(name).vertices[solid_faces(name)].astype(np.float64)


def solid_faces(name: str) -> np.ndarray:
    mesh = unit_mesh(name)
    a, b, c = mesh.vertices[mesh.faces].astype(np.float64).transpose(1, 0, 2)
    return mesh.faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12]


@pytest.mark.parametrize("name", MESHES)
def test_meshes_are_closed_and_wound_outwards(name):
    edges = Counter()
    for corners in triangles(name):
        keys = [tuple(np.round(corner, 4) + 0.0) for corner in corners]
        edges.update(zip(keys, [*keys[1:], keys[0]], strict=True))
    assert all(count == 1 for count in edges.values())
    assert all((b, a) in edges for a, b in edges)  # every edge has its other side
    a, b, c = triangles(name).transpose(1, 0, 2)
    assert (a * np.cross(b, c)).sum() > 0  # six times the volume


@pytest.mark.parametrize("name", MESHES)
def test_meshes_fit_the_unit_cube_and_normals_point_out_of_their_faces(name):
    mesh = unit_mesh(name)
    assert np.abs(mesh.vertices).max() <= 0.5 + 1e-6
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)
    a, b, c = triangles(name).transpose(1, 0, 2)
    faces = np.cross(b - a, c - a)
    assert (np.einsum("fj,fkj->fk", faces, mesh.normals[solid_faces(name)]) > 0).all()


@pytest.mark.parametrize(
    ("name", "volume"),
    [
        ("cube", 0.8**3),
        ("sphere", 4 / 3 * math.pi * 0.46**3),
        ("cylinder", math.pi * 0.38**2 * 0.9),
        ("cone", math.pi * 0.46**2 * 0.96 / 3),
        ("box", 1.0),
        ("wedge", 0.5),
    ],
)
def test_volumes_are_those_of_the_shapes(name, volume):
    a, b, c = triangles(name).transpose(1, 0, 2)
    assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(volume, rel=0.03)  # 32 segments around


@pytest.mark.parametrize("shape", SHAPES)
def test_footprints_bound_their_meshes_tightly(shape):
    vertices, foot = unit_mesh(shape).vertices, FOOTPRINTS[shape]
    assert np.abs(vertices[:, 2]).max() == pytest.approx(foot.half_height, abs=0.005)
    radius = np.hypot(vertices[:, 0], vertices[:, 1])
    assert radius.max() == pytest.approx(foot.radius, abs=0.005)
    if foot.flat_top:
        assert radius[vertices[:, 2] > foot.half_height - 0.005].max() >= foot.flat_top - 0.005


def test_rotation_is_the_product_of_its_three_turns():
    yaw, pitch, spin = 0.7, -1.1, 2.3

    def about_z(a: float) -> np.ndarray:
        return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])

    about_y = np.array([[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]])
    np.testing.assert_allclose(rotation_matrix((yaw, pitch, spin)), about_z(yaw) @ about_y @ about_z(spin), atol=1e-12)


def test_objects_are_their_meshes_scaled_turned_and_moved():
    scene = sample_scene(2, "train")
    vertices, faces, ids = scene_triangles(scene)
    assert (np.diff(ids[ids > 0].astype(int)) >= 0).all()
    assert not ids[np.count_nonzero(ids) :].any()  # objects come first
    for thing in scene.objects:
        mesh, turn = unit_mesh(thing.shape), rotation_matrix(thing.rotation)
        expected = mesh.vertices[mesh.faces] * thing.scale @ turn.T + thing.position
        np.testing.assert_allclose(vertices[faces[ids == thing.index]], expected, atol=1e-5)


def test_room_is_seen_from_inside():
    scene = sample_scene(1, "train")
    geometry = build_geometry(scene)
    corners = geometry.vertices[geometry.faces[geometry.casters :], :3].astype(np.float64)
    assert len(corners) == 12
    a, b, c = corners.transpose(1, 0, 2)
    towards = np.array(scene.camera.position) - a
    assert (np.einsum("fj,fj->f", np.cross(b - a, c - a), towards) > 0).all()
    size = np.ptp(corners.reshape(-1, 3), axis=0)
    np.testing.assert_allclose(size, [scene.room.width, scene.room.length, scene.room.height], rtol=1e-5)
    assert corners[..., 2].min() == pytest.approx(0, abs=1e-6)

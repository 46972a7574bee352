"""Pieces: corners, normals and areas."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.scenes.rendering.drawing import VERTEX
from perceptio.scenes.rendering.pieces import box, mesh, panel, quad, slab


def area(vertices: np.ndarray) -> float:
    a, b, c = (vertices.reshape(-1, 3, VERTEX)[:, k, :3] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def outward(vertices: np.ndarray, middle: tuple[float, float, float]) -> bool:
    return bool((((vertices[:, :3] - middle) * vertices[:, 3:6]).sum(1) > 0).all())


def test_a_quad_faces_where_its_corners_turn_left():
    made = quad((0, 0, 0), (2, 0, 0), (2, 3, 0), (0, 3, 0), 7)
    assert made.shape == (6, VERTEX)
    assert made.dtype == np.float32
    assert (made[:, 3:6] == (0, 0, 1)).all()
    assert (made[:, 11] == 7).all()
    assert area(made) == pytest.approx(6)
    assert sorted(map(tuple, np.unique(made[:, 9:11], axis=0))) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_panel_has_its_size_and_faces_across_times_up():
    made = panel((1, 2, 3), (0.5, 0, 0), (0, 0, 1.5), 0)
    assert area(made) == pytest.approx(3)
    assert made[:, :3].mean(0) == pytest.approx((1, 2, 3), abs=0.6)
    assert (made[:, 3:6] == (0, -1, 0)).all()


def test_a_box_has_no_bottom_and_another_top():
    made = box((0, 0, 0), (1, 2, 3), 4, top=5)
    assert area(made) == pytest.approx(2 * 3 + 2 * 6 + 2)
    assert outward(made, (0.5, 1, 1.5))
    assert set(made[made[:, 5] == 1, 11]) == {5}
    assert set(made[made[:, 5] == 0, 11]) == {4}


def test_a_slab_is_a_panel_with_edges_behind_it():
    made = slab((0, 0, 0), (1, 0, 0), (0, 1, 0), 0.1, 1, 2)
    assert area(made) == pytest.approx(4 + 4 * 0.2, rel=1e-5)
    assert made[:, 2].min() == pytest.approx(-0.1)
    assert outward(made, (0, 0, -0.05))


def test_a_mesh_becomes_one_row_a_corner():
    vertices = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)], float)
    faces = np.array([(0, 1, 2), (0, 2, 3)])
    made = mesh(vertices, np.ones_like(vertices), 2 * vertices, faces, 3)
    assert made.shape == (6, VERTEX)
    assert (made[:, :3] == vertices[faces.ravel()]).all()
    assert (made[:, 6:9] == 2 * made[:, :3]).all()
    assert (made[:, 11] == 3).all()

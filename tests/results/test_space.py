"""Points in space, and the textured relief, from a depth map."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import trimesh
from PIL import Image

from perceptio.results import Answer, DepthMap, Trace, point_cloud
from perceptio.results.space import FAR, GUESSED_FOV, NEAR, Space

from .conftest import answer


def flat(value: float, shape: tuple[int, int] = (40, 60), *, jump: bool = False) -> Answer:
    """An answer with one depth everywhere; with `jump`, the right half is the nearest."""
    array = np.full(shape, value, np.float32)
    if jump:
        array[:, shape[1] // 2 :] = 1
    red = Image.new("RGB", shape[::-1], (200, 30, 40))
    return Answer("", [], DepthMap(array, np.zeros((2, 2), np.int64)), Trace(""), red)


def test_distances_are_one_over_a_line_between_the_ends() -> None:
    space = Space(near=2, far=10)
    np.testing.assert_allclose(space.distances(np.array([1, 0, 0.5])), [2, 10, 1 / (0.5 / 2 + 0.5 / 10)])


def test_a_wall_fills_the_stated_field_of_view() -> None:
    cloud = flat(1.0).point_cloud(90, near=3, far=5)
    assert len(cloud.points) == 40 * 60
    np.testing.assert_allclose(cloud.points[:, 2], -3)
    # at 90 degrees the longer side is twice the distance wide; the outer pixels' centres lie half a pixel inside
    np.testing.assert_allclose(np.ptp(cloud.points[:, 0]), 2 * 3 * 59 / 60, rtol=1e-5)
    np.testing.assert_allclose(np.ptp(cloud.points[:, 1]), 2 * 3 * 39 / 60, rtol=1e-5)
    np.testing.assert_allclose(cloud.points.mean(0)[:2], 0, atol=1e-5)
    first = cloud.points[0]
    assert first[0] < 0 < first[1]  # the upper left pixel is at the left and above
    assert (cloud.colors == (200, 30, 40)).all()


def test_an_unstated_field_of_view_is_a_guess_that_says_so() -> None:
    cloud = flat(-1.0).point_cloud()
    assert cloud.space.guessed
    assert not flat(0.0).point_cloud(GUESSED_FOV).space.guessed
    np.testing.assert_allclose(cloud.points[:, 2], -FAR)
    expected = 2 * FAR * math.tan(math.radians(GUESSED_FOV) / 2) * 59 / 60
    np.testing.assert_allclose(np.ptp(cloud.points[:, 0]), expected, rtol=1e-5)


def test_each_point_has_the_colour_of_its_pixel() -> None:
    colors = np.arange(40 * 30 * 3).astype(np.uint8).reshape(40, 30, 3)
    cloud = answer(image=Image.fromarray(colors)).point_cloud()
    np.testing.assert_array_equal(cloud.colors.reshape(40, 30, 3), colors)


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_files_are_read_back_by_trimesh(kind: str) -> None:
    cloud = answer().point_cloud(50)
    read = trimesh.load(io.BytesIO(getattr(cloud, kind)()), file_type=kind)
    read = read if isinstance(read, trimesh.PointCloud) else next(iter(read.geometry.values()))
    np.testing.assert_allclose(read.vertices, cloud.points, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(read.colors)[:, :3], cloud.colors)


def test_very_many_points_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_cloud, "MOST_POINTS", 600)
    cloud = flat(0.0).point_cloud()
    assert len(cloud.points) == 20 * 30


def test_a_very_large_original_takes_the_size_of_the_held_picture() -> None:
    large = flat(0.0, (90, 120))
    held = Answer("", [], large.depth, Trace(""), Image.new("RGB", (40, 30)))
    assert len(held.point_cloud().points) == 30 * 40


def mesh_of(content: bytes) -> trimesh.Trimesh:
    scene = trimesh.load(io.BytesIO(content), file_type="glb")
    (mesh,) = scene.geometry.values()
    return mesh


def test_relief_is_a_textured_mesh_upright_before_the_camera() -> None:
    mesh = mesh_of(flat(0.0).relief(90))
    assert len(mesh.faces) == 2 * 39 * 59
    assert (mesh.vertices[:, 2] < 0).all()
    assert (mesh.face_normals[:, 2] > 0.9).all()  # the front looks at the camera
    top = mesh.vertices[:, 1].argmax()
    left = mesh.vertices[:, 0].argmin()
    assert mesh.visual.uv[top, 1] > 0.9  # glTF's v after trimesh turned it: 1 at the top
    assert mesh.visual.uv[left, 0] < 0.1
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (60, 40)
    np.testing.assert_allclose(np.asarray(texture.convert("RGB")).reshape(-1, 3), [[200, 30, 40]] * 2400, atol=3)


def test_relief_is_cut_where_depth_jumps() -> None:
    mesh = mesh_of(flat(-1.0, jump=True).relief())
    assert len(mesh.faces) == 2 * 39 * 58  # the column of squares across the jump is missing
    depths = mesh.triangles[..., 2]
    np.testing.assert_allclose(depths.max(1), depths.min(1), rtol=1e-5)
    assert {round(float(value), 3) for value in mesh.vertices[:, 2]} == {-NEAR, -FAR}


def test_relief_of_a_large_picture_is_a_grid_of_256() -> None:
    mesh = mesh_of(flat(0.0, (300, 1100)).relief())
    assert len(mesh.vertices) == 256 * 70
    assert mesh.visual.material.baseColorTexture.size == (1024, 279)


@pytest.mark.parametrize(
    "arguments",
    [{"fov_degrees": 0}, {"fov_degrees": 180}, {"fov_degrees": float("nan")}, {"near": 0}, {"near": 5, "far": 4},
     {"far": math.inf}],
)  # fmt: skip
@pytest.mark.parametrize("form", ["point_cloud", "relief"])
def test_impossible_cameras_are_refused(form: str, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"fov_degrees must be|near and far must be"):
        getattr(answer(), form)(**arguments)


@pytest.mark.parametrize("form", ["point_cloud", "relief"])
def test_without_depth_or_picture_there_is_nothing_to_lay_out(form: str) -> None:
    with pytest.raises(ValueError, match="no depth map"):
        getattr(answer(depth=False), form)()
    with pytest.raises(ValueError, match="holds no image"):
        getattr(answer(image=None), form)()

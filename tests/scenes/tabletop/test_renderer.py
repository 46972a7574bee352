"""Labels of the renderer against ray casting of the same triangles with Embree."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.scenes.rendering.context import RendererError
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.tabletop.geometry import scene_triangles
from perceptio.scenes.tabletop.layout import FARTHEST, sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.tabletop.world import Scene

rtcore_scene = pytest.importorskip("embreex.rtcore_scene")
mesh_construction = pytest.importorskip("embreex.mesh_construction")

SIZE = 96
SEEDS = [("train", 0), ("train", 1), ("train", 2), ("test-shift", 0), ("test-shift", 1), ("test-compositional", 3)]


@pytest.fixture(scope="module")
def renderer():
    with Renderer(SIZE) as drawing:
        yield drawing


@pytest.fixture(scope="module")
def pictures(renderer: Renderer) -> list[tuple[Scene, RenderedScene]]:
    scenes = [sample_scene(seed, split) for split, seed in SEEDS]
    return [(scene, renderer.render(scene)) for scene in scenes]


def cast(scene: Scene, corners: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Face seen by each pixel, -1 for none, and view-space z; `side` may exceed SIZE: then it sees beyond the frame."""
    world = rtcore_scene.EmbreeScene()
    mesh_construction.TriangleMesh(world, np.ascontiguousarray(corners, np.float32))
    right, down, forward = np.array(scene.camera.axes())
    offsets = (np.arange(side) + 0.5 - side / 2) / scene.camera.focal(SIZE)
    rays = offsets[None, :, None] * right + offsets[:, None, None] * down + forward  # length 1 along the optical axis
    rays = rays.reshape(-1, 3).astype(np.float32)
    eyes = np.repeat(np.array([scene.camera.position], np.float32), len(rays), 0)
    found = world.run(eyes, rays, output=True)
    return found["primID"].reshape(side, side), found["tfar"].reshape(side, side)


def test_ids_and_depth_agree_with_ray_casting(pictures):
    for scene, rendered in pictures:
        vertices, faces, ids = scene_triangles(scene)
        face, z = cast(scene, vertices[faces], SIZE)
        assert (face >= 0).all()  # the room is closed
        same = ids[face] == rendered.ids
        assert same.mean() > 0.999
        off = np.abs(rendered.depth - z) > 1e-3 * z
        # a pixel whose centre lies on the edge of two surfaces may fall to either side
        assert off[same].mean() < 0.001
        assert len(np.unique(rendered.ids)) > 3


def test_visible_shares_agree_with_ray_casting(pictures):
    beyond = SIZE + 2 * (SIZE // 4)
    shares = []
    for scene, rendered in pictures:
        vertices, faces, ids = scene_triangles(scene)
        seen = ids[cast(scene, vertices[faces], SIZE)[0]]
        for thing, visible in zip(scene.objects, rendered.visible, strict=True):
            alone = np.count_nonzero(cast(scene, vertices[faces[ids == thing.index]], beyond)[0] >= 0)
            assert visible == pytest.approx(np.count_nonzero(seen == thing.index) / alone, abs=0.03), thing
            shares.append(visible)
    assert 0 <= min(shares) < 0.8  # some are partly hidden
    assert max(shares) == 1


def test_every_scene_has_finite_depth_and_labels_in_range(renderer):
    for split in ("train", "test-shift"):
        for seed in range(30, 50):
            scene = sample_scene(seed, split)
            rendered = renderer.render(scene)
            assert rendered.rgb.shape == (SIZE, SIZE, 3)
            assert rendered.rgb.dtype == np.uint8
            assert (rendered.depth.dtype, rendered.ids.dtype) == (np.float32, np.uint8)
            assert np.isfinite(rendered.depth).all()
            diagonal = np.linalg.norm([scene.room.width, scene.room.length, scene.room.height])
            assert rendered.depth.min() > 0.05
            assert rendered.depth.max() < diagonal <= FARTHEST
            assert rendered.ids.max() <= len(scene.objects)
            assert len(rendered.visible) == len(scene.objects)
            assert all(0 <= share <= 1 for share in rendered.visible)
            assert rendered.rgb.std() > 5  # not a blank picture


def test_same_scene_gives_the_same_picture_whatever_was_drawn_before(renderer, pictures):
    scene, first = pictures[0]
    again = renderer.render(scene)
    with Renderer(SIZE) as fresh:
        anew = fresh.render(scene)
    for other in (again, anew):
        for name in ("rgb", "depth", "ids"):
            np.testing.assert_array_equal(getattr(other, name), getattr(first, name))
        assert other.visible == first.visible


def test_colours_lie_where_the_ids_say(renderer):
    tested = 0
    for seed in range(150):
        scene = sample_scene(seed, "train")
        if not any(thing.material == "matte" and thing.color in ("red", "green", "blue") for thing in scene.objects):
            continue
        rendered = renderer.render(scene)
        for thing in scene.objects:
            pixels = rendered.rgb[rendered.ids == thing.index]
            if thing.material == "matte" and thing.color in ("red", "green", "blue") and len(pixels) > 60:
                strongest = pixels.astype(int).sum(0).argmax()
                assert ("red", "green", "blue")[strongest] == thing.color, (seed, thing)
                tested += 1
    assert tested > 20


def test_labels_do_not_depend_on_the_size_of_the_picture(pictures):
    scene, small = pictures[1]
    with Renderer(3 * SIZE) as large:
        rendered = large.render(scene)
    # the centre of a small pixel is the centre of the middle one of nine
    assert (rendered.ids[1::3, 1::3] == small.ids).mean() > 0.999
    close = np.isclose(rendered.depth[1::3, 1::3], small.depth, rtol=1e-3)
    assert close.mean() > 0.999


def test_wrong_sizes_are_refused():
    for size in (15, 2049):
        with pytest.raises(ValueError, match=f"between 16 and 2048 pixels, not {size}"):
            Renderer(size)


def test_missing_opengl_says_what_to_install(monkeypatch):
    import moderngl

    def refuse(**_: object) -> None:
        raise Exception("no display")  # a bare one, as the library raises

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(RendererError, match=r"apt-get install -y libegl1 .*\(no display\)"):
        Renderer(SIZE)


def test_close_twice_is_safe():
    drawing = Renderer(16)
    drawing.close()
    drawing.close()

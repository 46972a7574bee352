"""Labels of textured drawings against ray casting; light and finish by what they must change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.camera import Camera
from perceptio.scenes.rendering.drawing import (
    NEVER_MARKED,
    SKY_DEPTH,
    Cover,
    Drawing,
    Finish,
    Material,
    Piece,
    Placed,
    Sun,
)
from perceptio.scenes.rendering.pieces import box, panel
from perceptio.scenes.rendering.textured import TexturedRenderer
from perceptio.scenes.rendering.triangles import triangles_of

SIZE = 96
CAMERA = Camera((0.0, -4.0, 1.5), (0.0, 0.0, 0.8), 50.0, 0.05, "standing")
SUN = Sun((0.3, -0.4, 0.866), (2.0, 2.0, 1.9), (0.0, 0.0, 0.5), 6.0)


@pytest.fixture(scope="module")
def pack(pack_folder) -> Pack:
    return Pack(pack_folder)


@pytest.fixture(scope="module")
def renderer(pack):
    with TexturedRenderer(pack, SIZE) as drawing:
        yield drawing


@pytest.fixture
def drawing(pack) -> Drawing:
    """All models of the pack in rows on a ground, a box, and a panel in the air."""
    placed = []
    for number, model in enumerate(pack.models):
        scale = 0.7 / max(model.size)
        matrix = np.diag([scale, scale, scale, 1.0])
        matrix[:3, 3] = 0.9 * (number % 5 - 2), 0.9 * (number // 5), 0.3 * (number % 3)
        placed.append(Placed(number, matrix, number + 1, (1.0, 0.9, 0.8)))
    last = len(placed)
    pieces = [
        Piece(panel((0, 0, 0), (30, 0, 0), (0, 30, 0), 0), casts=False),
        Piece(box((-1.6, -1.4, 0), (-1.2, -1.0, 0.6), 1), last + 1),
        Piece(panel((0.3, -1.2, 1.4), (0.3, 0, 0), (0, 0, 0.2), 2), last + 2),
    ]
    materials = [Material((0.5, 0.5, 0.5), Cover(0, 0.5)), Material((0.8, 0.2, 0.2)), Material((1, 1, 1), glow=2.0)]
    return Drawing(CAMERA, placed, pieces, materials, SUN, (0.5, 0.5, 0.6), (0.3, 0.3, 0.3))


def test_ids_and_depth_agree_with_ray_casting_through_the_holes_of_textures(renderer, pack, drawing, cast):
    rendered = renderer.render(drawing)
    triangles = triangles_of(drawing, pack)
    ids, depth = cast(triangles, pack.textures, CAMERA, SIZE)
    same = ids == rendered.ids
    assert same.mean() > 0.999
    assert (np.abs(rendered.depth - depth) > 1e-3 * depth)[same].mean() < 0.001
    assert len(np.unique(ids)) > 10
    solid = replace(triangles, layers=np.full_like(triangles.layers, -1))
    assert (cast(solid, pack.textures, CAMERA, SIZE)[0] != ids).any(), "some texture has holes that are looked through"


def test_where_nothing_is_there_is_sky(renderer, drawing):
    rendered = renderer.render(replace(drawing, placed=(), pieces=drawing.pieces[1:]))
    empty = rendered.ids == NEVER_MARKED
    assert empty.mean() > 0.5
    assert (rendered.depth[empty] == SKY_DEPTH).all()
    assert rendered.depth[~empty].max() < 10


def test_visible_is_the_seen_share_of_a_silhouette(renderer, drawing):
    last = len(drawing.placed)
    rendered = renderer.render(drawing)
    assert len(rendered.visible) == last + 2
    assert all(0 <= share <= 1 for share in rendered.visible)
    assert rendered.visible[last + 1] == pytest.approx(1.0, abs=0.1)  # the panel floats before everything
    wall = Piece(panel((-1.4, -1.6, 0.0), (0.5, 0, 0), (0, 0, 0.35), 1))  # hides the lower part of the box
    hidden = renderer.render(replace(drawing, pieces=[*drawing.pieces, wall]))
    assert 0.1 < hidden.visible[last] < 0.7 * rendered.visible[last] < 0.7


def test_an_unworthy_picture_is_not_drawn(renderer, drawing):
    seen = []

    def refuse(depth: np.ndarray, ids: np.ndarray) -> bool:
        seen.append((depth.shape, ids.shape))
        return False

    assert renderer.render(drawing, refuse) is None
    assert seen == [((SIZE, SIZE), (SIZE, SIZE))]


def test_the_same_drawing_gives_the_same_picture_whatever_else_draws(renderer, pack, drawing):
    first = renderer.render(drawing)
    with TexturedRenderer(pack, SIZE) as other:
        second = other.render(drawing)
        assert other.driver == renderer.driver
    third = renderer.render(drawing)
    for again in (second, third):
        assert (again.rgb == first.rgb).all()
        assert (again.ids == first.ids).all()


def test_light_and_finish_change_the_picture_and_never_the_labels(renderer, drawing):
    plain = renderer.render(drawing)
    changes = {
        "no sun": {"sun": replace(SUN, rgb=(0.0, 0.0, 0.0))},
        "grey": {"finish": Finish(saturation=0.0)},
        "haze": {"finish": Finish(haze=0.2)},
        "vignette": {"finish": Finish(vignette=0.3)},
        "noise": {"finish": Finish(noise=8.0)},
        "JPEG": {"finish": Finish(jpeg=40)},
        "blur": {"finish": Finish(blur=1.0)},
    }
    for name, change in changes.items():
        other = renderer.render(replace(drawing, **change))
        assert (other.ids == plain.ids).all(), name
        assert (other.depth == plain.depth).all(), name
        assert (other.rgb != plain.rgb).mean() > 0.2, name
    grey = renderer.render(replace(drawing, finish=Finish(saturation=0.0))).rgb.astype(int)
    assert np.ptp(grey, axis=2).max() <= 1


def test_things_cast_shadows(renderer, drawing):
    ground = renderer.render(drawing).ids == 0
    bare = replace(drawing, pieces=[replace(piece, casts=False) for piece in drawing.pieces], placed=())
    high = Piece(box((-2, -2, 3), (2, 2, 3.1), 1))  # outside the picture, between ground and sun
    lit, shaded = (
        renderer.render(replace(bare, pieces=[*bare.pieces, *more], finish=Finish(occlusion=0.0))).rgb
        for more in ((), (high,))
    )
    middle = ground & (np.indices((SIZE, SIZE))[0] > SIZE // 2)
    # exposure follows the whole picture, so the middle is compared with the edge
    contrast = [float(rgb[middle].mean()) / float(rgb[-4:].mean()) for rgb in (lit, shaded)]
    assert abs(contrast[0] - contrast[1]) > 0.05 or shaded[middle].std() > 1.3 * lit[middle].std()


@pytest.mark.parametrize("size", [8, 4096])
def test_sizes_that_cannot_be_drawn_are_refused(pack, size):
    with pytest.raises(ValueError, match=str(size)):
        TexturedRenderer(pack, size)

"""The second look of table-top scenes: the same truth under another picture."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.rendering.textured import TexturedRenderer
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.photographic import photographic
from perceptio.scenes.tabletop.renderer import Renderer

SIZE = 96
SCENES = [("train", 0), ("train", 5), ("test-shift", 1), ("test-compositional", 2)]


@pytest.fixture(scope="module")
def pack(pack_folder) -> Pack:
    return Pack(pack_folder)


def test_labels_are_those_of_the_plain_look_and_pictures_are_others(pack):
    scenes = [sample_scene(seed, split) for split, seed in SCENES]
    with Renderer(SIZE) as renderer:
        plain = [renderer.render(scene) for scene in scenes]
    with TexturedRenderer(pack, SIZE) as renderer:
        second = [renderer.render(photographic(scene, pack)) for scene in scenes]
    for scene, before, after in zip(scenes, plain, second, strict=True):
        assert (after.ids != before.ids).mean() < 0.001
        assert np.abs(after.depth - before.depth).max() < 1e-3
        assert len(after.visible) == len(before.visible) == len(scene.objects)
        for thing, share, expected in zip(scene.objects, after.visible, before.visible, strict=True):
            if (before.ids == thing.index).sum() > 150:  # silhouettes are counted at half the size
                assert share == pytest.approx(expected, abs=0.15)
        assert (after.rgb != before.rgb).mean() > 0.9


def test_the_same_scene_gives_the_same_drawing(pack):
    first, second = (photographic(sample_scene(3), pack) for _ in range(2))
    assert first.finish == second.finish
    assert first.materials == second.materials
    assert photographic(sample_scene(4), pack).finish != first.finish


def test_pictures_keep_their_colours(pack):
    finishes = [photographic(sample_scene(seed), pack).finish for seed in range(60)]
    assert min(finish.saturation for finish in finishes) > 0.7
    assert all(finish.recolor is None for finish in finishes)

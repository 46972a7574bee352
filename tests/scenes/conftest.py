"""Scenes that the tests of language, samples and storage share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore, StoredScene
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.tabletop.world import SCALES, Scene, SceneObject
from perceptio.scenes.views import ObjectView, describe_view

# size, colour, material, shape; centre x, y and half side in px of a 224 px picture; depth in metres
Block = tuple[str, str, str, str, int, int, int, float]


@pytest.fixture(scope="session")
def scenes() -> list[StoredScene]:
    """Forty rendered scenes of the test split."""
    stored = []
    with Renderer(size=224) as renderer:
        for seed in range(40):
            scene = sample_scene(seed, "test")
            rendered = renderer.render(scene)
            views = describe_view(rendered, scene)
            stored.append(StoredScene(scene, rendered.rgb, rendered.depth, rendered.ids, views))
    return stored


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    """Twelve scenes of the val split on disk; tests that damage them take a copy."""
    return render_split(tmp_path_factory.mktemp("scenes") / "val", "val", 12, size=224, workers=1, progress=False)


@pytest.fixture(scope="session")
def build() -> Callable[[Sequence[Block]], StoredScene]:
    """A scene of upright squares in front of a wall, written down by hand."""
    return _build


def _build(blocks: Sequence[Block]) -> StoredScene:
    base = sample_scene(0, "test")
    rows, columns = np.mgrid[:224, :224]
    depth = np.full((224, 224), 9.0, np.float32)
    ids = np.zeros((224, 224), np.uint8)
    things, views = [], []
    for index, (size, color, material, shape, x, y, half, z) in enumerate(blocks, 1):
        inside = (abs(rows - y) <= half) & (abs(columns - x) <= half)
        depth[inside], ids[inside] = z, index
        pixels = (2 * half + 1) ** 2 if half else 0
        box = (x - half, y - half, x + half + 1, y + half + 1)
        things.append(
            SceneObject(index, shape, color, material, size, SCALES[size], (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "floor")
        )
        views.append(ObjectView(index, pixels, 1.0 if half else 0.0, box, (float(x), float(y)), z, z))
    scene = Scene(0, "test", tuple(things), (), base.room, base.camera, base.lights, base.ambient)
    return StoredScene(scene, np.full((224, 224, 3), 90, np.uint8), depth, ids, tuple(views))

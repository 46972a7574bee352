"""Dense targets of the vision tower against a loop over patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perceptio.nano.dense import VisionPretraining, dense_sample
from perceptio.pipeline import Perceptio
from perceptio.scenes.contact_sheet import fresh_scenes
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.tabletop.world import COLORS, SHAPES

SIDE, PATCH = 128, 8
GRID = SIDE // PATCH


@pytest.fixture(scope="module")
def scenes() -> list[StoredScene]:
    return fresh_scenes("train", 3, SIDE)


def test_each_patch_names_the_object_that_covers_most_of_it(scenes: list[StoredScene]) -> None:
    for stored in scenes:
        sample = dense_sample(stored, SIDE, PATCH, np.random.default_rng(0))
        objects = {thing.index: thing for thing in stored.scene.objects}
        for row in range(GRID):
            for column in range(GRID):
                part = stored.ids[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
                counts = np.bincount(part.ravel(), minlength=16)
                owners = set(np.flatnonzero(counts == counts.max()).tolist())
                shape, color = int(sample["shape"][row, column]), int(sample["color"][row, column])
                allowed = {1 + SHAPES.index(objects[o].shape) if o else 0 for o in owners}
                assert shape in allowed
                assert (color == -100) == (shape == 0)
                if shape and len(owners) == 1:
                    assert color == list(COLORS).index(objects[owners.pop()].color)


def test_offsets_point_at_the_centroid_of_the_object(scenes: list[StoredScene]) -> None:
    stored = max(scenes, key=lambda item: max(view.pixels for view in item.views))
    sample = dense_sample(stored, SIDE, PATCH, np.random.default_rng(0))
    view = max(stored.views, key=lambda item: item.pixels)
    rows, columns = np.nonzero(stored.ids == view.index)
    middle = (rows.mean(), columns.mean())
    found = [
        (r, c)
        for r in range(GRID)
        for c in range(GRID)
        if (stored.ids[r * PATCH : (r + 1) * PATCH, c * PATCH : (c + 1) * PATCH] == view.index).mean() > 0.9
    ]
    assert found
    for r, c in found:
        x, y = sample["offset"][r, c].tolist()
        assert (c + 0.5) / GRID + x == pytest.approx(middle[1] / SIDE, abs=0.01)
        assert (r + 0.5) / GRID + y == pytest.approx(middle[0] / SIDE, abs=0.01)


def test_marks_are_targets_where_they_are_drawn(scenes: list[StoredScene]) -> None:
    seen = 0
    for seed in range(12):
        sample = dense_sample(scenes[seed % 3], SIDE, PATCH, np.random.default_rng(seed))
        places = torch.nonzero(sample["letter"])
        seen += len(places)
        for row, column in places.tolist():
            x, y = sample["mark_offset"][row, column].tolist()
            assert abs(x) <= 0.5 / GRID + 1e-6
            assert y <= 25 / 336 + 0.5 / GRID + 1e-6
    assert seen > 10


def test_losses_and_gradients_are_finite_and_every_head_learns(scenes: list[StoredScene], tiny: Perceptio) -> None:
    assert tiny.model.config.vlm.vision_config.image_size[0] == SIDE
    torch.manual_seed(0)
    samples = [dense_sample(stored, SIDE, PATCH, np.random.default_rng(k)) for k, stored in enumerate(scenes)]
    batch = torch.utils.data.default_collate(samples)
    module = VisionPretraining(tiny.model.vlm.model.vision_tower, tiny.model.config.vlm.vision_config.hidden_size)
    optimizer = torch.optim.Adam(module.head.parameters(), 1e-2)
    first = module(**batch)
    for _ in range(40):
        optimizer.zero_grad()
        outputs = module(**batch)
        outputs["loss"].backward()
        optimizer.step()
    assert torch.isfinite(outputs["loss"])
    for name in ("shape", "color", "depth", "offset"):
        assert outputs["losses"][name] < first["losses"][name], name
    tiny.model.zero_grad()

"""Scenes of the second world: repeatable, plausible, worth a look."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.places.sampler import SHARES, PlacesSampler
from perceptio.scenes.places.scene import FAMILIES, PLACES, PlacesScene, Thing
from perceptio.scenes.places.solids import Solid, overlap
from perceptio.scenes.rendering.drawing import NEVER_MARKED, SKY_DEPTH
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.rendering.textured import TexturedRenderer

SIZE, COUNT = 64, 4
Drawn = tuple[PlacesScene, RenderedScene]


@pytest.fixture(scope="module")
def pack(pack_folder) -> Pack:
    return Pack(pack_folder)


@pytest.fixture(scope="module")
def renderer(pack):
    with TexturedRenderer(pack, SIZE) as drawing:
        yield drawing


@pytest.fixture(scope="module")
def drawn(pack, renderer) -> dict[str, list[Drawn]]:
    """Some scenes of every family."""
    sampler = PlacesSampler(pack, "train", renderer)
    return {family: [sampler.draw(seed, family) for seed in range(COUNT)] for family in FAMILIES}


def solid(thing: Thing) -> Solid:
    x, y, z = thing.center
    return Solid((x, y, z - thing.extent[2] / 2), thing.extent, thing.yaw)


def test_every_family_has_its_share():
    assert set(SHARES) == set(FAMILIES)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_same_seed_gives_the_same_scene_whatever_was_drawn_before(pack, renderer, drawn):
    sampler = PlacesSampler(pack, "train", renderer)
    for family in ("wild", "room"):
        scene, rendered = sampler.draw(3, family)
        assert scene == drawn[family][3][0]
        assert (rendered.rgb == drawn[family][3][1].rgb).all()
    assert PlacesSampler(pack, "val", renderer).draw(3, "room")[0].objects != drawn["room"][3][0].objects


def test_scenes_survive_json(drawn):
    for scene, _ in (pair for pairs in drawn.values() for pair in pairs):
        assert PlacesScene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene
        assert scene.place in PLACES


def test_what_is_written_down_is_what_is_seen(drawn):
    for scene, rendered in (pair for pairs in drawn.values() for pair in pairs):
        seen = set(np.unique(rendered.ids).tolist()) - {0, NEVER_MARKED}
        assert seen == {thing.index for thing in scene.objects} == set(range(1, len(scene.objects) + 1))
        assert len(rendered.visible) == len(scene.objects)
        assert all(thing.on is None or thing.on in seen for thing in scene.objects)
        assert rendered.depth.min() > 0.1
        assert rendered.depth.max() <= SKY_DEPTH
        assert (rendered.ids == NEVER_MARKED).any() <= (scene.place in ("street", "garden"))


def test_nothing_stands_in_anything_else(drawn):
    for scene, _ in (pair for pairs in drawn.values() for pair in pairs):
        for a, b in combinations(scene.objects, 2):
            if "rug" in (a.noun, b.noun) or a.on == b.index or b.on == a.index:
                continue  # things stand on rugs, and on what carries them
            assert not overlap(solid(a), solid(b), gap=-0.01), (scene.family, a, b)


def test_small_things_stand_on_tops(drawn):
    carried = [
        (thing, {other.index: other for other in scene.objects}[thing.on])
        for scene, _ in (*drawn["room"], *drawn["closeup"])
        for thing in scene.objects
        if thing.on is not None
    ]
    assert carried
    for thing, carrier in carried:
        foot = thing.center[2] - thing.extent[2] / 2
        top = carrier.center[2] + carrier.extent[2] / 2
        assert top - 0.1 < foot < top + 0.02


def test_wild_things_float(drawn):
    heights = [
        thing.center[2] - thing.extent[2] / 2
        for scene, _ in drawn["wild"]
        for thing in scene.objects
        if thing.support == "air"
    ]
    assert len(heights) > 6
    assert min(heights) > 0


def test_splits_see_what_they_may(pack, renderer):
    held_models = {model.name for model in pack.models if model.held_out}
    held_nouns = {noun for noun, kind in pack.classes.items() if kind.held_out}
    assert held_models
    assert held_nouns

    def things(split: str) -> list[Thing]:
        sampler = PlacesSampler(pack, split, renderer)
        return [thing for seed in range(6) for thing in sampler.draw(seed, "wild")[0].objects]

    for split in ("train", "test"):
        assert not {thing.model for thing in things(split)} & held_models
        assert not {thing.noun for thing in things(split)} & held_nouns
    assert {thing.model for thing in things("test-instances")} & held_models
    sampler = PlacesSampler(pack, "test-classes", renderer)
    for seed in range(2):
        assert {thing.noun for thing in sampler.draw(seed, "wild")[0].objects} & held_nouns


def test_unknown_splits_are_refused(pack, renderer):
    with pytest.raises(ValueError, match="test-shift"):
        PlacesSampler(pack, "test-shift", renderer)

"""Scenes as plain values: repeatable, true to their split, within the limits that language and labels rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from perceptio.scenes.camera import Camera
from perceptio.scenes.tabletop.geometry import build_geometry
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import FAR, NEAR
from perceptio.scenes.tabletop.space import FRAME
from perceptio.scenes.tabletop.world import COLORS, HELD_OUT, MATERIALS, SCALES, SHAPES, SIZES, SPLITS, SUPPORTS, Scene

COUNT = 120


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Scene]]:
    return {split: [sample_scene(seed, split) for seed in range(COUNT)] for split in SPLITS}


def pairs(scene: Scene) -> set[tuple[str, str]]:
    return {(thing.color, thing.shape) for thing in scene.objects}


def test_same_seed_gives_the_same_scene(drawn):
    for split in SPLITS:
        for seed in (17, 3, 0):  # in another order than before
            assert sample_scene(seed, split) == drawn[split][seed]

    script = (
        "import json; from perceptio.scenes.tabletop.layout import sample_scene;"
        "from perceptio.scenes.tabletop.world import SPLITS;"
        "print(json.dumps([sample_scene(5, split).to_dict() for split in SPLITS]))"
    )
    # the order of a set of strings changes with the hash seed
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert [Scene.from_dict(data) for data in json.loads(run.stdout)] == [drawn[split][5] for split in SPLITS]


def test_seeds_and_splits_never_share_a_scene(drawn):
    cameras = {scene.camera for scenes in drawn.values() for scene in scenes}
    assert len(cameras) == COUNT * len(SPLITS)
    for split, scenes in drawn.items():
        assert [(scene.seed, scene.split) for scene in scenes] == [(seed, split) for seed in range(COUNT)]


def test_held_out_pairs_are_only_in_the_compositional_test(drawn):
    for split in ("train", "val", "test", "test-shift"):
        assert not any(pairs(scene) & HELD_OUT for scene in drawn[split]), split
    assert all(pairs(scene) & HELD_OUT for scene in drawn["test-compositional"])
    assert set().union(*map(pairs, drawn["test-compositional"])) >= HELD_OUT  # each of them is tested


def test_training_shows_every_other_pair_and_every_word(drawn):
    seen = set().union(*(pairs(sample_scene(seed, "train")) for seed in range(COUNT, 500)), *map(pairs, drawn["train"]))
    assert seen == {(color, shape) for color in COLORS for shape in SHAPES} - HELD_OUT
    things = [thing for scene in drawn["train"] for thing in scene.objects]
    assert {thing.material for thing in things} == set(MATERIALS)
    assert {thing.size for thing in things} == set(SIZES)
    assert {thing.support for thing in things} == set(SUPPORTS)


def test_scenes_hold_three_to_ten_objects_with_running_numbers(drawn):
    counts = set()
    for scenes in drawn.values():
        for scene in scenes:
            assert [thing.index for thing in scene.objects] == list(range(1, len(scene.objects) + 1))
            counts.add(len(scene.objects))
    assert min(counts) == 3
    assert max(counts) == 10


def test_sizes_never_overlap(drawn):
    scales = {size: [] for size in SIZES}
    for scenes in drawn.values():
        for scene in scenes:
            for thing in scene.objects:
                scales[thing.size].append(thing.scale)
    for size in SIZES:
        assert np.mean(scales[size]) == pytest.approx(SCALES[size], rel=0.02)
    for smaller, larger in pairwise(SIZES):
        assert max(scales[smaller]) < 0.8 * min(scales[larger])


def test_shifted_scenes_differ_in_lens_tilt_and_number(drawn):
    usual, shifted = drawn["train"], drawn["test-shift"]
    low, high = min(scene.camera.fov for scene in usual), max(scene.camera.fov for scene in usual)
    assert all(not low <= scene.camera.fov <= high for scene in shifted)
    assert max(abs(scene.camera.roll) for scene in usual) < min(abs(scene.camera.roll) for scene in shifted)
    assert np.mean([len(scene.objects) for scene in shifted]) > np.mean([len(scene.objects) for scene in usual]) + 1


def test_objects_are_in_the_room_and_their_centres_in_the_picture(drawn):
    for scenes in drawn.values():
        for scene in scenes[:40]:
            geometry = build_geometry(scene)
            corners = geometry.vertices[geometry.faces[: geometry.first_face[-1]], :3]
            half = np.array([scene.room.width / 2, scene.room.length / 2, scene.room.height])
            assert (corners.max((0, 1)) <= half + 1e-3).all()
            assert (corners.min((0, 1)) >= [-half[0] - 1e-3, -half[1] - 1e-3, -1e-3]).all()
            matrix = scene.camera.clip_matrix(NEAR, FAR)
            for thing in scene.objects:
                x, y, _, w = matrix @ (*thing.position, 1)
                assert w > 0.5
                assert max(abs(x), abs(y)) / w <= FRAME + 1e-6


def test_objects_on_the_floor_touch_it_and_those_on_pedestals_touch_those(drawn):
    tested = {"floor": 0, "pedestal": 0}
    for scene in drawn["train"]:
        geometry = build_geometry(scene)
        for thing, start, stop in zip(scene.objects, geometry.first_face, geometry.first_face[1:], strict=False):
            if thing.support not in tested:
                continue
            lowest = geometry.vertices[geometry.faces[start:stop], 2].min()
            ground = 0.0
            if thing.support == "pedestal":
                tops = [
                    piece.position[2] + piece.extent[2] / 2
                    for piece in scene.structures
                    if piece.kind == "pedestal" and np.allclose(piece.position[:2], thing.position[:2])
                ]
                ground = min(tops, key=lambda top: abs(top - lowest))
            assert lowest == pytest.approx(ground, abs=0.01 * thing.scale), thing
            tested[thing.support] += 1
    assert min(tested.values()) > 20


def test_json_round_trip_is_exact(drawn):
    for scenes in drawn.values():
        for scene in scenes[:10]:
            again = Scene.from_dict(json.loads(json.dumps(scene.to_dict())))
            assert again == scene
            assert hash(again) == hash(scene)  # tuples all the way down


def test_camera_axes_are_a_right_handed_frame_with_level_horizon():
    rng = np.random.default_rng(0)
    for _ in range(20):
        position, target = (tuple(map(float, rng.normal(size=3))) for _ in range(2))
        right, down, forward = np.array(Camera(position, target, 60.0, 0.0, "level").axes())
        np.testing.assert_allclose(np.cross(right, down), forward, atol=1e-12)
        assert right[2] == 0
        assert down[2] < 0
        np.testing.assert_allclose(
            forward, np.subtract(target, position) / np.linalg.norm(np.subtract(target, position))
        )
        rolled = np.array(Camera(position, target, 60.0, 0.3, "level").axes())
        np.testing.assert_allclose(rolled @ rolled.T, np.eye(3), atol=1e-12)
        assert rolled[0] @ right == pytest.approx(np.cos(0.3))
        assert rolled[0] @ down == pytest.approx(np.sin(0.3))


def test_focal_length_spans_the_field_of_view():
    camera = Camera((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), 90.0, 0.0, "level")
    assert camera.focal(224) == pytest.approx(112)  # half the picture at 45 degrees


def test_unknown_split_and_negative_seed_are_refused():
    with pytest.raises(ValueError, match="unknown split 'holdout': choose one of train, val"):
        sample_scene(0, "holdout")
    with pytest.raises(ValueError, match="seed must be 0 or more, not -1"):
        sample_scene(-1)

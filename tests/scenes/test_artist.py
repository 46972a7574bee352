"""Every world by one door."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from perceptio.scenes import render_job
from perceptio.scenes.artist import Artist, Subject
from perceptio.scenes.assets.pack import PackError
from perceptio.scenes.render_job import render_split, render_test_splits
from perceptio.scenes.storage import SceneStore, SceneStoreError
from perceptio.scenes.worlds import PHOTOGRAPHIC, PLACES, TABLETOP, WORLDS, world_named


def test_worlds_are_found_by_name_also_by_other_processes():
    for name, world in WORLDS.items():
        assert world_named(name) is world
        assert pickle.loads(pickle.dumps(world)) is world
    with pytest.raises(ValueError, match="moon"):
        world_named("moon")


@pytest.mark.parametrize(
    ("world", "split", "pack"),
    [
        ("tabletop", "test-classes", None),
        ("places", "test-shift", Path("pack")),
        ("places", "train", None),
        ("tabletop", "train", Path("pack")),
        ("moon", "train", None),
    ],
)
def test_subjects_that_cannot_be_are_refused(world, split, pack):
    with pytest.raises(ValueError, match=f"{world}|{split}"):
        Subject(world, split, pack)


def test_a_folder_that_is_no_pack_is_refused(tmp_path):
    with pytest.raises(PackError, match="pack"):
        Artist(Subject("places", "train", tmp_path), 32)


@pytest.mark.parametrize("world", [PHOTOGRAPHIC, PLACES])
def test_rendered_splits_hold_what_the_artist_draws(world, pack_folder, tmp_path):
    store = render_split(
        tmp_path / "val", "val", 3, world=world.name, pack=pack_folder, size=48, workers=1, progress=False
    )
    assert store.meta.world == world.name
    assert store.meta.pack
    assert store.world is world
    with Artist(Subject(world.name, "val", pack_folder), 48) as artist:
        for seed, stored in enumerate(store):
            scene, rendered = artist.draw(seed)
            assert stored.scene == scene
            assert (stored.rgb == rendered.rgb).all()
            assert len(stored.entities) == len(stored.views) == len(scene.objects)
    assert SceneStore(tmp_path / "val").actual_hash == store.meta.content_hash


def test_scenes_of_two_worlds_do_not_mix(pack_folder, tmp_path):
    render_split(tmp_path, "val", 1, size=32, workers=1, progress=False)
    with pytest.raises(SceneStoreError, match="world"):
        render_split(tmp_path, "val", 1, world="places", pack=pack_folder, size=32, workers=1, progress=False)


def test_one_call_renders_the_test_splits_of_all_worlds(pack_folder, tmp_path, monkeypatch):
    assert PLACES.tests == {"test": 400, "test-instances": 200, "test-classes": 100}
    for name, world in (("TABLETOP", TABLETOP), ("PHOTOGRAPHIC", PHOTOGRAPHIC), ("PLACES", PLACES)):
        monkeypatch.setattr(render_job, name, replace(world, tests={"test": 1}))
    stores = render_test_splits(tmp_path, pack=pack_folder, size=32, workers=1)
    assert {place: store.world.name for place, store in stores.items()} == {
        "test": "tabletop",
        "tabletop-photographic/test": "tabletop-photographic",
        "places/test": "places",
    }
    assert all((tmp_path / place / "split.json").is_file() for place in stores)

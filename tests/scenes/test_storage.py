"""Scenes on disk: what is written comes back, and damage is noticed."""

from __future__ import annotations

import io
import json
import pickle
import shutil

import numpy as np
import pytest

from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.shards import SceneStoreError, write_shard
from perceptio.scenes.storage import SceneStore
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.views import ObjectView, describe_view


@pytest.fixture
def copy(store, tmp_path):
    """A folder of scenes to damage."""
    return shutil.copytree(store.folder, tmp_path / "copy")


def test_stored_scenes_are_the_rendered_ones(store):
    with Renderer(store.meta.size) as renderer:
        for seed in (0, 5, 11):
            scene = sample_scene(seed, "val")
            rendered, stored = renderer.render(scene), store[seed]
            assert stored.scene == scene
            assert stored.views == describe_view(rendered, scene)
            for name in ("rgb", "depth", "ids"):
                np.testing.assert_array_equal(getattr(stored, name), getattr(rendered, name))
                assert getattr(stored, name).dtype == getattr(rendered, name).dtype


def test_store_is_a_sequence(store):
    assert len(store) == 12
    seeds = [stored.scene.seed for stored in store]
    assert seeds == list(range(12))
    assert store[-1].scene.seed == 11
    assert [stored.scene.seed for stored in store[2:9:3]] == [2, 5, 8]
    for index in (12, -13):
        with pytest.raises(IndexError, match=f"scene {index} of 12"):
            store[index]
    assert (store.meta.split, store.meta.count, store.meta.size) == ("val", 12, 224)


def test_the_first_scenes_are_a_store_of_their_own(store):
    part = store.first(5)
    assert [stored.scene.seed for stored in part] == [0, 1, 2, 3, 4]
    assert part[-1].scene.seed == 4
    with pytest.raises(IndexError, match="scene 5 of 5"):
        part[5]
    assert (len(store), len(store.first(99))) == (12, 12)


def test_pictures_are_those_of_the_scene_and_may_be_changed(store):
    rgb, depth, ids = store.pictures(7)
    np.testing.assert_array_equal(rgb, store[7].rgb)
    np.testing.assert_array_equal(depth, store[7].depth)
    np.testing.assert_array_equal(ids, store[7].ids)
    depth[:] = 0  # a copy: neither the file nor the next reader is touched
    assert store.pictures(7)[1].min() > 0
    assert SceneStore(store.folder)[7].depth.min() > 0


def test_store_goes_to_other_processes(store):
    store[0]  # opened
    again = pickle.loads(pickle.dumps(store))
    assert again[3].scene == store[3].scene
    np.testing.assert_array_equal(again[3].rgb, store[3].rgb)


def test_views_by_brute_force(store):
    for stored in store[:4]:
        for thing, view in zip(stored.scene.objects, stored.views, strict=True):
            xs, ys, zs = [], [], []
            for y, row in enumerate(stored.ids.tolist()):
                for x, value in enumerate(row):
                    if value == thing.index:
                        xs.append(x)
                        ys.append(y)
                        zs.append(float(stored.depth[y, x]))
            assert view.index == thing.index
            assert view.pixels == len(xs)
            if not xs:
                continue
            assert view.box == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
            assert view.center == pytest.approx((sum(xs) / len(xs), sum(ys) / len(ys)), abs=0.01)
            zs.sort()
            median = (zs[(len(zs) - 1) // 2] + zs[len(zs) // 2]) / 2
            assert view.depth == pytest.approx(median, abs=1e-3)
            assert view.nearest == pytest.approx(zs[0], abs=1e-3)


def test_hidden_object_has_an_empty_view():
    scene = sample_scene(0, "val")
    count = len(scene.objects)
    ids = np.zeros((16, 16), np.uint8)
    ids[2:4, 5:9] = 1  # the only one that shows
    rendered = RenderedScene(np.zeros((16, 16, 3), np.uint8), np.full((16, 16), 2.5, np.float32), ids, (0.5,) * count)
    first, *others = describe_view(rendered, scene)
    assert first == ObjectView(1, 8, 0.5, (5, 2, 9, 4), (6.5, 2.5), 2.5, 2.5)
    assert others == [ObjectView(k, 0, 0.0, (0, 0, 0, 0), (0.0, 0.0), 0.0, 0.0) for k in range(2, count + 1)]


def test_content_hash_is_that_of_the_files(store):
    assert store.actual_hash == store.meta.content_hash
    assert len(store.meta.content_hash) == 64


@pytest.mark.parametrize("name", ["rgb.npy", "depth.npy", "ids.npy", "scenes.jsonl"])
def test_one_changed_byte_changes_the_actual_hash(copy, name):
    path = copy / "shard-00000" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    damaged = SceneStore(copy)
    assert damaged.actual_hash != damaged.meta.content_hash


def test_folder_without_finished_scenes_is_refused(copy, tmp_path):
    (copy / "split.json").unlink()
    for folder in (copy, tmp_path / "nowhere"):
        with pytest.raises(SceneStoreError, match=r"holds no finished scenes \(split.json is missing\)"):
            SceneStore(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"split": "val"}', '{"unknown": 1}', "3"])
def test_damaged_meta_is_refused(copy, content):
    (copy / "split.json").write_text(content)
    with pytest.raises(SceneStoreError, match=r"split.json is damaged"):
        SceneStore(copy)


def test_other_generator_is_refused(copy):
    meta = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**meta, "generator_version": "0"}))
    with pytest.raises(SceneStoreError, match="made by scene generator 0, this is 1"):
        SceneStore(copy)


def test_missing_shards_are_named(copy):
    shutil.rmtree(copy / "shard-00000")
    with pytest.raises(SceneStoreError, match=r"lacks 1 shards \(first: 0\)"):
        SceneStore(copy)


def test_failed_write_leaves_nothing_behind(tmp_path):
    def scenes():
        scene = sample_scene(0, "val")
        ids, depth = np.zeros((16, 16), np.uint8), np.ones((16, 16), np.float32)
        yield scene, RenderedScene(np.zeros((16, 16, 3), np.uint8), depth, ids, (0.0,) * len(scene.objects))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path, 0, 2, 16, scenes())
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_written_as_numpy_writes_them(store):
    for name in ("rgb", "depth", "ids"):
        path = store.folder / "shard-00000" / f"{name}.npy"
        saved = io.BytesIO()
        np.save(saved, np.load(path))
        assert path.read_bytes() == saved.getvalue()


@pytest.mark.parametrize("name", ["rgb.npy", "depth.npy", "ids.npy", "scenes.jsonl"])
@pytest.mark.parametrize("lost", [1, 100, 10_000])
def test_truncated_file_is_named(copy, name, lost):
    path = copy / "shard-00000" / name
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(SceneStoreError, match=rf"shard-00000.{name}.* is damaged"):
        SceneStore(copy)


@pytest.mark.parametrize("name", ["rgb.npy", "scenes.jsonl"])
def test_missing_file_is_named(copy, name):
    (copy / "shard-00000" / name).unlink()
    with pytest.raises(SceneStoreError, match=rf"shard-00000.{name}"):
        SceneStore(copy)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"scene": {}, "views": []}', b"\xff", b'"a\xe2\x80\xa8b"'])
def test_damaged_description_is_named_with_its_line(copy, content):
    path = copy / "shard-00000" / "scenes.jsonl"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], content, *lines[4:]]))
    with pytest.raises(SceneStoreError, match=r"scenes\.jsonl:4 "):
        SceneStore(copy)[3]


def test_array_of_another_type_is_named(copy):
    path = copy / "shard-00000" / "ids.npy"
    path.write_bytes(path.read_bytes().replace(b"'|u1'", b"'|i1'"))
    with pytest.raises(SceneStoreError, match=r"ids\.npy is damaged: it is int8"):
        SceneStore(copy)[0]
    path.write_bytes(path.read_bytes().replace(b"NUMPY", b"KUMPY"))
    with pytest.raises(SceneStoreError, match=r"ids\.npy is damaged"):
        SceneStore(copy).pictures(0)


@pytest.mark.parametrize(
    "change", [{"count": 10**12}, {"count": "12"}, {"count": -1}, {"size": None}, {"size": 8}, {"split": "none"}]
)
def test_impossible_meta_is_refused(copy, change):
    meta = json.loads((copy / "split.json").read_text())
    (copy / "split.json").write_text(json.dumps({**meta, **change}))
    with pytest.raises(SceneStoreError, match=r"split.json is damaged"):
        SceneStore(copy)

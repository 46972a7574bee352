"""Rendering a split: unbroken, resumed, mended, refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from perceptio.files import FolderInUseError, OutputError, locked, refuse_foreign
from perceptio.scenes import render_job
from perceptio.scenes.render_job import STORES, render_split, render_test_splits
from perceptio.scenes.rendering.context import RendererError
from perceptio.scenes.shards import SHARD_SIZE, SceneStoreError
from perceptio.scenes.storage import SceneStore
from perceptio.scenes.worlds import TABLETOP

COUNT = SHARD_SIZE + 2  # a full shard and a short one


def job(folder: Path, count: int = COUNT, *, split: str = "train", size: int = 16, workers: int = 1) -> SceneStore:
    return render_split(folder, split, count, size=size, workers=workers, progress=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> SceneStore:
    """What an unbroken run with one worker gives."""
    return job(tmp_path_factory.mktemp("whole") / "made" / "on the way")


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    return shutil.copytree(whole.folder, tmp_path / "copy")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_unbroken_run_holds_every_scene(whole):
    assert [stored.scene.seed for stored in whole] == list(range(COUNT))
    assert whole.meta.content_hash == whole.actual_hash
    assert whole.meta.driver
    assert sorted(path.name for path in whole.folder.iterdir()) == [
        "plan.json",
        "shard-00000",
        "shard-00001",
        "split.json",
    ]


def test_several_workers_give_the_same_content(whole, tmp_path):
    assert job(tmp_path / "two", workers=2).meta.content_hash == whole.meta.content_hash


@pytest.mark.parametrize("lost", [0, 1])
def test_lost_shard_alone_is_rendered_again(whole, copy, lost):
    kept = copy / f"shard-{1 - lost:05d}"
    before = times(kept)
    shutil.rmtree(copy / f"shard-{lost:05d}")
    again = job(copy)
    assert times(kept) == before
    assert again.meta == whole.meta
    assert again.actual_hash == whole.meta.content_hash


def test_interrupted_job_resumes(whole, copy):
    (copy / "split.json").unlink()
    shard = copy / "shard-00001"
    left = copy / ".shard-00001.00c0de-4194999-0123abcd.part"  # of another machine
    shard.rename(left)  # killed between the arrays and the scenes
    (left / "scenes.jsonl").unlink()
    (left / "rubbish").write_text("left over")
    before = times(copy / "shard-00000")
    with pytest.raises(SceneStoreError, match="no finished scenes"):
        SceneStore(copy)
    again = job(copy)
    assert times(copy / "shard-00000") == before
    assert again.meta == whole.meta
    assert again.actual_hash == whole.meta.content_hash
    assert not list(copy.glob(".*"))
    assert not (shard / "rubbish").exists()


def test_finished_split_is_left_alone(whole, copy):
    before = times(copy)
    assert job(copy).meta == whole.meta
    assert times(copy) == before


@pytest.mark.parametrize("content", ["", '{"split": "train"}'])
def test_damaged_meta_is_mended_without_rendering(whole, copy, content):
    (copy / "split.json").write_text(content)
    before = times(copy / "shard-00000")
    assert job(copy).meta == whole.meta
    assert times(copy / "shard-00000") == before


@pytest.mark.parametrize("count", [1, SHARD_SIZE - 1, SHARD_SIZE])
def test_fewer_scenes_than_there_are_throw_nothing_away(whole, copy, count):
    before = times(copy)
    with pytest.raises(SceneStoreError, match=f"up to number {len(whole) - 1}, more than the {count} asked for"):
        job(copy, count)
    assert times(copy) == before


def test_short_last_shard_of_a_smaller_job_is_drawn_in_full(whole, tmp_path):
    short = job(tmp_path / "split", SHARD_SIZE - 1)
    assert len(short) == SHARD_SIZE - 1
    grown = job(tmp_path / "split")
    assert grown.meta == whole.meta
    assert grown.actual_hash == whole.meta.content_hash


@pytest.mark.parametrize(
    ("shard", "name", "certified"), [(1, "rgb.npy", True), (1, "ids.npy", False), (0, "scenes.jsonl", False)]
)
def test_truncated_file_is_never_certified(whole, copy, caplog, shard, name, certified):
    path = copy / f"shard-{shard:05d}" / name
    path.write_bytes(path.read_bytes()[:-50])
    if not certified:
        (copy / "split.json").unlink()
    sound = copy / f"shard-{1 - shard:05d}"
    before = times(sound)
    again = job(copy)
    assert str(path) in caplog.text
    assert times(sound) == before
    assert again.meta == whole.meta
    assert again.actual_hash == whole.meta.content_hash


def test_changed_byte_is_never_certified(whole, copy, caplog):
    path = copy / "shard-00001" / "rgb.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (copy / "split.json").unlink()
    assert job(copy).actual_hash == whole.meta.content_hash
    assert "shard-00001 is damaged" in caplog.text


def test_second_job_in_one_folder_is_refused_with_the_first_one_s_process(whole, copy):
    (copy / "split.json").unlink()
    with locked(copy), pytest.raises(FolderInUseError, match=f"copy is in use by process {os.getpid()}"):
        job(copy)


def test_finished_split_needs_no_lock(whole, copy):
    with locked(copy):
        assert job(copy).meta == whole.meta


@pytest.mark.parametrize("content", ["", "[]", '{"split": "train"}', "[" * 5000])
def test_damaged_plan_is_refused(copy, content):
    (copy / "plan.json").write_text(content)
    with pytest.raises(SceneStoreError, match=r"copy.* choose another folder"):
        job(copy)


def test_scenes_of_unknown_settings_are_refused(copy):
    (copy / "plan.json").unlink()
    assert len(job(copy)) == COUNT  # split.json says the same
    (copy / "split.json").unlink()
    with pytest.raises(SceneStoreError, match=r"no plan\.json"):
        job(copy)


def test_numbers_of_other_types_are_refused(tmp_path):
    for wrong in ("3", 3.0, True):
        with pytest.raises(TypeError, match="count must be a whole number"):
            job(tmp_path / "none", wrong)


def test_more_scenes_than_the_disk_holds_are_refused_first(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, free=10**6))
    with pytest.raises(OutputError, match=r"need 33\.6 GB, but .* has room for 0\.0"):
        job(tmp_path / "scenes", 1000, size=2048)
    assert not (tmp_path / "scenes").exists()


def test_other_settings_never_mix(copy):
    before = times(copy)
    for other in ({"split": "val"}, {"size": 24}):
        with pytest.raises(SceneStoreError, match="choose another folder"):
            job(copy, **other)
    plan = json.loads((copy / "plan.json").read_text())
    (copy / "plan.json").write_text(json.dumps({**plan, "generator_version": "0"}))
    with pytest.raises(SceneStoreError, match="choose another folder"):
        job(copy)
    assert times(copy).keys() == before.keys()
    assert times(copy)["split.json"] == before["split.json"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"split": "holdout"}, "unknown split 'holdout'"),
        ({"count": 0}, "count must be between 1 and 6,400,000, not 0"),
        ({"workers": 0}, "workers must be between 1 and 1,024, not 0"),
        ({"size": 8}, "size must be between 16 and 2,048, not 8"),
        ({"size": 5000}, "size must be between 16 and 2,048, not 5,000"),
        ({"count": 10**12}, "count must be between 1 and 6,400,000, not 1,000,000,000,000"),
        ({"count": -5}, "count .*, not -5"),
        ({"workers": 10**6}, "workers .*, not 1,000,000"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(tmp_path, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        job(tmp_path / "none", **change)
    assert not (tmp_path / "none").exists()


def test_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        job(tmp_path / "file", 1)


def test_shard_that_cannot_be_written_is_an_output_error_and_leaves_nothing_half_done(tmp_path):
    (tmp_path / "shard-00000").write_text("in the way")
    with pytest.raises(OutputError, match="shard-00000 is a file, not a folder"):
        job(tmp_path, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json", "shard-00000"]


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ("def create_context(**_): raise Exception('no display')", RendererError, r"apt-get install .*\(no display\)"),
        ("raise ModuleNotFoundError('No module', name='moderngl')", ModuleNotFoundError, "No module"),
    ],
)
def test_what_a_worker_lacks_reaches_the_caller(tmp_path, monkeypatch, module, error, message):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "moderngl.py").write_text(module + "\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")  # spawned processes inherit it
    with pytest.raises(error, match=message) as caught:
        job(tmp_path / "scenes", 1)
    assert getattr(caught.value, "name", "moderngl") == "moderngl"  # what the command line looks at


def test_test_splits_each_get_a_folder(tmp_path, monkeypatch):
    assert TABLETOP.tests == {"test": 500, "test-compositional": 300, "test-shift": 300}
    monkeypatch.setattr(render_job, "TABLETOP", replace(TABLETOP, tests={"test": 1, "test-shift": 2}))
    stores = render_test_splits(tmp_path, size=16, workers=1)
    assert {split: (store.meta.split, len(store)) for split, store in stores.items()} == {
        "test": ("test", 1),
        "test-shift": ("test-shift", 2),
    }
    again = SceneStore(tmp_path / "test-shift")
    np.testing.assert_array_equal(again[1].rgb, stores["test-shift"][1].rgb)


def test_folder_of_somebody_else_is_never_written_to(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "0001.jpg").write_bytes(b"a picture")
    for render in (lambda: job(photos), lambda: render_test_splits(photos, size=16)):
        with pytest.raises(OutputError, match=r"photos holds files that Perceptio did not make, such as 0001\.jpg"):
            render()
    assert [path.name for path in photos.rglob("*")] == ["0001.jpg"]


def test_folder_that_a_killed_job_left_empty_is_ours(tmp_path: Path) -> None:
    (tmp_path / "scenes" / "train").mkdir(parents=True)
    (tmp_path / "scenes" / "train" / ".lock").touch()
    refuse_foreign(tmp_path / "scenes", *STORES)
    assert len(job(tmp_path / "scenes" / "train", 1)) == 1
    refuse_foreign(tmp_path / "scenes", *STORES)

"""Rendering a split: unbroken, resumed, mended, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from perceptio.files import OutputError
from perceptio.scenes import render_job
from perceptio.scenes.render_job import render_split, render_test_splits
from perceptio.scenes.renderer import RendererError
from perceptio.scenes.storage import SHARD_SIZE, SceneStore, SceneStoreError

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
    shard.rename(copy / ".shard-00001.part")  # killed between the arrays and the scenes
    (copy / ".shard-00001.part" / "scenes.jsonl").unlink()
    (copy / ".shard-00001.part" / "rubbish").write_text("left over")
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
        ({"count": 0}, "number of scenes must be at least 1, not 0"),
        ({"workers": 0}, "number of workers must be at least 1, not 0"),
        ({"size": 8}, "size must be between 16 and 4096 pixels, not 8"),
        ({"size": 5000}, "size must be between 16 and 4096 pixels, not 5000"),
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
    with pytest.raises(OutputError, match="cannot write scenes to"):
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
    assert render_job.TEST_SPLITS == {"test": 500, "test-compositional": 300, "test-shift": 300}
    monkeypatch.setattr(render_job, "TEST_SPLITS", {"test": 1, "test-shift": 2})
    stores = render_test_splits(tmp_path, size=16, workers=1)
    assert {split: (store.meta.split, len(store)) for split, store in stores.items()} == {
        "test": ("test", 1),
        "test-shift": ("test-shift", 2),
    }
    again = SceneStore(tmp_path / "test-shift")
    np.testing.assert_array_equal(again[1].rgb, stores["test-shift"][1].rgb)

"""Every kind of source as maps of one scale, computed once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.errors import DataError
from perceptio.data.sample_files import write_samples
from perceptio.data.schema import Sample, Turn
from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth, resize_nearest
from perceptio.depth.teachers.loading import load_teacher
from perceptio.labeling.map_shards import MapStore
from perceptio.scenes.render_job import render_split
from perceptio.training.codebook.settings import MapSource
from perceptio.training.codebook.sources import MapMaker, MapSet

from .conftest import SIDE

TURNS = (Turn("Show the depth map.", "Here it is.", "depth", depth=True),)


def one(maker: MapMaker, path: Path, source: MapSource) -> MapSet:
    (found,) = maker.sets({str(path): source})
    return found


def test_pictures_are_what_the_teacher_says(maker: MapMaker, pictures: Path, depth_anything: Path) -> None:
    found = one(maker, pictures, MapSource("images", repeat=3))
    assert (len(found.maps), found.repeat) == (4, 3)
    teacher = load_teacher(depth_anything)
    for number, values in enumerate(found.maps):
        nearness = teacher.inverse_depth(Image.open(pictures / f"{number:02d}.png"))
        np.testing.assert_allclose(values, resize_nearest(nearness, SIDE), atol=1e-3)


def test_files_of_depth_are_read_as_what_they_are(maker: MapMaker, depth_folder: Path) -> None:
    metric = one(maker, depth_folder, MapSource("metric"))
    inverse = one(replace(maker, folder=maker.folder / "inverse"), depth_folder, MapSource("inverse"))
    depth = np.load(depth_folder / "03.npy")
    np.testing.assert_allclose(metric.maps[3], resize_nearest(inverse_depth_from_metric(depth), SIDE), atol=1e-3)
    np.testing.assert_allclose(inverse.maps[3], resize_nearest(normalize_inverse_depth(depth), SIDE), atol=1e-3)
    assert metric.identity != inverse.identity


def test_other_kind_of_the_same_files_is_refused(maker: MapMaker, depth_folder: Path) -> None:
    one(maker, depth_folder, MapSource("metric"))
    with pytest.raises(DataError, match="holds depth maps made with teacher 'files of metric depth"):
        one(maker, depth_folder, MapSource("inverse"))


def test_samples_give_their_depth_maps_and_the_teacher_the_rest(
    maker: MapMaker, pictures: Path, depth_folder: Path, tmp_path: Path
) -> None:
    samples = [
        Sample("pictures/00.png", TURNS, depth="depth/00.npy"),
        Sample("pictures/00.png", TURNS),
        Sample("pictures/01.png", TURNS),
        Sample("pictures/01.png", TURNS),  # a picture with several samples counts once
        Sample("pictures/02.png", TURNS, depth="depth/02.npy", depth_kind="inverse"),
    ]
    write_samples(tmp_path / "train.jsonl", samples)
    read, taught = maker.sets({str(tmp_path / "train.jsonl"): MapSource("samples")})
    assert isinstance(read.maps, MapStore)
    assert isinstance(taught.maps, MapStore)
    assert read.maps.keys == ["depth/00.npy", "depth/02.npy"]
    assert taught.maps.keys == ["pictures/01.png"]
    depth = np.load(depth_folder / "02.npy")
    np.testing.assert_allclose(read.maps[1], resize_nearest(normalize_inverse_depth(depth), SIDE), atol=1e-3)
    with pytest.raises(DataError, match=r"1 pictures of .*train\.jsonl have no depth map: name a depth network"):
        replace(maker, teacher=None).sets({str(tmp_path / "train.jsonl"): MapSource("samples")})


def test_scenes_are_exact_and_folders_of_maps_are_read_where_they_are(
    maker: MapMaker, depth_folder: Path, tmp_path: Path
) -> None:
    store = render_split(tmp_path / "scenes" / "train", "train", 2, size=48, workers=1, progress=False)
    for path in (tmp_path / "scenes", store.folder):
        scenes = one(maker, path, MapSource("scenes"))
        assert len(scenes.maps) == 2
        np.testing.assert_array_equal(scenes.maps[1], inverse_depth_from_metric(store.pictures(1)[1]))
    made = one(maker, depth_folder, MapSource("metric"))
    assert isinstance(made.maps, MapStore)
    again = one(maker, made.maps.folder, MapSource("maps"))
    np.testing.assert_array_equal(again.maps[5], made.maps[5])


def test_bad_maps_are_named_and_left_out_only_where_that_is_allowed(maker: MapMaker, depth_folder: Path) -> None:
    np.save(depth_folder / "99.npy", np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"1 pictures of .*depth give no depth map: mend them"):
        one(maker, depth_folder, MapSource("metric"))
    assert len(one(replace(maker, allow_bad=True), depth_folder, MapSource("metric")).maps) == 6
    (report,) = [json.loads(path.read_text()) for path in maker.folder.glob("*/maps-000001.json")]
    assert [bad["key"] for bad in report["bad"]] == ["depth/99.npy"]


@pytest.mark.parametrize("kind", ["images", "metric", "maps", "scenes", "samples"])
def test_source_that_is_none_is_one_sentence(kind: str, maker: MapMaker, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("hello")
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(ValueError, match=str(path)) as error:
            one(maker, path, MapSource(kind))  # type: ignore[arg-type]  # one of the kinds
        assert "\n" not in str(error.value)

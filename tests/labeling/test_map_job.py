"""Maps of depth, computed once: against the teacher called by hand, resumed, mended, refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.errors import DataError
from perceptio.depth.normalization import inverse_depth_from_metric, resize_nearest
from perceptio.depth.teachers.depth_anything import DepthAnything
from perceptio.files import OutputError
from perceptio.labeling.map_job import DEPTH_SUFFIXES, MapPlan, make_maps
from perceptio.labeling.map_shards import MapStore
from perceptio.labeling.map_work import DepthFileKind
from perceptio.labeling.networks import OWN_TERMS, Network
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.running import LabelReport, LabelWorkers

from .conftest import contents

SIDE = 24
PLAN = MapPlan(SIDE, shard_size=3, batch_size=2)


@pytest.fixture
def teacher(depth_anything: Path) -> Network:
    return Network(str(depth_anything), depth_anything)


def teach(pictures: Path, out: Path, teacher: Network, plan: MapPlan = PLAN, count: int = 1) -> LabelReport:
    return make_maps(find_pictures([pictures]), out, teacher, plan, LabelWorkers(count), progress=False)


def test_maps_are_the_teacher_s_of_one_size(pictures: Path, tmp_path: Path, teacher: Network) -> None:
    report = teach(pictures, tmp_path / "maps", teacher)
    assert (report.shards, report.finished, report.labelled, report.bad) == (3, 3, 7, ())
    assert report.licence == f"depth maps: {OWN_TERMS}"
    store = MapStore(tmp_path / "maps")
    assert store.keys == [f"pictures/{name}.png" for name in ("0", "1", "2", "3", "4", "more/5", "more/6")]
    network = DepthAnything(teacher.folder)
    for key, values in zip(store.keys, store, strict=True):
        assert (values.shape, values.dtype) == ((SIDE, SIDE), np.float32)
        nearness = network.inverse_depth(Image.open(pictures.parent / key))
        np.testing.assert_allclose(values, resize_nearest(nearness, SIDE), atol=1e-3)


def test_second_run_changes_nothing_and_a_lost_or_damaged_file_is_made_again(
    pictures: Path, tmp_path: Path, teacher: Network
) -> None:
    out = tmp_path / "maps"
    teach(pictures, out, teacher)
    before = contents(out)
    kept = (out / "maps-000000.safetensors").stat().st_mtime_ns
    (out / "maps-000001.safetensors").write_bytes(before["maps-000001.safetensors"][:-9])
    (out / "maps-000002.safetensors").unlink()
    with pytest.raises(DataError, match="lacks 1 of 3 files of maps"):
        MapStore(out)
    assert teach(pictures, out, teacher).finished == 3
    assert contents(out) == before
    assert (out / "maps-000000.safetensors").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_two_processes_write_what_one_writes(pictures: Path, tmp_path: Path, teacher: Network) -> None:
    teach(pictures, tmp_path / "one", teacher)
    teach(pictures, tmp_path / "two", teacher, count=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_other_settings_in_one_folder_are_refused(pictures: Path, tmp_path: Path, teacher: Network) -> None:
    teach(pictures, tmp_path / "maps", teacher)
    with pytest.raises(DataError, match=r"holds depth maps made with size 24, not 32"):
        teach(pictures, tmp_path / "maps", teacher, MapPlan(32, shard_size=3))


def test_folder_of_pictures_is_never_written_to(pictures: Path, teacher: Network) -> None:
    before = contents(pictures)
    with pytest.raises(OutputError, match=r"holds files that Perceptio did not make, such as 0\.png"):
        teach(pictures, pictures, teacher)
    assert contents(pictures) == before


def test_picture_without_depth_is_reported(
    pictures: Path, tmp_path: Path, teacher: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pictures / "2.png").write_bytes(b"no picture")
    usual = DepthAnything.inverse_depths

    def flat(self: DepthAnything, given: list[Image.Image]) -> list[np.ndarray]:
        return [each * (each.shape != (48, 64)) for each in usual(self, given)]  # of 4.png

    monkeypatch.setattr(DepthAnything, "inverse_depths", flat)
    report = teach(pictures, tmp_path / "maps", teacher)
    assert [bad.key for bad in report.bad] == ["pictures/2.png", "pictures/4.png"]
    assert "the same everywhere" in report.bad[1].error
    assert len(MapStore(tmp_path / "maps")) == 5
    monkeypatch.undo()
    assert [bad.key for bad in teach(pictures, tmp_path / "maps", teacher).bad] == ["pictures/2.png", "pictures/4.png"]


def test_store_goes_to_other_processes(pictures: Path, tmp_path: Path, teacher: Network) -> None:
    teach(pictures, tmp_path / "maps", teacher)
    store = MapStore(tmp_path / "maps")
    first = store[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[0], first)
    np.testing.assert_array_equal(store[0:2][0], first)


def test_folder_of_other_files_is_no_store(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "settings.json").write_text('{"pictures": "7 named x", "teacher": "y"}')
    for folder in (pictures, tmp_path / "labels", tmp_path / "nowhere"):
        with pytest.raises(DataError, match=f"{folder} holds no depth maps"):
            MapStore(folder)


def test_files_of_depth_become_maps_without_a_teacher(tmp_path: Path) -> None:
    folder = tmp_path / "depth"
    folder.mkdir()
    metres = [np.random.default_rng(number).uniform(1, 9, (30, 40)) for number in range(2)]
    np.save(folder / "a.npy", metres[0])
    Image.fromarray((metres[1] * 256).astype(np.uint16)).save(folder / "b.png")
    np.save(folder / "flat.npy", np.ones((4, 4)))
    found = find_pictures([folder], DEPTH_SUFFIXES)
    kinds = {each.key: DepthFileKind("metric", 256) for each in found.pictures}
    report = make_maps(found, tmp_path / "maps", kinds, PLAN, progress=False)
    assert [bad.key for bad in report.bad] == ["depth/flat.npy"]
    for values, depth in zip(MapStore(tmp_path / "maps"), metres, strict=True):
        np.testing.assert_allclose(values, resize_nearest(inverse_depth_from_metric(depth), SIDE), atol=0.02)

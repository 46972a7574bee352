"""The conversion as a whole: names, splits, and that nothing half-written is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.data.adapters.registry import ADAPTERS, convert
from perceptio.data.errors import DataError
from perceptio.data.sample_files import SampleFile


@pytest.fixture
def data(tmp_path: Path, picture) -> Path:
    folder = tmp_path / "data"
    picture(folder / "images" / "a.jpg", 20, 30)
    (folder / "depth").mkdir()
    np.save(folder / "depth" / "a.npy", np.linspace(1, 2, 600).reshape(20, 30))
    return folder


def test_every_data_set_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "datasets.md").read_text()
    assert [name for name in ADAPTERS if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("coco", "data"), r"there is no data set 'coco': give one of refcoco, refcoco\+, refcocog"),
        (("refcoco", "data", "test"), "refcoco has no split 'test': give one of train, val, testA, testB"),
        (("depth", "nowhere"), "there is no folder .*nowhere: give the folder of depth"),
    ],
)
def test_wrong_names_list_the_right_ones(tmp_path, data, arguments, message) -> None:
    name, folder, *split = arguments
    with pytest.raises(DataError, match=message):
        convert(name, tmp_path / folder, tmp_path / "out.jsonl", *split)


def test_parquet_is_written_by_its_suffix(tmp_path, data) -> None:
    pytest.importorskip("pyarrow")
    convert("depth", data, tmp_path / "out.parquet")
    assert SampleFile(tmp_path / "out.parquet")[0].image == "data/images/a.jpg"
    with pytest.raises(DataError, match=r"neither \.jsonl nor \.parquet"):
        convert("depth", data, tmp_path / "out.txt")


def test_a_failed_conversion_leaves_the_old_samples(tmp_path, data) -> None:
    out = tmp_path / "out.jsonl"
    convert("depth", data, out)
    before = out.read_text()
    np.save(data / "depth" / "a.npy", np.zeros((20, 30)))
    with pytest.raises(DataError):
        convert("depth", data, out)
    with pytest.raises(DataError, match="no sample of depth is left: 1 depth maps that cannot be used"):
        convert("depth", data, out, allow_missing=True)
    assert out.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out.jsonl"]


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-300, float("inf"), float("nan")])
def test_a_scale_that_is_no_scale_is_refused(tmp_path, data, scale) -> None:
    with pytest.raises(DataError, match=f"the scale of depth .* not at {scale:g}"):
        convert("depth", data, tmp_path / "out.jsonl", scale=scale)


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path, data) -> None:
    theirs = tmp_path / "out-files" / "precious.txt"
    theirs.parent.mkdir()
    theirs.touch()
    with pytest.raises(DataError, match="no earlier conversion made it: give another name for the samples"):
        convert("depth", data, tmp_path / "out.jsonl")
    assert theirs.is_file()


def test_made_files_of_another_name_are_not_replaced(tmp_path, data) -> None:
    """out.jsonl and out.parquet would share a folder, and one of them would name files that are gone."""
    pytest.importorskip("pyarrow")
    (data / "depth" / "a.npy").unlink()
    (data / "depth").rename(data / "inverse")
    grey = np.linspace(1, 255, 600).reshape(20, 30).astype(np.uint8)
    Image.fromarray(np.repeat(grey[..., None], 3, -1)).save(data / "inverse" / "a.png")
    convert("depth", data, tmp_path / "out.jsonl")
    made = sorted((tmp_path / "out-files").rglob("*"))
    assert len(made) > 1
    with pytest.raises(DataError, match=r"out-files holds what out\.jsonl names: give another name for the samples"):
        convert("depth", data, tmp_path / "out.parquet")
    assert sorted((tmp_path / "out-files").rglob("*")) == made
    assert not (tmp_path / "out.parquet").exists()
    convert("depth", data, tmp_path / "out.jsonl")  # its own it may replace

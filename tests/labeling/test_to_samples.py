"""Labels as samples of the one schema."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.errors import DataError
from perceptio.data.reading import read_sample
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample
from perceptio.files import OutputError
from perceptio.labeling.job import label
from perceptio.labeling.labeler import Labels
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.labeling.to_samples import check_samples, label_rows, label_samples, write_samples

from .conftest import MakePlan


def test_samples_carry_the_labels(pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    out, path = tmp_path / "out", tmp_path / "data" / "samples.jsonl"
    label([pictures], out, make_plan(prompts))
    assert write_samples(out, path) == 7
    samples = [Sample.from_dict(json.loads(line), str(path)) for line in path.read_text().splitlines()]
    for sample, row in zip(samples, label_rows(out), strict=True):
        assert sample.key == row.key
        assert (path.parent / sample.image).resolve() == (out / row.image).resolve()
        assert (path.parent / sample.image).is_file()
        assert sample.codes == row.labels.codes
        assert sample.masks == row.labels.masks
        read = read_sample(sample, path.parent, str(path))
        assert read.codes == row.labels.codes
        assert np.shape(read.image) == (row.labels.height, row.labels.width, 3)
        (turn,) = sample.turns
        assert (turn.question, turn.answer, turn.task) == ("Show the depth map.", "Here is the depth map.", "depth")
        assert (turn.depth, turn.masks) == (True, ())
        assert row.teacher in sample.source
        assert row.licence in sample.licence


def test_masks_that_cover_nothing_stay_behind(pictures: Path, tmp_path: Path) -> None:
    here = np.zeros((60, 90), bool)
    here[10:20, 30:40] = True
    masks = tuple(json_rle(mask_rle(mask)) for mask in (np.zeros_like(here), here))
    labels = Labels(90, 60, (1, 2), masks, (0.1, 0.9))
    write_shard(tmp_path, 0, [LabelRow("a", "pictures/0.png", labels, "t", "s", "h", "l")], [], "p")
    (sample,) = label_samples(tmp_path, tmp_path)
    assert sample.masks == masks[1:]
    assert read_sample(sample, tmp_path, "here").mask(0, 60).any()


def test_the_suffix_decides_the_form(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    out = tmp_path / "out"
    label([pictures], out, make_plan())
    for suffix in ("jsonl", "parquet"):
        assert write_samples(out, tmp_path / f"samples.{suffix}") == len(SampleFile(tmp_path / f"samples.{suffix}"))
    with pytest.raises(DataError, match=r"neither \.jsonl nor \.parquet"):
        write_samples(out, tmp_path / "samples.txt")


def test_pictures_in_tar_files_make_no_samples(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        archive.add(pictures / "0.png", arcname="0.png")
    label([shard], tmp_path / "out", make_plan())
    (row,) = label_rows(tmp_path / "out")
    assert (row.key, row.image) == ("shard.tar/0.png", "../shard.tar/0.png")
    with pytest.raises(DataError, match=r"shard.tar/0.png lies in .*shard.tar: unpack it"):
        write_samples(tmp_path / "out", tmp_path / "samples.jsonl")
    assert not (tmp_path / "samples.jsonl").exists()


def test_samples_that_could_not_be_written_are_refused_before_the_labels(pictures: Path, tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    shard.touch()
    with pytest.raises(DataError, match=r"samples\.txt is neither"):
        check_samples(tmp_path / "samples.txt", [pictures])
    with pytest.raises(DataError, match=r"shard\.tar is a tar file"):
        check_samples(tmp_path / "samples.jsonl", [pictures, shard])
    with pytest.raises(OutputError, match=r"shard\.tar"):
        check_samples(shard / "samples.jsonl", [pictures])
    check_samples(tmp_path / "new" / "samples.jsonl", [pictures])
    assert not (tmp_path / "new").exists()


def test_names_of_all_kinds_make_samples(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    names = ["a\u2028b.png", 'quote"d.png', "it's.png", "new\nline.png", "caf\u00e9.png"]
    for number, name in enumerate(names):
        (pictures / f"{number}.png").rename(pictures / name)
    label([pictures], tmp_path / "out", make_plan())
    write_samples(tmp_path / "out", tmp_path / "samples.jsonl")
    samples = SampleFile(tmp_path / "samples.jsonl")
    assert {samples[number].image for number in range(len(samples))} >= {f"pictures/{name}" for name in names}
    assert all(read_sample(samples[number], tmp_path, "here") for number in range(len(samples)))


def test_folder_without_labels_or_with_damaged_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no labels"):
        write_samples(tmp_path, tmp_path / "samples.jsonl")
    (tmp_path / "labels-000000.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="is no file of labels"):
        write_samples(tmp_path, tmp_path / "samples.jsonl")

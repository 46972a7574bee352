"""Labels' masks as COCO's JSON and as tasks for Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from perceptio.data.errors import DataError
from perceptio.data.rle import json_rle, mask_rle
from perceptio.files import OutputError
from perceptio.labeling.job import label
from perceptio.labeling.labeler import Labels
from perceptio.labeling.shards import LabelRow, write_shard
from perceptio.labeling.to_annotations import check_annotations, label_masks
from perceptio.labeling.to_samples import label_rows
from perceptio.results.annotations import write_annotations

from .conftest import MakePlan

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools


def test_pycocotools_reads_the_masks_of_labels(
    pictures: Path, prompts: Path, tmp_path: Path, make_plan: MakePlan
) -> None:
    out, path = tmp_path / "out", tmp_path / "coco" / "coco.json"
    label([pictures], out, make_plan(prompts))
    assert write_annotations(path, label_masks(out), "coco") == 7
    read = COCO(str(path))
    rows = list(label_rows(out))
    for image, row in zip(read.dataset["images"], rows, strict=True):
        assert (path.parent / image["file_name"]).resolve() == (out / row.image).resolve()
        assert (path.parent / image["file_name"]).is_file()
        annotations = read.loadAnns(read.getAnnIds(imgIds=[image["id"]]))
        masks = [mask for mask in label_mask_arrays(row) if mask[0].any()]
        assert len(annotations) == len(masks)
        for annotation, (mask, score) in zip(annotations, masks, strict=True):
            np.testing.assert_array_equal(read.annToMask(annotation).astype(bool), mask)
            assert annotation["score"] == score
    assert {each["name"] for each in read.dataset["categories"]} <= {"object"}


def label_mask_arrays(row: LabelRow) -> list[tuple[np.ndarray, float]]:
    from pycocotools import mask as coco

    return [
        (coco.decode(rle).astype(bool), score)
        for rle, score in zip(row.labels.masks or (), row.labels.scores or (), strict=True)
    ]


def test_label_studio_finds_the_pictures(tmp_path: Path) -> None:
    mask = np.zeros((60, 90), bool)
    mask[10:20, 30:40] = True
    labels = Labels(90, 60, (1, 2), (json_rle(mask_rle(mask)),), (0.5,))
    write_shard(tmp_path / "out", 0, [LabelRow("a", "../pictures/0.png", labels, "t", "s", "h", "l")], [], "p")
    path = tmp_path / "tasks.json"
    assert write_annotations(path, label_masks(tmp_path / "out"), "label-studio") == 1
    (task,) = json.loads(path.read_text())
    assert task["data"]["image"] == "/data/local-files/?d=pictures/0.png"
    assert task["predictions"][0]["score"] == 0.5


def test_labels_without_masks_are_refused(pictures: Path, tmp_path: Path, make_plan: MakePlan) -> None:
    label([pictures], tmp_path / "out", make_plan())
    with pytest.raises(DataError, match="holds no masks: label with --sam"):
        write_annotations(tmp_path / "coco.json", label_masks(tmp_path / "out"))
    assert not (tmp_path / "coco.json").exists()


def test_what_could_not_be_written_is_refused_before(pictures: Path, tmp_path: Path) -> None:
    check_annotations(tmp_path / "coco.json", "coco", [pictures])
    check_annotations(tmp_path / "tasks.json", "label-studio", [pictures])
    with pytest.raises(ValueError, match="lies elsewhere"):
        check_annotations(tmp_path / "deep" / "tasks.json", "label-studio", [pictures])
    (tmp_path / "a.tar").touch()
    with pytest.raises(DataError, match=r"a\.tar is a tar file"):
        check_annotations(tmp_path / "coco.json", "coco", [tmp_path / "a.tar"])
    with pytest.raises(OutputError):
        check_annotations(tmp_path / "a.tar" / "coco.json", "coco", [pictures])

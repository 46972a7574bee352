"""COCO's JSON, as pycocotools reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from perceptio.files import OutputError
from perceptio.results import Answer, Mask, Trace
from perceptio.results.annotations import annotated, write_annotations
from perceptio.results.coco import write_coco

from .conftest import answer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in pycocotools


def pairs(folder: Path) -> list[tuple[Path, Answer]]:
    """Two questions about one picture, and one about each of two others; the masks of the first of these are empty."""
    empty = answer(masks=[Mask(np.zeros((40, 30), bool), 0.1, "x")], depth=False)
    return [
        (folder / "in" / "a.png", answer()),
        (folder / "in" / "b.png", empty),
        (folder / "in" / "a.png", answer(masks=[Mask(np.ones((40, 30), bool), 0.25, "the red\n cube")])),
        (folder / "in" / "c.png", answer(masks=[Mask(np.ones((40, 30), bool), 0.125)])),
    ]


@pytest.mark.parametrize("rle", [False, True], ids=["polygons", "rle"])
def test_pycocotools_reads_masks_and_names(tmp_path: Path, rle: bool) -> None:
    path = tmp_path / "out" / "coco.json"
    assert write_coco(path, annotated(pairs(tmp_path)), rle=rle) == 3
    read = COCO(str(path))
    assert set(json.loads(path.read_text())) == {"info", "licenses", "images", "annotations", "categories"}
    assert [image["file_name"] for image in read.dataset["images"]] == ["../in/a.png", "../in/b.png", "../in/c.png"]
    assert [(image["width"], image["height"]) for image in read.dataset["images"]] == [(30, 40)] * 3
    names = {each["id"]: each["name"] for each in read.loadCats(read.getCatIds())}
    annotations = read.loadAnns(read.getAnnIds())
    assert [names[each["category_id"]] for each in annotations] == ["the red cube", "object", "the red cube", "object"]
    assert [each["score"] for each in annotations] == [0.75, 0.5, 0.25, 0.125]
    assert [each["image_id"] for each in annotations] == [1, 1, 1, 3]
    masks = [*answer().masks, *[Mask(np.ones((40, 30), bool), 1.0)] * 2]
    for each, mask in zip(annotations, masks, strict=True):
        np.testing.assert_array_equal(read.annToMask(each).astype(bool), mask.array)
        assert each["area"] == mask.array.sum()
        assert isinstance(each["segmentation"], dict if rle else list)
    assert annotations[0]["bbox"] == [3, 5, 6, 15]


def test_no_pictures_are_a_valid_file(tmp_path: Path) -> None:
    assert write_coco(tmp_path / "coco.json", []) == 0
    assert COCO(str(tmp_path / "coco.json")).getImgIds() == []


def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "coco.json"
    path.write_text("mine")
    nan = answer(masks=[Mask(np.ones((40, 30), bool), float("nan"))])
    with pytest.raises(ValueError, match="JSON"):
        write_coco(path, annotated([("a.png", answer()), ("b.png", nan)]))
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OutputError):
        write_coco(path / "below.json", annotated([]))


def test_the_size_comes_from_whatever_is_there(tmp_path: Path) -> None:
    bare = Answer("", [], None, Trace(""), Image.new("RGB", (30, 40)))
    (one,) = annotated([("a.png", bare)])
    assert (one.width, one.height, one.masks) == (30, 40, [])
    with pytest.raises(ValueError, match=r"a\.png does not say how large"):
        list(annotated([("a.png", Answer("", [], None, Trace("")))]))


def test_an_unknown_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not 'yolo'"):
        write_annotations(tmp_path / "x.json", [], "yolo")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []

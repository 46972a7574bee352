"""Maps of classes -> samples that ask for stuff."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from perceptio.data.adapters.semantic import ADE20K_STUFF
from perceptio.data.errors import DataError

HEIGHT, WIDTH = 60, 80
SKY, CHAIR, ROAD, SPECK = slice(0, 20), slice(20, 30), slice(30, 59), slice(59, 60)

# The first lines are objectInfo150.txt's own, uneven blanks included; the rest has its form.
ADE_HEAD = [
    "Idx\tRatio\tTrain\tVal\tName",
    "1\t0.1576\t11664\t1172\twall",
    "2\t0.1072\t6046\t612\tbuilding, edifice",
    "3\t0.0878\t8265\t796\tsky",
    "4\t0.0621\t9336\t917\tfloor, flooring",
    "5\t0.0480\t6678\t641\ttree",
    "6\t0.0450\t6604\t643\tceiling",
    "7\t0.0398\t4023\t408\troad, route",
]
ADE_TABLE = "\n".join([*ADE_HEAD, *(f"{number} \t0.01\t9\t9\tclass {number} " for number in range(8, 151))]) + "\n"
COCO_LABELS = """0: unlabeled
1: person
92: banner
106: clouds
121: food-other
157: sky-other
171: wall-brick
173: wall-other
"""


def write_maps(data: Path, picture, split: str, stem: str, labels: np.ndarray) -> None:
    (data / "annotations" / split).mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(data / "annotations" / split / f"{stem}.png")
    picture(data / "images" / split / f"{stem}.jpg", HEIGHT, WIDTH)


@pytest.fixture
def ade(tmp_path: Path, picture) -> Path:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[SKY], labels[CHAIR], labels[ROAD] = 3, 20, 7  # the last row is of no class
    labels[59, 0] = 5
    data = tmp_path / "data"
    write_maps(data, picture, "training", "ADE_train_00000001", labels)
    write_maps(data, picture, "training", "ADE_train_00000002", np.full((HEIGHT, WIDTH), 20, np.uint8))
    (data / "objectInfo150.txt").write_text(ADE_TABLE)
    return data


def test_stuff_of_ade20k_is_asked_for_by_its_first_name(ade, converted) -> None:
    result = converted("ade20k")
    (sample,) = result.samples
    assert [turn.answer[turn.answer.index("<p>") :] for turn in sample.turns] == ["<p>the sky</p>.", "<p>the road</p>."]
    assert [turn.masks for turn in sample.turns] == [(0,), (1,)]
    assert {turn.task for turn in sample.turns} == {"semantic"}
    expected = np.zeros((2, HEIGHT, WIDTH), bool)
    expected[0, SKY] = expected[1, ROAD] = True
    for mask, truth in zip(sample.masks, expected, strict=True):
        assert np.array_equal(coco.decode(mask), truth)
    assert result.done.left_out == {
        "regions of classes that are things, or only a part of what they name": 2,
        "regions below 0.1% of their picture": 1,
        "pictures without a class of stuff": 1,
    }


def test_fifty_classes_of_ade20k_are_stuff() -> None:
    assert len(set(ADE20K_STUFF)) == 50
    assert 20 not in ADE20K_STUFF  # chair


def test_parts_of_coco_stuff_are_joined(tmp_path, converted, picture) -> None:
    labels = np.full((HEIGHT, WIDTH), 255, np.uint8)
    labels[:10], labels[10:20], labels[20:30], labels[30:40], labels[40:50] = 105, 156, 170, 172, 120
    labels[50:55], labels[55:] = 91, 0  # banner; person
    write_maps(tmp_path / "data", picture, "val2017", "000000000139", labels)
    (tmp_path / "data" / "labels.txt").write_text(COCO_LABELS)
    result = converted("coco-stuff", split="val2017")
    (sample,) = result.samples
    names = [turn.answer.partition("<p>")[2].partition("</p>")[0] for turn in sample.turns]
    assert names == ["the banner", "the sky", "the wall"]
    assert np.array_equal(coco.decode(sample.masks[1]), np.isin(labels, (105, 156)))
    assert np.array_equal(coco.decode(sample.masks[2]), np.isin(labels, (170, 172)))
    assert list(result.done.left_out.values()) == [2]  # food-other is the rest of food, a person is a thing


def test_missing_pictures_stop_the_conversion_or_are_counted(ade, converted) -> None:
    (ade / "images/training/ADE_train_00000002.jpg").unlink()
    with pytest.raises(DataError, match=r"^1 of 2 pictures are missing, the first is ADE_train_00000002: put it at "):
        converted("ade20k")
    assert converted("ade20k", allow_missing=True).done.left_out["pictures that are missing"] == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("objectInfo150.txt", None, r"objectInfo150.txt is missing: it names the classes"),
        ("objectInfo150.txt", "Idx,Name\n1,wall", "is not ADE20K's table of 150 classes"),
        ("objectInfo150.txt", "\n".join(ADE_HEAD), r"is not ADE20K's table of 150 classes \(10\)"),
        ("annotations/training/ADE_train_00000001.png", "", "cannot be read as a label map"),
        ("images/training/ADE_train_00000001.jpg", "", r"ADE_train_00000001\.jpg is empty"),
    ],
)
def test_damaged_files_are_named(ade, converted, name, content, message) -> None:
    if content is None:
        (ade / name).unlink()
    else:
        (ade / name).write_text(content)
    with pytest.raises(DataError, match=message):
        converted("ade20k")


def test_a_map_in_colours_is_refused(ade, converted, picture) -> None:
    picture(ade / "annotations/training/ADE_train_00000001.png", HEIGHT, WIDTH)
    with pytest.raises(DataError, match="is no label map of one 8-bit channel but of mode RGB"):
        converted("ade20k")


def test_other_folders_and_lists_are_refused(tmp_path, ade, converted) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*annotations/validation"):
        converted("ade20k", split="validation")
    (ade / "labels.txt").write_text("wall\n")
    with pytest.raises(DataError, match="is not COCO-Stuff's list of classes"):
        converted("coco-stuff", split="train2017")

"""RefCOCO's family -> samples; the files are those of tests/data/test_refer.py in small."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.errors import DataError
from perceptio.data.schema import ABSENT

HEIGHT, WIDTH = 40, 60
LEFT = [5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]
RIGHT = [35.5, 10.0, 55.0, 12.0, 45.0, 30.0]
EMPTY = [1.0, 1.0, 2.0, 2.0]
RUNS = {"size": [HEIGHT, WIDTH], "counts": [40 * 30 + 3, 6, HEIGHT * WIDTH - 40 * 30 - 9]}


def reference(number: int, ann_id: Any, image_id: int, split: str, *said: str) -> dict[str, Any]:
    sentences = [{"sent_id": number, "sent": text, "raw": text, "tokens": text.split()} for text in said]
    return {"ref_id": number, "ann_id": ann_id, "image_id": image_id, "split": split, "sentences": sentences}


REFERENCES = [
    reference(1, 10, 7, "train", "The Left thing.", "left"),
    reference(2, 11, 7, "train", "right thing"),
    reference(3, 12, 8, "train", "dark bar"),
    reference(4, 13, 8, "train", "speck", "dot"),
    reference(5, 10, 7, "val", "other"),
]
GENERALIZED = [
    reference(1, [11, 10], 7, "train", "both things"),
    reference(2, [-1], 7, "train", "a zebra"),
    reference(3, [10], 7, "train", "the left one"),
]


def write(root: Path, dataset: str, references: Any, picture: Any, sizes: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    folder = root / "data" / dataset
    folder.mkdir(parents=True)
    names = {7: "COCO_train2014_000000000007.jpg", 8: "COCO_train2014_000000000008.jpg"}
    images = [{"id": key, "file_name": name, "height": HEIGHT, "width": WIDTH} for key, name in names.items()]
    shapes = {10: (7, [LEFT]), 11: (7, [RIGHT]), 12: (8, RUNS), 13: (8, [EMPTY])}
    annotations = [
        {"id": key, "image_id": image, "segmentation": shape, "iscrowd": 0} for key, (image, shape) in shapes.items()
    ]
    (folder / "instances.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    if dataset == "grefcoco":
        (folder / "grefs(unc).json").write_text(json.dumps(references))
    else:
        name = "refs(umd).p" if dataset == "refcocog" else "refs(unc).p"
        (folder / name).write_bytes(pickle.dumps(references, 2))
    for name in names.values():
        picture(root / "data" / "train2014" / name, *sizes)


def drawn(polygon: list[float]) -> np.ndarray:
    return coco.decode(coco.frPyObjects([polygon], HEIGHT, WIDTH))[:, :, 0]


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+", "refcocog"])
def test_every_expression_of_a_picture_is_a_turn_of_its_sample(tmp_path, converted, picture, dataset) -> None:
    write(tmp_path, dataset, REFERENCES, picture)
    result = converted(dataset)
    first, second = result.samples
    assert first.image == "../data/train2014/COCO_train2014_000000000007.jpg"
    assert [turn.masks for turn in first.turns] == [(0,), (0,), (1,)]  # two expressions, one object
    assert np.array_equal(coco.decode(first.masks[0]), drawn(LEFT))
    assert np.array_equal(coco.decode(first.masks[1]), drawn(RIGHT))
    assert "the left thing" in first.turns[0].question.lower()
    assert "<p>the left thing</p>" in first.turns[0].answer
    assert {turn.task for turn in first.turns} == {"referring"}
    assert coco.area(second.masks[0]) == 6
    assert result.done.left_out == {"expressions for objects without a pixel": 2}
    assert (result.done.samples, result.done.turns, result.done.masks) == (2, 4, 3)
    assert "COCO" in first.licence


def test_another_split_is_another_part_of_the_file(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture)
    (sample,) = converted("refcoco", split="val").samples
    assert ["<p>other</p>" in turn.answer for turn in sample.turns] == [True]


def test_generalized_expressions_have_a_mask_an_object_from_left_to_right(tmp_path, converted, picture) -> None:
    write(tmp_path, "grefcoco", GENERALIZED, picture)
    (sample,) = converted("grefcoco").samples
    both, none, one = sample.turns
    assert both.masks == (0, 1)
    assert np.array_equal(coco.decode(sample.masks[0]), drawn(LEFT))  # named last in the file
    assert one.masks == (0,)
    assert len(sample.masks) == 2
    assert none.masks == (ABSENT,)
    assert none.answer == "Nothing in the image is <p>a zebra</p>."
    assert [turn.task for turn in sample.turns] == ["plural", "absent", "referring"]


def test_missing_pictures_stop_the_conversion_or_are_counted(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture)
    missing = tmp_path / "data" / "train2014" / "COCO_train2014_000000000007.jpg"
    missing.unlink()
    with pytest.raises(DataError) as caught:
        converted("refcoco")
    assert str(caught.value) == (
        f"1 of 2 pictures are missing, the first is {missing.name}: put it at {missing}, "
        "or give --allow-missing to convert the rest"
    )
    assert not list((tmp_path / "out").glob("*"))
    left_out = converted("refcoco", allow_missing=True).done.left_out
    assert left_out["pictures that are missing"] == 1
    assert left_out["expressions whose picture is missing"] == 3


def test_no_picture_at_all_is_an_error_whatever_may_be_missing(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture)
    for path in (tmp_path / "data" / "train2014").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"^2 of 2 pictures are missing, .*0007.jpg$"):
        converted("refcoco", allow_missing=True)


def test_pictures_lie_where_refers_own_loader_has_them(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture)
    place = tmp_path / "data" / "images" / "mscoco" / "images"
    place.mkdir(parents=True)
    (tmp_path / "data" / "train2014").rename(place / "train2014")
    assert converted("refcoco").done.samples == 2


def test_a_picture_of_another_size_is_named(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture, (30, 30))
    with pytest.raises(DataError, match="is 30 x 30 pixels but its annotations are for 60 x 40"):
        converted("refcoco")


def test_a_damaged_annotation_file_is_named(tmp_path, converted, picture) -> None:
    write(tmp_path, "refcoco", REFERENCES, picture)
    path = tmp_path / "data" / "refcoco" / "refs(unc).p"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match="damaged or cut short"):
        converted("refcoco")

"""RefCOCO-M's parquet files, in the form of its card, -> samples, and a split that can be scored."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from perceptio.data.errors import DataError
from perceptio.data.refer import read_refer
from perceptio.data.rle import json_rle, mask_rle
from perceptio.evaluation.refseg import open_refer

pyarrow = pytest.importorskip("pyarrow")
HEIGHT, WIDTH = 40, 60
NAMES = ("COCO_train2014_000000000007.jpg", "COCO_train2014_000000000008.jpg")


def mask(left: int, height: int = HEIGHT) -> dict[str, Any]:
    array = np.zeros((height, WIDTH), bool)
    array[5:30, left : left + 20] = True
    return json_rle(mask_rle(array))


def content(height: int = HEIGHT) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, height), "red").save(file, "PNG")
    return file.getvalue()


def described(number: int, code: dict[str, Any], *sentences: str) -> dict[str, Any]:
    box = [0.0, 5.0, 20.0, 25.0]
    names = {"category": "cup", "supercategory": "kitchen", "label": "cup"}
    return {"id": number, "image_id": 7, **names, "sentences": list(sentences), "bbox": box, "mask": code}


def row(name: str, *samples: dict[str, Any], image: bytes | None = None) -> dict[str, Any]:
    picture = {"bytes": content() if image is None else image, "path": name}
    return {"image": picture, "image_id": 7, "file_name": name, "samples": list(samples)}


ROWS = [
    row(NAMES[0], described(1, mask(0), "The left cup.", "cup left"), described(2, mask(30), "right cup")),
    row(NAMES[1], described(3, mask(10), "a cup")),
]


def write(folder: Path, *files: list[dict[str, Any]]) -> Path:
    from pyarrow import parquet

    types = pyarrow.schema(
        {
            "image": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
            "image_id": pyarrow.int64(),
            "file_name": pyarrow.string(),
            "samples": pyarrow.list_(
                pyarrow.struct(
                    {
                        **dict.fromkeys(("id", "image_id"), pyarrow.int64()),
                        **dict.fromkeys(("category", "supercategory", "label"), pyarrow.string()),
                        "sentences": pyarrow.list_(pyarrow.string()),
                        "bbox": pyarrow.list_(pyarrow.float32()),
                        "mask": pyarrow.struct({"counts": pyarrow.string(), "size": pyarrow.list_(pyarrow.int32())}),
                    }
                )
            ),
        }
    )
    (folder / "data").mkdir(parents=True)
    for number, rows in enumerate(files):
        table = pyarrow.Table.from_pylist(rows, types)
        parquet.write_table(table, folder / "data" / f"validation-{number:05d}-of-{len(files):05d}.parquet")
    return folder


def test_every_sentence_is_a_turn_about_the_finer_mask(tmp_path, converted) -> None:
    write(tmp_path / "data", ROWS[:1], ROWS[1:])
    result = converted("refcoco-m")
    first, second = result.samples
    assert first.image == f"samples-files/{NAMES[0]}"
    assert (tmp_path / "out" / first.image).read_bytes() == content()
    assert [turn.masks for turn in first.turns] == [(0,), (0,), (1,)]
    assert [turn.task for turn in first.turns] == ["referring"] * 3
    assert "<p>the left cup</p>" in first.turns[0].answer
    assert first.masks == (mask(0), mask(30))
    assert (second.key, second.source) == ("refcoco-m/val/COCO_train2014_000000000008", "RefCOCO-M")
    assert "MIT" in second.licence
    assert (result.done.samples, result.done.turns, result.done.masks) == (2, 4, 3)
    assert not result.done.left_out


def test_a_split_of_it_is_read_as_those_of_refcoco_are(tmp_path) -> None:
    write(tmp_path / "refcoco-m", ROWS[:1], ROWS[1:])
    split = read_refer(tmp_path, "refcoco-m", "val")
    assert [(image.file_name, image.height, image.width) for image in split.images] == [
        (name, HEIGHT, WIDTH) for name in NAMES
    ]
    references = [reference for image in split.images for reference in image.references]
    assert [reference.row for reference in references] == [0, 1, 2]
    assert references[0].expressions == ("The left cup.", "cup left")
    assert [coco.area(reference.rle) for reference in references] == [500, 500, 500]
    assert np.array_equal(coco.decode(references[1].rle), coco.decode(mask(30)))
    assert list(split.hashes) == ["validation-00000-of-00002.parquet", "validation-00001-of-00002.parquet"]


def test_it_is_scored_with_the_pictures_of_its_conversion(tmp_path, converted) -> None:
    write(tmp_path / "refcoco-m", ROWS)
    converted("refcoco-m", "refcoco-m")
    benchmark = open_refer(tmp_path, tmp_path / "out" / "samples-files", "refcoco-m", "val")
    assert (benchmark.name, len(benchmark), benchmark.settings["expressions"]) == ("RefCOCO-M val", 2, 4)
    assert [item.key for item in benchmark.items(0)] == ["0/0", "0/1", "1/0"]


@pytest.mark.parametrize(
    ("bad", "counted"),
    [
        (row(NAMES[1], described(3, mask(10), "a cup", "it"), image=b"no picture"), "expressions whose picture"),
        (row(NAMES[1], described(3, mask(10), "a cup", "it"), image=content(50)), "expressions whose picture"),
        (row(NAMES[1], described(3, {"size": [40, 60], "counts": "~"}, "a cup", "it")), "expressions whose reference"),
        (row(NAMES[1], described(3, mask(10), "a"), described(4, mask(10, 50), "b", "c")), "expressions whose refer"),
    ],
)
def test_what_is_damaged_is_counted_by_its_expressions(tmp_path, converted, bad, counted) -> None:
    write(tmp_path / "data", [ROWS[0], bad])
    (entry,) = converted("refcoco-m").done.left_out.items()
    assert entry[0].startswith(counted)
    assert entry[1] == 2


@pytest.mark.parametrize("name", ["..", "", "a/.."])
def test_a_picture_is_written_nowhere_else(tmp_path, converted, name) -> None:
    write(tmp_path / "data", [ROWS[0], row(name, described(3, mask(10), "a cup"))])
    assert converted("refcoco-m").done.left_out == {"expressions whose reference is damaged": 1}


def test_what_cannot_be_scored_is_an_error(tmp_path) -> None:
    with pytest.raises(DataError, match=r"validation-\*\.parquet is missing"):
        read_refer(tmp_path, "refcoco-m", "val")
    write(tmp_path / "refcoco-m", [row(NAMES[0], described(1, {"size": [40, 60], "counts": ""}, "a cup"))])
    with pytest.raises(DataError, match=r"row 0 of .*parquet cannot be used: its object 0: its runs do not add up"):
        read_refer(tmp_path, "refcoco-m", "val")
    with pytest.raises(DataError, match="has no split 'train'"):
        read_refer(tmp_path, "refcoco-m", "train")

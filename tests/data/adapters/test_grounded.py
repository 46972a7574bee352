"""GLaMM's grounded captions -> samples: phrases, masks, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.errors import DataError

HEIGHT, WIDTH = 48, 64
CAPTION = "A red car is parked near a man."


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[y0:y1, x0:x1] = 1
    return mask


def rle(mask: np.ndarray) -> dict[str, Any]:
    code = coco.encode(mask)
    return {"size": code["size"], "counts": code["counts"].decode()}


CAR, WHEEL, MAN = box(5, 5, 30, 20), box(28, 15, 36, 24), box(40, 8, 50, 40)


def grandf(caption: str = CAPTION, **groundings: Any) -> dict[str, Any]:
    return {
        "file_name": "sa_1.jpg",
        "height": HEIGHT,
        "width": WIDTH,
        "image_id": "sa_1",
        "caption": caption,
        "groundings": groundings
        or {
            "a man": {"token_positives": [25, 30], "rle_masks": [rle(MAN)]},
            "A red car": {"token_positives": [0, 9], "rle_masks": [rle(CAR), rle(WHEEL)]},
        },
    }


@pytest.fixture
def files(tmp_path, picture, write_json):
    """Write annotations and a picture of a data set."""

    def write(annotations: str, content: Any, image: str = "GranDf_HA_images/train/sa_1.jpg") -> Path:
        write_json(tmp_path / "data/GranDf/annotations/train" / annotations, content)
        picture(tmp_path / "data" / image, HEIGHT, WIDTH)
        return tmp_path / "data"

    return write


def test_phrases_are_marked_in_order_of_mention_with_a_mask_each(files, converted) -> None:
    files("GranDf_HA_GCG_train.json", [grandf()])
    (sample,) = converted("grandf").samples
    (turn,) = sample.turns
    assert turn.answer == "<p>A red car</p> is parked near <p>a man</p>."
    assert turn.masks == (0, 1)
    assert np.array_equal(coco.decode(sample.masks[0]), CAR | WHEEL)  # they overlap: a union, not a sum
    assert np.array_equal(coco.decode(sample.masks[1]), MAN)
    assert (turn.task, sample.source) == ("caption", "GranD-f")


@pytest.mark.parametrize("folder", ["GranDf_HA_images/train", "GranDf/GranDf_HA_images/train"])
def test_pictures_lie_where_glamms_docs_or_its_code_have_them(files, converted, folder) -> None:
    files("GranDf_HA_GCG_train.json", [grandf()], f"{folder}/sa_1.jpg")
    assert converted("grandf").done.samples == 1


def test_phrases_that_cannot_be_used_are_counted(files, converted) -> None:
    found = {"token_positives": [25, 30], "rle_masks": [rle(MAN)]}
    entries = [
        grandf(
            **{
                "a man": {**found, "token_positives": [0, 5]},  # wrong place: looked for
                "a dog": found,
                "man": {**found, "token_positives": [27, 30]},  # inside "a man"
                "parked": None,
                "red": {**found, "token_positives": [2, 5], "rle_masks": [rle(MAN * 0)]},
            }
        ),
        grandf(**{"a dog": found}),
    ]
    files("GranDf_HA_GCG_train.json", entries)
    result = converted("grandf")
    assert [sample.turns[0].answer for sample in result.samples] == ["A red car is parked near <p>a man</p>."]
    assert result.done.left_out == {
        "phrases without masks": 1,
        "phrases whose mask is empty": 1,
        "phrases that are not in their caption": 2,
        "phrases inside another": 1,
        "captions without a phrase": 1,
    }


def test_refcocog_has_polygons_and_no_places(files, converted) -> None:
    polygon = [5.0, 5.0, 30.0, 5.0, 30.0, 20.0]
    entry = {
        "img_file_name": "COCO_train2014_000000000009.jpg",
        "caption": '"A red car is parked near a man."',
        "refs": [
            {"sentence": "a man", "bbox": [1, 1, 2, 2], "segmentation": [polygon]},
            {"sentence": "a red car", "bbox": [1, 1, 2, 2], "segmentation": [polygon, [50, 30, 60, 30, 60, 40]]},
        ],
    }
    image = "coco_2014/train2014/COCO_train2014_000000000009.jpg"
    files("RefCOCOg_GCG_train.json", [{"9": entry}], image)
    (sample,) = converted("refcocog-gcg").samples
    assert sample.turns[0].answer == "<p>A red car</p> is parked near <p>a man</p>."
    parts = coco.frPyObjects([polygon, [50, 30, 60, 30, 60, 40]], HEIGHT, WIDTH)
    assert np.array_equal(coco.decode(sample.masks[0]), coco.decode(coco.merge(parts)))
    assert np.array_equal(coco.decode(sample.masks[1]), coco.decode(parts[:1])[:, :, 0])


def test_flickr_has_cocos_format(files, converted) -> None:
    image = {"id": 1, "file_name": "1000092795.jpg", "height": str(HEIGHT), "width": str(WIDTH), "caption": CAPTION}
    annotation = {"image_id": 1, "bbox": [1, 1, 9, 9], "area": 9, "tokens_positive": [[0, 9]]}
    content = {
        "images": [image, {**image, "id": 2, "caption": "A car"}],
        "annotations": [
            {**annotation, "id": 1, "sam_mask": rle(CAR)},
            {**annotation, "id": 2, "sam_mask": rle(WHEEL)},  # another box of the same phrase
            {**annotation, "id": 3, "tokens_positive": [[25, 30]], "sam_mask": rle(MAN)},
            {**annotation, "id": 4, "ignore": True, "sam_mask": rle(MAN)},
        ],
    }
    files("flickr_mergedGT_GCG_train.json", content, "flikcr_30k/train/1000092795.jpg")
    result = converted("flickr30k-gcg")
    (sample,) = result.samples
    assert sample.turns[0].answer == "<p>A red car</p> is parked near <p>a man</p>."
    assert np.array_equal(coco.decode(sample.masks[0]), CAR | WHEEL)
    assert result.done.left_out == {
        "phrases that the file says to ignore": 1,
        "captions of fewer than 3 words, or of tiny pictures": 1,
    }


def test_openpsg_names_the_folder_of_its_pictures(files, converted) -> None:
    entry = {**grandf(), "file_name": "val2017/000000000139.jpg"}
    files("OpenPsgGCG_val.json", [entry], "coco_2017/val2017/000000000139.jpg")
    assert converted("openpsg-gcg", split="val").samples[0].image == "../data/coco_2017/val2017/000000000139.jpg"


def test_missing_pictures_stop_the_conversion_or_are_counted(files, converted) -> None:
    files("GranDf_HA_GCG_train.json", [grandf(), {**grandf(), "file_name": "../sa_2.jpg"}])
    with pytest.raises(
        DataError, match=r"^1 of 2 pictures are missing, the first is \.\./sa_2.jpg: put it at .*train/"
    ):
        converted("grandf")
    left_out = converted("grandf", allow_missing=True).done.left_out
    assert left_out == {"pictures that are missing": 1, "captions whose picture is missing": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "is not of the expected format"),
        ([{"caption": "x"}], r"1 captions that are damaged .*entry 0 of .*train.json: its groundings is missing"),
        ([{**grandf(), "height": 10}], "is 64 x 48 pixels but its annotations are for 64 x 10"),
        (
            [
                grandf(
                    **{"a man": {"token_positives": [25, 30], "rle_masks": [{"size": [HEIGHT, WIDTH], "counts": "0"}]}}
                )
            ],
            "caption sa_1 of GranD-f cannot be used: its runs do not add up to 48 x 64 pixels",
        ),
    ],
)
def test_another_format_is_one_sentence(files, converted, content, message) -> None:
    files("GranDf_HA_GCG_train.json", content)
    with pytest.raises(DataError, match=message):
        converted("grandf")


def test_missing_and_damaged_annotations_are_named(files, converted) -> None:
    data = files("GranDf_HA_GCG_train.json", [])
    with pytest.raises(DataError, match=r"OpenPsgGCG_train.json is missing"):
        converted("openpsg-gcg")
    (data / "GranDf/annotations/train/GranDf_HA_GCG_train.json").write_text("[{")
    with pytest.raises(DataError, match="is damaged or cut short"):
        converted("grandf")
    with pytest.raises(DataError, match="grandf has no split 'val': give one of train"):
        converted("grandf", split="val")

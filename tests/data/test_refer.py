"""Reading the original annotation files: their format, the targets they draw, and what is wrong with a damaged one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import struct
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pycocotools import mask as coco

from perceptio.data.errors import DataError
from perceptio.data.refer import INSTANCES as INSTANCES_FILE
from perceptio.data.refer import ReferSplit, read_refer

HEIGHT, WIDTH = 40, 60
LEFT = [5.0, 5.0, 25.0, 5.0, 25.0, 25.0, 5.0, 25.0]
RIGHT = [15.5, 10.0, 40.0, 12.0, 35.0, 30.0]
RLE_MASK = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
RLE_MASK[3:9, 40:55] = 1
UNCOMPRESSED = {"size": [HEIGHT, WIDTH], "counts": [40 * 40 + 3, *[6, 34] * 14, 6, 4 * 40 + 40 + 40 - 9]}


class Python2Pickler(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: ASCII text as byte strings, other text as unicode."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def save_text(self, text: str) -> None:
        if not text.isascii():
            pickle._Pickler.save_str(self, text)
            return
        content = text.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = save_text


def python2_pickle(content: Any) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue()


def reference(ref_id: int, ann_id: Any, image_id: int, split: str, *sentences: str, **more: Any) -> dict[str, Any]:
    sents = [
        {"sent_id": 10 * ref_id + number, "sent": text.lower(), "raw": text, "tokens": text.lower().split()}
        for number, text in enumerate(sentences)
    ]
    return {
        "ref_id": ref_id,
        "ann_id": ann_id,
        "category_id": 1,
        "file_name": f"COCO_train2014_{image_id:012d}_{ref_id}.jpg",
        "split": split,
        "image_id": image_id,
        "sentences": sents,
        "sent_ids": [sent["sent_id"] for sent in sents],
        **more,
    }


def annotation(number: int, image_id: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image_id, "segmentation": segmentation, "iscrowd": 0, "category_id": 1, **more}


INSTANCES = {
    "images": [
        {"id": number, "file_name": f"COCO_train2014_{number:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        for number in (7, 8)
    ],
    "annotations": [
        annotation(100, 7, [LEFT, RIGHT]),
        annotation(101, 7, UNCOMPRESSED),
        annotation(102, 8, [RIGHT]),
        annotation(103, 7, [LEFT], iscrowd=1),
        annotation(104, 7, [[1.0, 1.0, 2.0, 2.0]]),
    ],
    "categories": [{"id": 1, "name": "thing"}],
}
REFERENCES = [
    reference(50, 102, 8, "train", "never asked"),
    reference(51, 100, 7, "val", "The Blue thing", "left"),
    reference(52, 102, 8, "val", "café door"),
    reference(53, 101, 7, "val", "dark bar"),
    reference(54, 101, 7, "testA", "bar"),
]
GENERALIZED = [
    reference(60, [100, 101], 7, "val", "both things", no_target=False),
    reference(61, [-1], 7, "val", "a zebra", no_target=True),
    reference(62, [], 8, "val", "a lion", no_target=True),
    reference(63, [101, 103], 7, "val", "the bar", no_target=False),
]


def write(root: Path, dataset: str, references: Any, instances: Any = INSTANCES) -> Path:
    names = {"grefcoco": "grefs(unc).json", "refcocog": "refs(umd).p"}
    path = root / dataset / names.get(dataset, "refs(unc).p")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(json.dumps(references).encode() if dataset == "grefcoco" else python2_pickle(references))
    (path.parent / "instances.json").write_text(json.dumps(instances))
    return path


def drawn(*polygons: list[float]) -> np.ndarray:
    """Each polygon decoded alone, then OR-ed."""
    masks = [coco.decode(coco.frPyObjects([polygon], HEIGHT, WIDTH))[:, :, 0] > 0 for polygon in polygons]
    return np.logical_or.reduce(masks)


def targets(split: ReferSplit) -> dict[int, np.ndarray]:
    """By the place of the reference in its file."""
    empty = np.zeros((HEIGHT, WIDTH), bool)
    return {
        said.row: empty if said.rle is None else coco.decode(said.rle).astype(bool)
        for image in split.images
        for said in image.references
    }


@pytest.mark.parametrize("dataset", ["refcoco", "refcoco+", "refcocog"])
def test_a_python_2_pickle_is_read_by_image(tmp_path: Path, dataset: str) -> None:
    path = write(tmp_path, dataset, REFERENCES)
    assert b"cos\n" not in path.read_bytes()
    split = read_refer(tmp_path, dataset, "val")
    assert [image.file_name for image in split.images] == [f"COCO_train2014_{k:012d}.jpg" for k in (7, 8)]
    assert [(said.row, said.expressions) for said in split.images[0].references] == [
        (1, ("the blue thing", "left")),
        (3, ("dark bar",)),
    ]
    assert split.images[1].references[0].expressions == ("café door",)
    assert [image.expressions for image in split.images] == [3, 1]
    assert (split.images[0].height, split.images[0].width) == (HEIGHT, WIDTH)


def test_byte_strings_of_utf_8_become_text(tmp_path: Path) -> None:
    path = write(tmp_path, "refcoco", REFERENCES)
    text = "café door".encode()
    unicode = pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    assert unicode in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(unicode, pickle.BINSTRING + struct.pack("<i", len(text)) + text))
    assert read_refer(tmp_path, "refcoco", "val").images[1].references[0].expressions == ("café door",)


def test_the_files_are_named_by_their_hashes(tmp_path: Path) -> None:
    path = write(tmp_path, "refcoco", REFERENCES)
    hashes = read_refer(tmp_path, "refcoco", "val").hashes
    assert hashes["refs(unc).p"] == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert set(hashes) == {"refs(unc).p", "instances.json"}


def test_overlapping_polygons_of_one_annotation_are_one_mask(tmp_path: Path) -> None:
    write(tmp_path, "refcoco", REFERENCES)
    target = targets(read_refer(tmp_path, "refcoco", "val"))[1]
    both = drawn(LEFT) & drawn(RIGHT)
    assert both.any()
    assert target.dtype == np.bool_
    assert np.array_equal(target, drawn(LEFT, RIGHT))


def test_run_length_codes_give_the_mask_they_encode(tmp_path: Path) -> None:
    write(tmp_path, "refcoco", REFERENCES)
    assert np.array_equal(targets(read_refer(tmp_path, "refcoco", "val"))[3], RLE_MASK > 0)


def test_annotations_of_one_generalized_reference_are_one_mask(tmp_path: Path) -> None:
    write(tmp_path, "grefcoco", GENERALIZED)
    split = read_refer(tmp_path, "grefcoco", "val")
    assert np.array_equal(targets(split)[0], drawn(LEFT, RIGHT) | (RLE_MASK > 0))
    (both,) = [said for image in split.images for said in image.references if said.row == 0]
    first, second = (coco.decode(rle) for rle in both.objects)
    assert np.array_equal(first, drawn(LEFT, RIGHT))
    assert np.array_equal(second, RLE_MASK)


def test_minus_one_or_no_annotation_means_no_target(tmp_path: Path) -> None:
    write(tmp_path, "grefcoco", GENERALIZED)
    split = read_refer(tmp_path, "grefcoco", "val")
    nothing = {said.row for image in split.images for said in image.references if said.rle is None}
    assert nothing == {1, 2}
    assert not targets(split)[1].any()


def test_crowds_are_no_part_of_a_generalized_target(tmp_path: Path) -> None:
    write(tmp_path, "grefcoco", GENERALIZED)
    assert np.array_equal(targets(read_refer(tmp_path, "grefcoco", "val"))[3], RLE_MASK > 0)


def test_an_outline_of_two_points_is_an_empty_target_that_exists(tmp_path: Path) -> None:
    write(tmp_path, "refcoco", [reference(1, 104, 7, "val", "speck")])
    (image,) = read_refer(tmp_path, "refcoco", "val").images
    assert image.references[0].rle is not None
    assert not coco.area(image.references[0].rle)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    path = write(tmp_path, "refcoco", REFERENCES)
    path.write_bytes(pickle.dumps([*REFERENCES, Evil(mark)], protocol))
    with pytest.raises(DataError, match=r"asks for the Python object \w+\.system, .* it was refused"):
        read_refer(tmp_path, "refcoco", "val")
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # it was armed
    assert mark.exists()


@pytest.mark.parametrize("dataset", ["refcoco", "grefcoco"])
@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_file_cut_short_is_one_sentence(tmp_path: Path, dataset: str, keep: int) -> None:
    path = write(tmp_path, dataset, REFERENCES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"refs\(unc\)\.\w+ is damaged or cut short.*: fetch it again$"):
        read_refer(tmp_path, dataset, "val")


@pytest.mark.parametrize(
    ("dataset", "split", "message"),
    [
        ("refcoco", "test", "refcoco has no split 'test': give one of train, val, testA, testB"),
        ("refcocog", "testA", "refcocog has no split 'testA': give one of train, val, test"),
        ("coco", "val", "there is no dataset 'coco': give one of refcoco, refcoco+, refcocog, grefcoco, refcoco-m"),
    ],
)
def test_a_wrong_name_lists_the_right_ones(tmp_path: Path, dataset: str, split: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_refer(tmp_path, dataset, split)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["refs(unc).p", "instances.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write(tmp_path, "refcoco", REFERENCES)
    (tmp_path / "refcoco" / name).unlink()
    with pytest.raises(DataError) as caught:
        read_refer(tmp_path, "refcoco", "val")
    path = tmp_path / "refcoco" / name
    assert str(caught.value) == f"{path} is missing: put the original annotation files of refcoco there"


def test_a_file_without_the_split_says_so(tmp_path: Path) -> None:
    write(tmp_path, "refcoco", REFERENCES)
    with pytest.raises(DataError, match="holds no references of the split testB: fetch the complete file"):
        read_refer(tmp_path, "refcoco", "testB")


@pytest.mark.parametrize("content", [{"refs": 1}, [1, 2], 5])
def test_another_format_is_one_sentence(tmp_path: Path, content: Any) -> None:
    write(tmp_path, "refcoco", content)
    with pytest.raises(DataError, match="is not of the REFER format"):
        read_refer(tmp_path, "refcoco", "val")


@pytest.mark.parametrize(
    ("dataset", "said", "message"),
    [
        ("refcoco", reference(1, 999, 7, "val", "x"), "its annotation 999 is not in instances.json"),
        ("grefcoco", reference(1, [100, -1], 7, "val", "x"), "its annotation -1 is not in instances.json"),
        ("refcoco", reference(1, 100, 5, "val", "x"), "its image 5 is not in .*instances.json"),
        ("refcoco", reference(1, 102, 7, "val", "x"), "its annotation 102 belongs to the image 8"),
        ("refcoco", {"split": "val"}, "its image_id is missing"),
        ("grefcoco", reference(1, [100], 7, "val", "x", no_target=True), r"no_target is True but ann_id is \[100\]"),
    ],
)
def test_a_reference_that_points_nowhere_is_named(
    tmp_path: Path, dataset: str, said: dict[str, Any], message: str
) -> None:
    write(tmp_path, dataset, [said])
    with pytest.raises(DataError, match=rf"^reference 0 of .*refs\(unc\)\.\w+ cannot be used: {message}$"):
        read_refer(tmp_path, dataset, "val")


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}, r"its mask is \[60, 40\] but the image is \[40, 60\]"),
        ({"size": [HEIGHT, WIDTH], "counts": [10, 20]}, "its runs do not add up to 40 x 60 pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": "04"}, "its runs do not add up to 40 x 60 pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "its runs do not add up to 40 x 60 pixels"),
        ([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]], "neither a list of polygons nor a run-length code"),
        ([["a", 2, 3, 4, 5, 6]], r"a polygon holds text \('a'\)"),
    ],
)
def test_a_damaged_annotation_is_named(tmp_path: Path, segmentation: Any, message: str) -> None:
    instances = {**INSTANCES, "annotations": [annotation(100, 7, segmentation)]}
    write(tmp_path, "refcoco", [reference(1, 100, 7, "val", "x")], instances)
    with pytest.raises(DataError, match=rf"its annotation 100 is damaged: .*{message}"):
        read_refer(tmp_path, "refcoco", "val")


def test_a_picture_cannot_lie_outside_the_folder_of_images(tmp_path: Path) -> None:
    images = [{**INSTANCES["images"][0], "file_name": "../../etc/passwd"}]
    write(tmp_path, "refcoco", [REFERENCES[3]], {**INSTANCES, "images": images})
    assert read_refer(tmp_path, "refcoco", "val").images[0].file_name == "passwd"


FIELDS = [
    *(("references", 0, field) for field in ("image_id", "ann_id", "sentences")),
    *(("images", 0, field) for field in ("file_name", "height", "width")),
    *(("annotations", 0, field) for field in ("image_id", "segmentation")),
]
FINE = [("sentences", []), ("segmentation", []), ("segmentation", [[]] * 3)]  # nothing said, nothing drawn
ODD = [None, "\ud800", [], {}, -1, 1.5, 10**20, float("nan"), float("inf"), True, 10**400, [[]] * 3]


@pytest.mark.parametrize(("part", "place", "field"), FIELDS, ids=[f"{part}.{field}" for part, _, field in FIELDS])
def test_a_field_of_another_type_is_named_or_its_reference_left_out(
    tmp_path: Path, part: str, place: int, field: str
) -> None:
    for odd in ODD:
        if (field, odd) in FINE:
            continue
        content = {
            "references": [reference(1, 100, 7, "val", "x"), reference(2, 102, 8, "val", "y")],
            "images": [dict(image) for image in INSTANCES["images"]],
            "annotations": [dict(each) for each in INSTANCES["annotations"]],
        }
        content[part][place][field] = odd
        path = write(tmp_path, "refcoco", content["references"], content)
        with pytest.raises(DataError, match=r"^reference 0 of .* cannot be used: ") as caught:
            read_refer(tmp_path, "refcoco", "val")
        told: list[str] = []
        split = read_refer(tmp_path, "refcoco", "val", leave_out=partial(note, told))
        assert told == [str(caught.value)]
        assert str(path) in told[0]
        assert [said.row for image in split.images for said in image.references] == [1]


def note(told: list[str], reason: str, expressions: int) -> None:
    assert expressions > 0
    told.append(reason)


@pytest.mark.parametrize("part", ["images", "annotations"])
@pytest.mark.parametrize("odd", [None, {}, 5, [None], [{"id": None}], [{"id": [1]}], [{}]])
def test_a_list_of_something_else_is_named(tmp_path: Path, part: str, odd: Any) -> None:
    write(tmp_path, "refcoco", REFERENCES, {**INSTANCES, part: odd})
    with pytest.raises(DataError, match=rf"{INSTANCES_FILE} is not of the REFER format, .*{part}"):
        read_refer(tmp_path, "refcoco", "val")


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b'{"images": ' + b"1" * 5000 + b"}", b"\xff\xfe{}", b'{"a":1,"a":2}']
)
def test_json_that_no_reader_bears_is_named(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, "refcoco", REFERENCES).with_name(INSTANCES_FILE)
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path} .*: fetch it again$"):
        read_refer(tmp_path, "refcoco", "val")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path, "refcoco", REFERENCES)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match="is not a file"):
        read_refer(tmp_path, "refcoco", "val")

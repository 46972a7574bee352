"""The file of boxes and points."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perceptio.data.errors import DataError
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.prompts import read_prompts


def test_prompts_go_to_their_pictures(pictures: Path, prompts: Path) -> None:
    assert read_prompts(prompts, find_pictures([pictures]).pictures) == {
        "pictures/0.png": MaskPrompts(boxes=((10, 5, 60, 40), (0, 0, 90, 60))),
        "pictures/more/5.png": MaskPrompts(boxes=((1, 2, 30, 40),), points=((20, 30),)),
        "pictures/3.png": MaskPrompts(points=((5, 5), (59, 39))),
    }


def test_paths_are_relative_to_the_file_from_wherever(pictures: Path, prompts: Path, monkeypatch) -> None:
    expected = read_prompts(prompts, find_pictures([pictures]).pictures)
    monkeypatch.chdir(pictures)
    relative = Path(os.path.relpath(prompts))
    assert read_prompts(relative, find_pictures([Path()]).pictures) == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "prompts.jsonl:2: this is no line of JSON"),
        ("[]", "prompts.jsonl:2: a line must be an object"),
        ('{"boxes": []}', 'path of its picture in "image"'),
        ('{"image": "pictures/9.png"}', "pictures/9.png is not among the pictures to label"),
        ('{"image": "pictures/0.png"}', "has prompts on an earlier line"),
        ('{"image": "pictures/1.png", "box": []}', "'box' is no field; the fields are image, boxes, points"),
        ('{"image": "pictures/1.png", "boxes": [1, 2, 3, 4]}', "boxes must hold lists of 4 finite numbers, not 1"),
        ('{"image": "pictures/1.png", "boxes": [[1, 2, 3]]}', "boxes must hold lists of 4"),
        ('{"image": "pictures/1.png", "boxes": {}}', "boxes must be a list of lists of 4"),
        ('{"image": "pictures/1.png", "boxes": [[5, 5, 5, 9]]}', r"the box \[5.0, 5.0, 5.0, 9.0\] is empty"),
        ('{"image": "pictures/1.png", "points": [[1, NaN]]}', "points must hold lists of 2 finite numbers"),
        ('{"image": "pictures/1.png", "points": [[1, true]]}', "points must hold lists of 2 finite numbers"),
    ],
)
def test_wrong_lines_are_named(pictures: Path, prompts: Path, line: str, complaint: str) -> None:
    prompts.write_text(prompts.read_text().splitlines()[0] + f"\n{line}\n")
    with pytest.raises(DataError, match=complaint):
        read_prompts(prompts, find_pictures([pictures]).pictures)


def test_missing_file_is_one_sentence(pictures: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_prompts(pictures / "nowhere.jsonl", find_pictures([pictures]).pictures)

"""The file of boxes and points."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from perceptio.data.errors import DataError
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import find_pictures
from perceptio.labeling.prompts import prompts_hash, read_prompts


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
        ("{", "prompts.jsonl:2 .*no JSON"),
        ('{"image": "pictures/1.png", "image": "pictures/2.png"}', "prompts.jsonl:2 .*'image' stands twice"),
        ('{"image": "pictures/1.png", "points": [[1e999, 1]]}', "points must hold lists of 2 finite"),
        ('{"image": "pictures/1.png", "points": [[1' + "0" * 400 + ", 1]]}", "points must hold lists of 2 finite"),
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


def test_text_as_editors_save_it_is_read(pictures: Path, prompts: Path) -> None:
    expected = read_prompts(prompts, find_pictures([pictures]).pictures)
    text = prompts.read_text()
    prompts.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())
    assert read_prompts(prompts, find_pictures([pictures]).pictures) == expected
    name = "a\u2028b\x85\"c'\n.png"
    (pictures / "0.png").rename(pictures / name)
    prompts.write_text(json.dumps({"image": f"pictures/{name}", "points": [[1, 1]]}, ensure_ascii=False) + "\n")
    assert list(read_prompts(prompts, find_pictures([pictures]).pictures)) == [f"pictures/{name}"]


def test_hash_follows_the_prompts_and_not_the_file(pictures: Path, prompts: Path) -> None:
    files = find_pictures([pictures]).pictures
    lines = prompts.read_text().splitlines()

    def hashed(lines: list[str]) -> str:
        prompts.write_text("\n".join(lines))
        return prompts_hash(read_prompts(prompts, files), files[:3])

    first = hashed(lines)
    assert hashed([*reversed(lines), ""]) == first
    assert hashed(lines[:1]) == first  # the others are of other pictures
    assert hashed([*lines, '{"image": "pictures/1.png", "points": [[1, 1]]}']) != first
    assert hashed([lines[0].replace("60", "61")]) != first


def test_missing_file_is_one_sentence(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"prompts .*nowhere\.jsonl"):
        read_prompts(pictures / "nowhere.jsonl", find_pictures([pictures]).pictures)

"""Boxes and points that say which objects get masks, from a file of JSON lines.

One line a picture: {"image": "a.jpg", "boxes": [[x0, y0, x1, y1], ...], "points": [[x, y], ...]}, in pixels of the
upright picture; `image` is a path relative to the file of the lines.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from perceptio.data.errors import DataError
from perceptio.files import parse_json, read_lines
from perceptio.labeling.mask_teacher import MaskPrompts
from perceptio.labeling.pictures import PictureFile

_FIELDS = ("image", "boxes", "points")
_FARTHEST = 1e9  # px, where a whole number of any length is still a float; NaN and infinity lie beyond


def read_prompts(path: Path, pictures: Sequence[PictureFile]) -> Mapping[str, MaskPrompts]:
    """The prompts of each picture that has any, by its key.

    Raises:
        DataError: if the file cannot be read, a line is not of the form above, or names a picture that is not among
            `pictures`, or one that an earlier line named.
    """
    keys = {_absolute(picture.location): picture.key for picture in pictures}
    found: dict[str, MaskPrompts] = {}
    for number, line in _lines(path):
        where = f"{path}:{number}"
        image, prompts = _parse(line, where)
        key = keys.get(_absolute(path.parent / image))
        if key is None:
            raise DataError(f"{where}: {image} is not among the pictures to label: paths are relative to {path.name}")
        if key in found:
            raise DataError(f"{where}: {image} has prompts on an earlier line: put them together")
        found[key] = prompts
    return found


def prompts_hash(prompts: Mapping[str, MaskPrompts], pictures: Sequence[PictureFile]) -> str:
    """First 16 digits of the SHA-256 over the prompts of some pictures."""
    named = [(each.key, prompts[each.key].boxes, prompts[each.key].points) for each in pictures if each.key in prompts]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        yield from read_lines(path)
    except ValueError as error:
        raise DataError(f"the prompts cannot be read: {error}") from error


def _absolute(path: Path) -> str:
    return os.path.normpath(path.absolute())


def _parse(line: str, where: str) -> tuple[str, MaskPrompts]:
    try:
        content = parse_json(line, where)
    except ValueError as error:
        raise DataError(str(error)) from error
    if not isinstance(content, dict) or not isinstance(content.get("image"), str):
        raise DataError(f'{where}: a line must be an object with the path of its picture in "image"')
    unknown = next((name for name in content if name not in _FIELDS), None)
    if unknown is not None:
        raise DataError(f"{where}: {unknown!r} is no field; the fields are {', '.join(_FIELDS)}")
    boxes = _numbers(content.get("boxes", []), 4, f"{where}: boxes")
    points = _numbers(content.get("points", []), 2, f"{where}: points")
    for x0, y0, x1, y1 in boxes:
        if x0 >= x1 or y0 >= y1:
            raise DataError(
                f"{where}: the box {[x0, y0, x1, y1]} is empty: it must be [x0, y0, x1, y1], x0 < x1, y0 < y1"
            )
    return content["image"], MaskPrompts(boxes, points)


def _numbers(value: Any, length: int, where: str) -> tuple[tuple[float, ...], ...]:
    """A list of lists of `length` finite numbers."""
    if not isinstance(value, list):
        raise DataError(f"{where} must be a list of lists of {length} numbers")
    for item in value:
        fits = isinstance(item, list) and len(item) == length
        if not fits or not all(type(x) in (int, float) and abs(x) <= _FARTHEST for x in item):
            raise DataError(f"{where} must hold lists of {length} finite numbers, not {repr(item)[:100]}")
    return tuple(tuple(float(x) for x in item) for item in value)

"""The one schema of training and evaluation data: a picture, its truth, and questions about it (docs/data.md).

A `Sample` names its picture and depth map by their files, as a line of JSONL or a row of parquet does, or holds them as
arrays: `data/reading.py` turns the one into the other, and scenes are made with arrays. Only the form is checked here:
fields, their types and their few allowed words.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from dataclasses import field as with_metadata
from functools import partial
from typing import Any, Literal, cast

import numpy as np
from pycocotools import mask as coco

from perceptio.data import fields
from perceptio.data.fields import SampleError
from perceptio.depth.normalization import resize_nearest

Span = Literal["seg", "depth", "text"]
DepthKind = Literal["metric", "inverse"]
Polygons = list[list[float]]  # [[x, y, x, y, ...], ...], px of the upright picture
MaskCode = dict[str, Any] | Polygons  # or {"size": [H, W], "counts": str or list}, COCO's run-length code

SPANS: tuple[Span, ...] = ("seg", "depth", "text")  # in the order of an answer
DEPTH_KINDS: tuple[DepthKind, ...] = ("metric", "inverse")
SCALES = (1e-6, 1e6)  # between which a PNG's values per metre lie
ABSENT = -1  # in place of a mask: an object that is spoken of, and is not there


@dataclass(frozen=True)
class Mark:
    """One labelled point that is drawn into the picture."""

    letter: str
    x: int  # px of the upright picture, to the right
    y: int  # px, down
    nearness: float = with_metadata(default=math.nan, metadata={"written": False})  # in [-1, 1] where it is known

    @classmethod
    def from_dict(cls, data: Any, where: str, field: str = "") -> Mark:
        """Read one.

        Raises:
            SampleError: if it is not of this form.
        """
        readers = {"letter": fields.text, "x": fields.integer, "y": fields.integer}
        return cls(**fields.read_fields(cls, readers, data, where, field))


@dataclass(frozen=True)
class Turn:
    """One question with its answer."""

    question: str
    answer: str  # referred phrases may be wrapped in <p>...</p>, in the order of the masks
    task: str = "other"  # any name; losses, weights and counts go by it
    masks: tuple[int, ...] = ()  # of the sample's masks, or `ABSENT`: one for each [SEG], in order of mention
    depth: bool = False  # a depth span precedes the answer
    target: str = ""  # the word of the answer that scoring looks for: "B", "3", "yes"
    supervise: tuple[Span, ...] = SPANS  # parts of the answer that are taught; the others are read only

    @classmethod
    def from_dict(cls, data: Any, where: str, field: str = "") -> Turn:
        """Read one.

        Raises:
            SampleError: if it is not of this form.
        """
        readers: dict[str, fields.Reader] = {
            "question": fields.text,
            "answer": fields.text,
            "task": fields.text,
            "masks": partial(fields.items, fields.integer),
            "depth": fields.truth,
            "target": fields.text,
            "supervise": partial(fields.items, partial(fields.word, SPANS)),
        }
        return cls(**fields.read_fields(cls, readers, data, where, field))


def target_place(answer: str, target: str) -> tuple[int, int] | None:
    """Begin and end of the target in an answer: of several the last, since a chain of thought names every candidate."""
    found = list(re.finditer(rf"(?<!\w){re.escape(target)}(?!\w)", answer, re.IGNORECASE)) if target else []
    return found[-1].span() if found else None


@dataclass(frozen=True)
class IdMap:
    """Masks that do not overlap, by the value of their pixels."""

    ids: np.ndarray  # (h, w) uint8; the mask of number n is ids == n, from 1 on

    def __len__(self) -> int:
        return int(self.ids.max())


@dataclass(frozen=True)
class Sample:
    """One picture with what is asked about it, and its truth where there is one."""

    image: str | np.ndarray  # path, relative to the file that holds the sample; or (H, W, 3) uint8 RGB, marks drawn
    turns: tuple[Turn, ...]
    key: str = ""  # names the sample in messages
    masks: tuple[MaskCode, ...] | IdMap = ()
    depth: str | np.ndarray | None = None  # path of a PNG of 16 bits or .npy; or (h, w) inverse depth in [-1, 1]
    depth_kind: DepthKind = "metric"  # of a file: metres, or inverse depth of any scale, larger is nearer
    depth_scale: float = 1000.0  # a PNG's values per metre
    codes: tuple[int, ...] | None = None  # the depth map as the model's tokenizer writes it (`perceptio label`)
    marks: tuple[Mark, ...] = ()  # points drawn into the picture
    source: str = ""  # where the sample comes from
    licence: str = ""  # of the sample

    def mask(self, number: int, side: int) -> np.ndarray:
        """The mask of one object as (side, side) bool, each pixel the one under its centre; empty for `ABSENT`.

        The masks are those of a sample that was read: compressed run-length codes, or an `IdMap`.
        """
        if number == ABSENT:
            return np.zeros((side, side), bool)
        if isinstance(self.masks, IdMap):
            return resize_nearest(self.masks.ids, side) == number
        return resize_nearest(coco.decode(self.masks[number]), side).astype(bool)

    def to_dict(self, where: str = "the sample") -> dict[str, Any]:
        """What a line holds; fields with their defaults are not named.

        Args:
            where: a name of the sample, for messages.

        Raises:
            SampleError: if picture or depth are no files, or a value has no place in a line.
        """
        for name in ("image", "depth"):
            if isinstance(getattr(self, name), np.ndarray):
                raise SampleError(where, name, "is an array, but a line names a file: save it, and give its path")
        if isinstance(self.masks, IdMap):
            raise SampleError(where, "masks", "are a map of numbers, but a line holds run-length codes or polygons")
        line: dict[str, Any] = fields.plain(self, where, "")
        return line

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Sample:
        """Read one.

        Args:
            data: what a line holds; fields that are absent or null have their default.
            where: file and line, for messages.

        Raises:
            SampleError: if it is not of this form, with the field.
        """
        readers: dict[str, fields.Reader] = {
            "image": fields.path,
            "turns": partial(fields.items, Turn.from_dict),
            "key": fields.text,
            "masks": partial(fields.items, _mask),
            "depth": fields.path,
            "depth_kind": partial(fields.word, DEPTH_KINDS),
            "depth_scale": partial(fields.between, *SCALES),
            "codes": partial(fields.items, _code),
            "marks": partial(fields.items, Mark.from_dict),
            "source": fields.text,
            "licence": fields.text,
        }
        return cls(**fields.read_fields(cls, readers, data, where, ""))


def _code(value: Any, where: str, field: str) -> int:
    code = fields.integer(value, where, field)
    if abs(code) >= 2**31:
        raise SampleError(where, field, f"is no depth code of any model: {code}")
    return code


def _mask(value: Any, where: str, field: str) -> MaskCode:
    if isinstance(value, dict):
        size, counts = value.get("size"), value.get("counts")
        if len(value) != 2 or not _are_integers(size) or not (isinstance(counts, str) or _are_integers(counts)):
            raise SampleError(where, field, 'must be {"size": [height, width], "counts": text or list of numbers}')
        return value
    numbers = isinstance(value, list) and all(
        isinstance(polygon, list) and all(type(x) in (int, float) for x in polygon) for polygon in value
    )
    if not numbers:
        raise SampleError(where, field, "must be a run-length code or polygons, [[x, y, x, y, ...], ...]")
    return cast(Polygons, value)


def _are_integers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)

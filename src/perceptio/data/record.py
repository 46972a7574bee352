"""The one schema of training and evaluation data: a picture, its truth, and questions about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pycocotools import mask as coco

from perceptio.data.schema import SPANS, Span
from perceptio.depth.normalization import resize_nearest


@dataclass(frozen=True)
class Turn:
    """One question with its answer."""

    question: str
    answer: str  # referred phrases are wrapped in <p>...</p>, in order of mention
    task: str  # name of the task, for scores by type
    referents: tuple[int, ...] = ()  # of the record's masks, one for each [SEG], in order of mention; or `ABSENT`
    depth: bool = False  # a depth span precedes the answer
    target: str = ""  # the short answer that scoring looks for: "B", "3", "yes"
    supervise: tuple[Span, ...] = SPANS  # parts of the answer that are taught; the others are read only


def telling(answer: str, target: str) -> tuple[int, int] | None:
    """Begin and end of the telling word in an answer: of several the last, a chain of thought names every candidate."""
    found = list(re.finditer(rf"(?<!\w){re.escape(target)}(?!\w)", answer, re.IGNORECASE)) if target else []
    return found[-1].span() if found else None


@dataclass(frozen=True)
class Mark:
    """One labelled point drawn into a picture."""

    letter: str
    x: int  # px of the picture with marks
    y: int
    nearness: float  # normalised inverse depth in [-1, 1]


class Masks(Protocol):
    """The masks of a record's objects."""

    def resized(self, referent: int, side: int) -> np.ndarray:
        """The mask of one object as (side, side) bool, each pixel the one under its centre."""


@dataclass(frozen=True)
class IdMap:
    """Masks that do not overlap, by the value of their pixels."""

    ids: np.ndarray  # (h, w) uint8; the mask of referent r is ids == r

    def resized(self, referent: int, side: int) -> np.ndarray:
        """See `Masks`."""
        return resize_nearest(self.ids, side) == referent


@dataclass(frozen=True)
class MaskList:
    """Masks that may overlap, by their index; kept as codes, because a photograph's masks are large."""

    rles: tuple[dict[str, Any], ...]  # compressed COCO RLE

    def resized(self, referent: int, side: int) -> np.ndarray:
        """See `Masks`."""
        return resize_nearest(coco.decode(self.rles[referent]), side).astype(bool)


@dataclass(frozen=True)
class Record:
    """One picture with everything asked about it."""

    key: str  # names the record in messages
    image: np.ndarray  # (H, W, 3) uint8
    turns: tuple[Turn, ...]
    masks: Masks | None = None
    inverse_depth: np.ndarray | None = None  # (h, w) float32 in [-1, 1], larger is nearer
    marks: tuple[Mark, ...] = ()  # points drawn into the picture
    codes: tuple[int, ...] | None = None  # the depth map in the tokenizer's codes, where they take its place
    own_codes: tuple[int, ...] | None = None  # what the model wrote, where answers read that and not the truth

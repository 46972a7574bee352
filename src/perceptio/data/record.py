"""The one schema of training and evaluation data: a picture, its truth, and questions about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """One question with its answer."""

    question: str
    answer: str  # referred phrases are wrapped in <p>...</p>, in order of mention
    task: str  # name of the task, for scores by type
    referents: tuple[int, ...] = ()  # values in the record's id map, one for each [SEG], in order of mention
    depth: bool = False  # a depth span precedes the answer
    target: str = ""  # the short answer that scoring looks for: "B", "3", "yes"


@dataclass(frozen=True)
class Mark:
    """One labelled point drawn into a picture."""

    letter: str
    x: int  # px of the picture with marks
    y: int
    nearness: float  # normalised inverse depth in [-1, 1]


@dataclass(frozen=True)
class Record:
    """One picture with everything asked about it."""

    key: str  # names the record in messages
    image: np.ndarray  # (H, W, 3) uint8
    turns: tuple[Turn, ...]
    ids: np.ndarray | None = None  # (h, w) uint8 instance map; the mask of referent r is ids == r
    inverse_depth: np.ndarray | None = None  # (h, w) float32 in [-1, 1], larger is nearer
    marks: tuple[Mark, ...] = ()  # points drawn into the picture

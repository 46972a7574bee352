"""What an evaluation keeps of each sample, and the figures that many samples add up to.

A sample adds one outcome to each figure it takes part in. The kind of the outcome decides how they are put together:
`bool` to a share, `float` to a mean, `Overlap` to cIoU and gIoU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from pycocotools import mask as coco

from perceptio.evaluation.metrics import MaskScore, Mean, Share
from perceptio.evaluation.report import Figure


@dataclass(frozen=True)
class Overlap:
    """A predicted mask against its target, in pixels."""

    intersection: int
    union: int

    @classmethod
    def of(cls, predicted: np.ndarray, target: np.ndarray) -> Overlap:
        """Of two (H, W) bool masks.

        Raises:
            ValueError: if their sizes differ.
        """
        if predicted.shape != target.shape:
            raise ValueError(f"a mask of {predicted.shape} cannot be compared with one of {target.shape}")
        both = int(np.count_nonzero(predicted & target))
        return cls(both, int(np.count_nonzero(predicted)) + int(np.count_nonzero(target)) - both)

    @classmethod
    def of_codes(cls, predicted: dict[str, Any], target: dict[str, Any]) -> Overlap:
        """Of two masks as compressed COCO RLE: exact, and without looking at a pixel.

        Raises:
            ValueError: if their sizes differ.
        """
        if list(predicted["size"]) != list(target["size"]):
            raise ValueError(f"a mask of {predicted['size']} cannot be compared with one of {target['size']}")
        both = int(coco.area(coco.merge([predicted, target], intersect=True)))
        return cls(both, int(coco.area(predicted)) + int(coco.area(target)) - both)

    @property
    def iou(self) -> float:
        """Intersection over union; 1 if both masks are empty."""
        return self.intersection / self.union if self.union else 1.0


Outcome: TypeAlias = bool | float | Overlap


@dataclass(frozen=True)
class Judged:
    """One question that was asked, and what came of it."""

    key: str  # unique in its evaluation, and the same in every evaluation of the same benchmark
    image: str  # names the picture: samples of one picture are not independent
    outcomes: dict[str, Outcome]  # by figure
    record: dict[str, Any] = field(default_factory=dict)  # question, answer, what was malformed: JSON-safe, for people

    def to_json(self) -> str:
        """One line; an overlap is written as [intersection, union]."""
        outcomes = {
            name: [value.intersection, value.union] if isinstance(value, Overlap) else value
            for name, value in self.outcomes.items()
        }
        # outcomes are counts, truths and finite measures: a NaN is a mistake of the benchmark
        return json.dumps(
            {"key": self.key, "image": self.image, "outcomes": outcomes, **self.record},
            allow_nan=False,
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, line: str) -> Judged:
        """What `to_json` wrote."""
        data = json.loads(line)
        outcomes = {
            name: Overlap(*value) if isinstance(value, list) else value for name, value in data.pop("outcomes").items()
        }
        return cls(data.pop("key"), data.pop("image"), outcomes, data)


def by_figure(samples: Iterable[Judged]) -> dict[str, list[tuple[Judged, Outcome]]]:
    """Samples and outcomes of each figure, figures in the order of their first sample."""
    found: dict[str, list[tuple[Judged, Outcome]]] = {}
    for sample in samples:
        for name, outcome in sample.outcomes.items():
            found.setdefault(name, []).append((sample, outcome))
    return found


def figures(samples: Iterable[Judged], order: Sequence[str] = ()) -> list[Figure]:
    """Put outcomes together.

    Args:
        samples: of one evaluation.
        order: names of figures that come first, in this order; a name without samples gives a figure of none. Other
            figures follow in the order of their first sample.

    Returns:
        A share with its standard error, a mean, or for overlaps the two figures "... cIoU" and "... gIoU".
    """
    found = by_figure(samples)
    names = [*order, *(name for name in found if name not in order)]
    return [figure for name in names for figure in _combined(name, [outcome for _, outcome in found.get(name, [])])]


def _combined(name: str, outcomes: list[Outcome]) -> list[Figure]:
    if not outcomes:
        return [Figure(name, math.nan, 0)]
    kinds = {type(outcome) for outcome in outcomes}
    assert len(kinds) == 1, f"outcomes of {name} are of several kinds: {kinds}"
    if kinds == {Overlap}:
        score = MaskScore()
        for outcome in outcomes:
            assert isinstance(outcome, Overlap)
            score.add(outcome.intersection, outcome.union)
        return [
            Figure(f"{name} cIoU", score.ciou, score.count, percent=False),
            Figure(f"{name} gIoU", score.giou, score.count, percent=False),
        ]
    if kinds == {bool}:
        share = Share()
        for outcome in outcomes:
            share.add(bool(outcome))
        return [Figure(name, share.value, share.count, error=share.error)]
    mean = Mean()
    for outcome in outcomes:
        assert isinstance(outcome, float)
        mean.add(outcome)
    return [Figure(name, mean.value, mean.count, percent=False)]

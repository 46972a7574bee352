"""What an evaluation keeps of each sample, and the figures that many samples add up to.

A sample adds one outcome to each figure it takes part in. The kind of the outcome decides how they are put together:
`bool` to a share, `float` to a mean, `Overlap` to cIoU and gIoU.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from pycocotools import mask as coco

from perceptio.evaluation.metrics import MaskScore, Mean, Share
from perceptio.evaluation.report import Figure
from perceptio.files import json_line, parse_json


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

_LARGEST = 2**63  # more pixels than any number of pictures has


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
        return json_line({"key": self.key, "image": self.image, "outcomes": outcomes, **self.record})

    @classmethod
    def from_json(cls, line: str, where: str = "the sample") -> Judged:
        """What `to_json` wrote.

        Raises:
            ValueError: if it is something else; it begins with `where`.
        """
        data = parse_json(line, where)
        if not isinstance(data, dict):
            raise ValueError(f"{where} is damaged: it is no JSON object")
        for name, kind in (("key", str), ("image", str), ("outcomes", dict)):
            if not isinstance(data.get(name), kind):
                raise ValueError(f"{where} is damaged: {name} is {data.get(name)!r:.80}")
        outcomes = {
            name: _outcome(value, f"{where} is damaged: {name}") for name, value in data.pop("outcomes").items()
        }
        return cls(data.pop("key"), data.pop("image"), outcomes, data)


def _outcome(value: Any, what: str) -> Outcome:
    """An outcome as `to_json` writes it."""
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list) and [type(number) for number in value] == [int, int]:
        intersection, union = value
        if 0 <= intersection <= union < _LARGEST:
            return Overlap(intersection, union)
    raise ValueError(f"{what} is {value!r:.80}, which is no outcome of a sample")


def misfit(samples: Sequence[Judged]) -> str | None:
    """Why samples cannot be those of one evaluation."""
    repeated = [key for key, count in Counter(sample.key for sample in samples).items() if count > 1]
    if repeated:
        return f"the sample {repeated[0]!r} is there twice"
    for name, found in by_figure(samples).items():
        kinds = {type(outcome).__name__ for _, outcome in found}
        if len(kinds) > 1:
            return f"outcomes of {name!r} are of several kinds, {' and '.join(sorted(kinds))}"
    return None


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

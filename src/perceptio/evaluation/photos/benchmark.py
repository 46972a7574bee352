"""Photographs that were judged by eye: order of points by the map and in words, and where named things are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.answer_choice import choose_option
from perceptio.data.marks import HARDBLINK_PROMPT, LETTERS, MARKED_SIZE, draw_marks
from perceptio.data.schema import Mark
from perceptio.evaluation.depth_pairs import DEPTH_PROMPT
from perceptio.evaluation.judged import Judged, Outcome, by_figure
from perceptio.evaluation.photos.annotations import NamedThing, PhotoOrder, Point
from perceptio.evaluation.photos.folder import FoundPhotograph, PhotoFolder, open_photographs
from perceptio.evaluation.photos.scoring import (
    Estimate,
    disparity_order,
    is_nearest,
    lower,
    more_central,
    pair_share,
    rule_finds,
    rule_share,
)
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.refseg import PROMPT, prompt_for
from perceptio.evaluation.report import Figure
from perceptio.results import Answer
from perceptio.tokens import Switch

_WRITTEN = "depth map written"
_PAIRS = "nearer of two points, by the map"
_NEAREST = "nearest of 3 to 5 points, by the map"
_DISPARITY = "order of measured disparity, by the map"
_WORDS = "nearest of 3 to 5 marked points, in words"
_UNREADABLE = "unreadable answers"
_IOU = "named things, IoU of the mask's box"
_CENTRE = "named things, centre of the mask in the box"
_NO_MASK = "named things without a mask"
_RULES = {  # of pairs and of groups: what can be had without a look at the picture
    lower: ("rule: the lower of two is nearer", "rule: the lowest of 3 to 5 is nearest"),
    more_central: ("rule: the more central of two is nearer", "rule: the most central of 3 to 5 is nearest"),
}
_FIGURES = (
    _PAIRS,
    *(of_pairs for of_pairs, _ in _RULES.values()),
    _NEAREST,
    _WORDS,
    *(of_groups for _, of_groups in _RULES.values()),
    _DISPARITY,
    _IOU,
    _CENTRE,
    _NO_MASK,
    _WRITTEN,
    _UNREADABLE,
)


@dataclass(frozen=True)
class _Marked:
    """A group of points that is drawn into a picture."""

    marks: tuple[Mark, ...]  # in a picture of `MARKED_SIZE` px
    answer: str  # the letter of the nearest


class PhotosBenchmark:
    """All that was judged on the photographs of a folder; a unit is one photograph.

    Args:
        folder: where they are.
    """

    name = "photographs"
    protocol = "1"

    def __init__(self, folder: PhotoFolder) -> None:
        self.folder = folder

    @property
    def settings(self) -> dict[str, Any]:
        """Photographs used, those left out, a hash of what was judged, and the prompts."""
        return {
            "photographs": len(self.folder.found),
            "missing": self.folder.missing,
            "changed": self.folder.changed,
            "photo_order_sha256": self.folder.digest[:16],
            "prompts": [DEPTH_PROMPT, HARDBLINK_PROMPT, PROMPT],
        }

    def __len__(self) -> int:
        return len(self.folder.found)

    def items(self, unit: int) -> list[Item]:
        """A request for depth, a question for each group of points and one for each named thing."""
        found = self.folder.found[unit]
        photograph, source = found.photograph, found.source
        depth = Ask(source, DEPTH_PROMPT, seg=Switch.OFF, depth=Switch.ON, long=True)
        items = [self._item(found, "depth", depth, found)]
        picture = np.asarray(found.image())
        for number, group in enumerate(photograph.groups):
            marked = _marked(group, int(photograph.file.sha256[:8], 16) + number)
            ask = Ask(draw_marks(picture, marked.marks), HARDBLINK_PROMPT)
            items.append(self._item(found, f"marks {number}", ask, marked))
        for number, thing in enumerate(photograph.things):
            ask = Ask(source, prompt_for(thing.name), seg=Switch.ON)
            items.append(self._item(found, f"thing {number}", ask, thing))
        return items

    def _item(self, found: FoundPhotograph, part: str, ask: Ask, truth: Any) -> Item:
        file = found.photograph.file
        return Item(f"{found.photograph.name}/{part}", (ask,), truth, f"{file.package}/{file.path}")

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """One answer about one photograph."""
        (ask,), (answer,) = item.asks, answers
        record = answer_record(ask, answer)
        outcomes: dict[str, Outcome]
        if isinstance(item.truth, _Marked):
            chosen = choose_option(answer.text, "".join(mark.letter for mark in item.truth.marks))
            outcomes = {_WORDS: chosen == item.truth.answer, _UNREADABLE: chosen is None}
            record = {"target": item.truth.answer, "chosen": chosen, **record}
        elif isinstance(item.truth, NamedThing):
            outcomes = _thing_outcomes(answer, item.truth)
        else:
            outcomes = _depth_outcomes(answer, item.truth)
        return Judged(item.key, item.key.rpartition("/")[0], outcomes, record)

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """Means over samples, with standard errors over photographs."""
        found = by_figure(samples)
        figures = []
        for name in _FIGURES:
            of_photograph: dict[str, list[float]] = {}
            for sample, outcome in found.get(name, []):
                assert isinstance(outcome, (bool, float))
                of_photograph.setdefault(sample.image, []).append(float(outcome))
            estimate = Estimate.of(of_photograph)
            figures.append(Figure(name, estimate.value, estimate.count, error=estimate.error))
        return figures


def open_photos(
    root: str | Path, *, allow_missing: bool = False, photo_order: PhotoOrder | None = None
) -> PhotosBenchmark:
    """The benchmark on a folder of unpacked packages; see `open_photographs`.

    Raises:
        EvaluationError: if photographs are missing, or not those that were judged.
    """
    return PhotosBenchmark(open_photographs(root, allow_missing=allow_missing, photo_order=photo_order))


def _marked(group: Sequence[Point], seed: int) -> _Marked:
    """The points with letters that tell nothing of their order."""
    letters = [LETTERS[place] for place in np.random.default_rng(seed).permutation(len(group))]
    places = [tuple(min(round(share * MARKED_SIZE), MARKED_SIZE - 1) for share in point) for point in group]
    marks = [Mark(letter, *place) for letter, place in zip(letters, places, strict=True)]
    return _Marked(tuple(sorted(marks, key=lambda mark: mark.letter)), letters[0])


def _depth_outcomes(answer: Answer, found: FoundPhotograph) -> dict[str, Outcome]:
    """What a map and the rules make of all pairs and groups; no map orders no points."""
    photograph, disparity = found.photograph, found.disparity()
    array = answer.depth.array if answer.depth is not None else np.zeros((1, 1), np.float32)
    outcomes: dict[str, Outcome] = {_WRITTEN: answer.depth is not None}
    if photograph.pairs:
        outcomes[_PAIRS] = pair_share(array, photograph.pairs)
        outcomes |= {of_pairs: rule_share(rule, photograph.pairs) for rule, (of_pairs, _) in _RULES.items()}
    if photograph.groups:
        outcomes[_NEAREST] = float(np.mean([is_nearest(array, group) for group in photograph.groups]))
        for rule, (_, of_groups) in _RULES.items():
            outcomes[of_groups] = float(np.mean([rule_finds(rule, group) for group in photograph.groups]))
    if disparity is not None:
        outcomes[_DISPARITY] = disparity_order(array, disparity)
    return outcomes


def _thing_outcomes(answer: Answer, thing: NamedThing) -> dict[str, Outcome]:
    """All masks of an answer together, against the box of the thing; no mask is an IoU of 0 and a centre outside."""
    outcomes: dict[str, Outcome] = {_IOU: 0.0, _CENTRE: False, _NO_MASK: True}
    if not answer.masks:
        return outcomes
    mask = np.logical_or.reduce([mask.array for mask in answer.masks])
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return outcomes
    height, width = mask.shape
    box = (
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    )
    x, y = (columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height
    left, top, right, bottom = thing.box
    return {
        _IOU: _box_iou(box, thing.box),
        _CENTRE: bool(left <= x <= right and top <= y <= bottom),
        _NO_MASK: False,
    }


def _box_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Of two boxes left, top, right, bottom."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(shared / (areas[0] + areas[1] - shared))

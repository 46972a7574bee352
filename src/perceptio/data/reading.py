"""A sample with its files read (picture and depth map as arrays, masks as run-length codes), or all that is wrong."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from perceptio.data.depth_files import read_depth
from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError, shown
from perceptio.data.marks import draw_marks, in_marked_picture
from perceptio.data.rle import segmentation_rles, union_rle
from perceptio.data.schema import ABSENT, MaskCode, Sample, Turn, target_place
from perceptio.images import ImageError, load_working_image
from perceptio.tokens import PHRASE_END, PHRASE_START, extract_phrases

BEYOND = 1.0  # px that a polygon may lie outside the picture: annotators' coordinates are rounded
ASPECT = 0.05  # relative difference of the proportions of picture and depth map that rounding may make

# What stands for a picture or a span in the text of other tools: here it would be read as such, or as nonsense.
_CONTROL = re.compile(
    r"<image>|<video>|</?img>|<IMG_CONTEXT>|<\|(?:im_start|im_end|endoftext)\|>|\[SEG\]|<DEPTH_(?:START|END|\d+)>"
)


def read_sample(sample: Sample, home: Path, where: str) -> Sample:
    """The same sample with its files read and its marks drawn.

    Args:
        sample: of the right form.
        home: folder that its paths are relative to.
        where: file and line, for messages.

    Raises:
        SampleError: the first thing wrong with it.
    """
    read, problems = inspect_sample(sample, home, where)
    if read is None:
        raise problems[0]
    return read


def inspect_sample(sample: Sample, home: Path, where: str) -> tuple[Sample | None, list[SampleError]]:
    """As `read_sample`, but with all that is wrong; the sample is None if anything is."""
    inspector = _Inspector(sample, home, where)
    read = inspector.read()
    return (None if inspector.problems else read), inspector.problems


class _Inspector:
    """The reading of one sample, which goes on after a problem to find the next."""

    def __init__(self, sample: Sample, home: Path, where: str) -> None:
        self.sample, self.home, self.where = sample, home, where
        self.problems: list[SampleError] = []

    def report(self, field: str, reason: object) -> None:
        self.problems.append(SampleError(self.where, field, str(reason)))

    def read(self) -> Sample | None:
        sample = self.sample
        assert isinstance(sample.image, str), "the sample was read already"
        assert isinstance(sample.masks, tuple)
        if not sample.turns:
            self.report("turns", "the conversation is empty: give at least one question with its answer")
        for number, turn in enumerate(sample.turns):
            self._check_turn(turn, f"turns[{number}]")
        self._check_repeats()
        if sample.codes is not None and any(code < 0 for code in sample.codes):
            self.report("codes", f"depth codes are numbers from 0, not {min(sample.codes)}")
        try:
            picture = load_working_image(self.home / sample.image)
        except ImageError as error:
            self.report("image", error)
            return None  # the rest is measured by the picture
        width, height = picture.size
        image = np.asarray(picture.image)
        rles = [self._rle(mask, f"masks[{number}]", height, width) for number, mask in enumerate(sample.masks)]
        inverse_depth = self._inverse_depth(height, width)
        self._check_marks(height, width)
        if self.problems:
            return None
        marks = tuple(in_marked_picture(mark, width, height) for mark in sample.marks)
        if marks:
            image = draw_marks(image, marks)
        return replace(
            sample,
            key=f"{self.where} ({sample.key})" if sample.key else self.where,
            image=image,
            masks=tuple(rles),
            depth=inverse_depth,
            marks=marks,
        )

    def _check_turn(self, turn: Turn, field: str) -> None:
        for name in ("question", "answer"):
            text = getattr(turn, name)
            control = _CONTROL.search(text)
            if not text.strip():
                self.report(f"{field}.{name}", "is empty")
            elif control:
                self.report(f"{field}.{name}", f"holds {control[0]}, which has a meaning to the model: take it out")
        if turn.target and target_place(turn.answer, turn.target) is None:
            reason = f"{shown(turn.target)} is no word of the answer: the loss would not weigh it"
            self.report(f"{field}.target", reason)
        count = len(self.sample.masks)
        beyond = [index for index in turn.masks if index != ABSENT and not 0 <= index < count]
        if beyond:
            self.report(f"{field}.masks", f"refers to mask {beyond[0]}, but the sample has {count}, numbered from 0")
        if turn.depth and self.sample.depth is None and self.sample.codes is None:
            self.report(f"{field}.depth", "asks for depth, but the sample has neither a depth map nor codes")
        phrases = extract_phrases(turn.answer)[1]
        marks = turn.answer.count(PHRASE_START)
        if marks != turn.answer.count(PHRASE_END) or marks != len(phrases):
            self.report(
                f"{field}.answer", f"holds {PHRASE_START} or {PHRASE_END}, which must enclose a phrase each time"
            )
        elif "seg" in turn.supervise and phrases and len(turn.masks) != len(phrases):
            # one phrase may name several objects: "<p>all cubes</p>"
            missing = f"{shown(phrases[0])}, but to no mask" if not turn.masks else ""
            if len(phrases) > 1 and turn.masks:
                missing = f"{len(phrases)} phrases, but to {_masks(turn)}"
            if missing:
                self.report(f"{field}.masks", f"do not match the answer: it refers to {missing}")
        taught = {"text": True, "seg": bool(turn.masks), "depth": turn.depth}
        if not any(taught[span] for span in turn.supervise):
            self.report(f"{field}.supervise", "nothing of this turn is taught: leave it out, or name a span it has")

    def _check_repeats(self) -> None:
        first: dict[Turn, int] = {}
        for number, turn in enumerate(self.sample.turns):
            before = first.setdefault(replace(turn, task=""), number)
            if before != number:
                reason = f"is asked twice with the same answer: take it out, or turns[{before}]"
                self.report(f"turns[{number}].question", reason)

    def _rle(self, mask: MaskCode, field: str, height: int, width: int) -> dict[str, Any]:
        try:
            if isinstance(mask, list):
                _check_polygons(mask)
            rle = union_rle(segmentation_rles(mask, height, width, beyond=BEYOND), height, width)
        except ValueError as error:
            self.report(field, error)
            return {}
        if not coco.area(rle):
            self.report(field, "covers no pixel: name an object that is not there by mask -1 in the turn")
        return rle

    def _inverse_depth(self, height: int, width: int) -> np.ndarray | None:
        sample = self.sample
        if sample.depth is None:
            return None
        try:
            depth = read_depth(self.home / sample.depth, sample.depth_kind, sample.depth_scale)
        except DataError as error:
            self.report("depth", error)
            return None
        across, down = depth.size
        if abs(math.log(down * width / (across * height))) > ASPECT:
            reason = f"the map is {across} x {down} pixels, not in the proportions of the picture, {width} x {height}"
            self.report("depth", reason)
        return depth.nearness

    def _check_marks(self, height: int, width: int) -> None:
        letters = Counter(mark.letter for mark in self.sample.marks)
        for number, mark in enumerate(self.sample.marks):
            if not (0 <= mark.x < width and 0 <= mark.y < height):
                where = f"({mark.x}, {mark.y})"
                self.report(f"marks[{number}]", f"{where} lies outside the picture of {width} x {height} pixels")
            if len(mark.letter) != 1 or letters[mark.letter] > 1:
                self.report(f"marks[{number}].letter", f"{shown(mark.letter)} is not one letter that no other mark has")


def _check_polygons(polygons: list[list[float]]) -> None:
    if not polygons:
        raise ValueError("there is no polygon")
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon is at least three points x, y, not {len(polygon)} numbers")


def _masks(turn: Turn) -> str:
    return f"{len(turn.masks)} mask{'s' if len(turn.masks) > 1 else ''}"

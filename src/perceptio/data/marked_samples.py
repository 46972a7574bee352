"""Pictures whose depth is known -> HardBLINK's question: which of the marked points is the closest to the camera?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from perceptio.data.depth_files import read_depth
from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError
from perceptio.data.marks import (
    HARDBLINK,
    LETTERS,
    MARKED_SIZE,
    choose_points,
    in_marked_picture,
    in_picture,
    keep_law,
    marked_turn,
)
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Mark, Sample
from perceptio.depth.normalization import resize_nearest
from perceptio.images import ImageError, upright_size

_TRIES = 4  # sets of points of one question: those that a small picture has no pixels for are drawn anew


@dataclass(frozen=True)
class MarkPlan:
    """Which questions are asked."""

    points: tuple[int, ...] = (3, 4, 5)  # a question has one of these numbers of points
    per_picture: int = 1  # questions about one picture, as far as it has points for them
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = next((count for count in self.points if not 2 <= count <= len(LETTERS)), None)
        if wrong is not None or not self.points:
            raise ValueError(f"the numbers of marked points lie between 2 and {len(LETTERS)}, not at {wrong}")
        if not 1 <= self.per_picture <= 100:
            raise ValueError(f"a picture is asked about 1 to 100 times, not {self.per_picture}")


@dataclass
class MarkedReport:
    """What became of pictures."""

    questions: int = 0
    pictures: int = 0  # with questions
    left_out: Counter[str] = field(default_factory=Counter)  # what has none, and why


def marked(
    sample: Sample, nearness: np.ndarray, size: tuple[int, int], plan: MarkPlan, rng: np.random.Generator
) -> list[Sample]:
    """Questions about one picture, a sample each, since marks are drawn into it; none if it has no such points.

    Points follow `marks.HARDBLINK` where they are drawn, in a picture of 336 px.

    Args:
        sample: with picture and depth, or codes.
        nearness: (h, w) float in [-1, 1], larger is nearer.
        size: (width, height) of the picture, px.
        plan: what to ask.
        rng: of every draw.
    """
    nearness = resize_nearest(nearness, MARKED_SIZE)
    found: list[Sample] = []
    for _ in range(plan.per_picture):
        placed, drawn = _points(nearness, size, plan, rng)
        if drawn and all(placed != each.marks for each in found):
            found.append(replace(sample, turns=(marked_turn(drawn),), masks=(), marks=placed))
    if plan.per_picture > 1:
        found = [replace(each, key=f"{each.key}/{number}") for number, each in enumerate(found, 1)]
    return found


def marked_samples(file: SampleFile, home: Path, plan: MarkPlan, report: MarkedReport) -> Iterator[Sample]:
    """Questions about the pictures of a file of samples, from their depth maps; each picture once.

    Args:
        file: of samples, of which picture, depth, source and licence are taken.
        home: the folder that the new samples' paths are relative to.
        plan: what to ask.
        report: counts what is found, and samples without a depth map.

    Raises:
        SampleError: if a sample is not of the form, or its picture or depth map cannot be read.
    """
    seen: set[str] = set()
    for index in tqdm(range(len(file)), "marking", unit="sample", disable=None):
        sample = file[index]
        assert isinstance(sample.image, str), "a line names a file"
        picture = file.path.parent / sample.image
        if os.path.realpath(picture) in seen:
            continue
        if sample.depth is None:
            report.left_out["samples without a depth map"] += 1
            continue
        seen.add(os.path.realpath(picture))
        assert isinstance(sample.depth, str), "a line names a file"
        try:
            size = upright_size(picture)
        except ImageError as error:
            raise SampleError(file.where(index), "image", str(error)) from error
        try:
            nearness = read_depth(file.path.parent / sample.depth, sample.depth_kind, sample.depth_scale).nearness
        except DataError as error:
            raise SampleError(file.where(index), "depth", str(error)) from error
        there = replace(
            sample,
            image=relative(picture, home),
            depth=relative(file.path.parent / sample.depth, home),
            key=sample.key or file.where(index),
        )
        yield from counted(marked(there, nearness, size, plan, np.random.default_rng((plan.seed, index))), report)


def counted(found: list[Sample], report: MarkedReport) -> list[Sample]:
    """The questions about one picture, told to the report."""
    report.questions += len(found)
    report.pictures += bool(found)
    if not found:
        report.left_out["pictures without points whose order is clear"] += 1
    return found


def relative(path: Path, home: Path) -> str:
    """How a sample of a file in `home` names another file; links of folders are followed, as opening the name will."""
    place = Path(os.path.realpath(path.parent), path.name)
    return Path(os.path.relpath(place, os.path.realpath(home))).as_posix()


def _points(
    nearness: np.ndarray, size: tuple[int, int], plan: MarkPlan, rng: np.random.Generator
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    """Marks in the picture, and the same where they are drawn; none if there is no such set."""
    for _ in range(_TRIES):
        for count in rng.permutation(plan.points):
            marks = choose_points(nearness, None, int(count), rng, HARDBLINK)
            placed = tuple(in_picture(mark, *size) for mark in marks)
            drawn = tuple(in_marked_picture(mark, *size) for mark in placed)
            if marks and keep_law(drawn, HARDBLINK):
                return placed, drawn
    return (), ()

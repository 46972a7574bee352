"""The set of photographs that is part of the package."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.marks import APART, MARKED_SIZE
from perceptio.evaluation.photos.annotations import PhotoOrder, read_photo_order
from perceptio.evaluation.photos.folder import FoundPhotograph, open_photographs
from perceptio.evaluation.photos.scoring import (
    disparity_order,
    is_nearest,
    lower,
    more_central,
    pair_share,
    rule_finds,
    rule_share,
)

WHEELS = Path(sys.prefix) / "photographs"  # where scripts/install.sh puts them


@pytest.fixture(scope="module")
def whole() -> PhotoOrder:
    return read_photo_order()


@pytest.fixture(scope="module")
def motorcycle() -> FoundPhotograph:
    if not WHEELS.is_dir():
        pytest.skip("scripts/install.sh has not been run")
    found = open_photographs(WHEELS, allow_missing=True).found
    assert {one.photograph.file.package for one in found} == {"scikit-image", "scikit-learn"}
    (one,) = (one for one in found if one.photograph.disparity)
    return one


def test_the_set_is_as_large_as_is_said(whole: PhotoOrder) -> None:
    assert len(whole.photographs) >= 60
    assert sum(len(one.pairs) for one in whole.photographs) >= 400
    assert sum(len(one.things) for one in whole.photographs) >= 100
    assert all(one.pairs and one.groups for one in whole.photographs)
    assert {one.file.package for one in whole.photographs} == set(whole.packages)


def test_names_and_files_are_told_apart(whole: PhotoOrder) -> None:
    for values in (
        [one.name for one in whole.photographs],
        [(one.file.package, one.file.path) for one in whole.photographs],
        [one.file.sha256 for one in whole.photographs],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []
    assert not [one.name for one in whole.photographs if "/" in one.name]


def test_points_lie_in_the_picture_and_apart(whole: PhotoOrder) -> None:
    for one in whole.photographs:
        points = [point for pair in one.pairs for point in (pair.nearer, pair.farther)]
        places = np.array([*points, *(point for group in one.groups for point in group)])
        assert places.min() >= 0, one.name
        assert places.max() < 1, one.name
        assert all(pair.nearer != pair.farther for pair in one.pairs), one.name
        for group in one.groups:
            assert 3 <= len(group) <= 5, one.name
            steps = np.array(group)[:, None] - np.array(group)
            distances = np.linalg.norm(steps, axis=2)[np.triu_indices(len(group), 1)]
            assert distances.min() * MARKED_SIZE >= APART, one.name  # circles do not touch


def test_boxes_have_names_and_an_inside(whole: PhotoOrder) -> None:
    for one in whole.photographs:
        assert len({thing.name for thing in one.things}) == len(one.things), one.name
        for thing in one.things:
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= 1, thing.name
            assert 0 <= top < bottom <= 1, thing.name
            assert thing.name == thing.name.strip().rstrip("."), thing.name


def test_no_rule_orders_the_points(whole: PhotoOrder) -> None:
    pairs = [pair for one in whole.photographs for pair in one.pairs]
    groups = [group for one in whole.photographs for group in one.groups]
    for rule in (lower, more_central):
        assert 0.5 <= rule_share(rule, pairs) <= 2 / 3
        assert np.mean([rule_finds(rule, group) for group in groups]) <= 0.55


def test_the_eye_agrees_with_measured_disparity(motorcycle: FoundPhotograph) -> None:
    disparity = motorcycle.disparity()
    assert disparity is not None
    assert disparity.shape == motorcycle.photograph.size[::-1] == motorcycle.image().size[::-1]
    assert pair_share(disparity, motorcycle.photograph.pairs) == 1
    assert all(is_nearest(disparity, group) for group in motorcycle.photograph.groups)
    assert disparity_order(disparity, disparity) == 1

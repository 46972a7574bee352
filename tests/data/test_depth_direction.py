"""Metric maps that are inverse depth are known by what is low in the picture."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data.depth_direction import direction, look_inverse
from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth
from perceptio.scenes.contact_sheet import fresh_scenes


def floor(height: int = 60, width: int = 80) -> np.ndarray:
    """Metres of a floor before a wall: from 5 m at the horizon to 1 m at the feet."""
    rows = 1 / np.interp(np.arange(height), [height * 0.4, height - 1], [1 / 5, 1])
    return np.tile(rows[:, None], (1, width))


def test_a_floor_is_nearer_below_whatever_the_scale() -> None:
    metres = floor()
    assert direction(inverse_depth_from_metric(metres)) == 1
    assert direction(inverse_depth_from_metric(metres * 1000)) == 1
    assert direction(inverse_depth_from_metric(1 / metres)) == -1  # inverse depth that is said to be metres
    assert direction(normalize_inverse_depth(1 / metres)) == 1  # and if it is called what it is
    assert direction(inverse_depth_from_metric(metres[::-1])) == -1
    assert direction(inverse_depth_from_metric(metres.T)) == 0
    assert direction(np.zeros((2, 3))) == 0
    noise = np.random.default_rng(0).random((50, 70))
    assert direction(noise) == 0


def test_pixels_far_away_do_not_hide_it() -> None:
    metres = floor()
    metres[0, ::7] = 1e9
    assert direction(inverse_depth_from_metric(metres)) == 1


@pytest.mark.parametrize(
    ("opposite", "others", "unclear", "looks"),
    [
        (20, 0, 0, True),
        (36, 4, 9, True),
        (35, 5, 0, False),
        (19, 0, 30, False),
        (0, 100, 0, False),
        (0, 0, 0, False),
    ],
)
def test_only_many_maps_of_one_mind_say_anything(opposite: int, others: int, unclear: int, looks: bool) -> None:
    reason = look_inverse([-1] * opposite + [1] * others + [0] * unclear)
    assert bool(reason) == looks
    if reason:
        assert f"in {opposite} of the {opposite + others} metric maps" in reason


def test_rendered_scenes_are_metric() -> None:
    directions = [direction(inverse_depth_from_metric(stored.depth)) for stored in fresh_scenes("test", 30)]
    assert directions.count(1) > 4 * directions.count(-1)
    assert look_inverse(directions) is None

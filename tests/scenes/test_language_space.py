"""Relations in space: clearly so, clearly not, and too close to call."""

from __future__ import annotations

import pytest

from perceptio.scenes.language import space
from perceptio.scenes.language.entities import Entity

WINDOW = Entity(9, "window", center=(0.0, 3.0, 1.6), extent=(1.6, 0.1, 1.0), on=None)  # foot at 1.1 m


def box(index: int, center: tuple[float, float, float], extent=(1.0, 0.6, 0.8), on: int | None = None) -> Entity:
    return Entity(index, "box", center=center, extent=extent, on=on)


def test_on_is_directly_on():
    desk, book, lamp = box(1, (0, 0, 0.4)), box(2, (0, 0, 0.85), on=1), box(3, (0, 0, 1.1), on=2)
    everything = (desk, book, lamp)
    assert space.is_on(book, desk, everything) is True
    assert space.is_on(lamp, desk, everything) is None  # on the book that is on the desk
    assert space.is_on(desk, lamp, everything) is False
    assert space.is_on(lamp, box(4, (5, 0, 0.4)), everything) is False


@pytest.mark.parametrize(
    ("center", "extent", "expected"),
    [
        ((0.0, 2.6, 0.4), (1.8, 0.7, 0.8), True),  # at the wall, below the window
        ((0.9, 2.6, 0.4), (1.8, 0.7, 0.8), True),  # half of the window above it
        ((1.4, 2.6, 0.4), (1.8, 0.7, 0.8), None),  # a little of it
        ((2.0, 2.6, 0.4), (1.8, 0.7, 0.8), False),  # beside
        ((0.0, 2.1, 0.4), (1.8, 0.7, 0.8), None),  # half a metre before the wall
        ((0.0, 0.5, 0.4), (1.8, 0.7, 0.8), False),  # in the middle of the room
        ((0.0, 2.6, 0.7), (1.8, 0.7, 1.4), None),  # it covers the lower part
        ((0.0, 2.6, 1.0), (1.8, 0.7, 2.0), False),  # a cupboard before the window
        ((0.0, 2.9, 2.4), (0.8, 0.1, 0.4), False),  # above it
    ],
)
def test_under(center, extent, expected):
    assert space.is_under(box(1, center, extent), WINDOW) is expected


def test_under_what_hangs_in_the_middle_of_a_room():
    lamp = box(2, (0.0, 0.0, 2.2), (0.4, 0.4, 0.3))
    assert space.is_under(box(1, (0.3, 0.0, 0.4), (1.4, 0.8, 0.8)), lamp) is True
    assert space.is_under(box(1, (3.0, 0.0, 0.4), (1.4, 0.8, 0.8)), lamp) is False
    assert space.is_under(lamp, box(1, (0.3, 0.0, 0.4))) is False


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (box(2, (1.3, 0.0, 0.4)), True),  # 0.3 m apart
        (box(2, (1.6, 0.0, 0.4)), None),  # 0.6 m
        (box(2, (2.0, 0.0, 0.4)), False),
        (box(2, (1.3, 1.2, 0.4)), None),  # 0.3 m in one direction, 0.6 m in the other
        (box(2, (0.2, 0.2, 0.4)), None),  # one in the other
        (box(2, (1.1, 0.0, 1.5)), False),  # higher
        (box(2, (0.0, 0.0, 0.95), (0.3, 0.3, 0.3), on=1), False),  # on it
    ],
)
def test_next_to(other, expected):
    mine = box(1, (0.0, 0.0, 0.4))
    assert space.is_next_to(mine, other) is expected
    assert space.is_next_to(other, mine) is expected


def test_nearest_is_by_the_gap_between_boxes_and_keeps_a_margin():
    car = box(1, (0.0, 0.0, 0.7), (4.0, 1.8, 1.4))
    beside, behind = box(2, (2.5, 0.0, 0.9), (0.6, 0.6, 1.8)), box(3, (0.0, 2.2, 0.9), (0.6, 0.6, 1.8))
    assert space.distance(beside, car) == pytest.approx(0.2)
    assert space.distance(behind, car) == pytest.approx(1.0)  # its middle is nearer to the car's
    assert space.nearest_to([behind, beside], car) == [False, True]
    closer = box(3, (0.0, 1.5, 0.9), (0.6, 0.6, 1.8))  # 0.3 m
    assert space.nearest_to([closer, beside], car) == [None, None]
    assert space.nearest_to([beside], car) == [True]
    assert space.distance(box(1, (0, 0, 0)), box(2, (4, 3.6, 0.8))) == pytest.approx((3**2 + 3**2) ** 0.5)

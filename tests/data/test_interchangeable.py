"""Objects that words do not tell apart, and the order of their `[SEG]` tokens."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data.interchangeable import interchangeable, left_to_right, shuffled, under_one_phrase
from perceptio.data.schema import ABSENT, Turn


@pytest.mark.parametrize(
    ("answer", "masks", "numbers"),
    [
        ("It is <p>the cube</p>.", (1,), [0]),
        ("Here are <p>all cubes</p>.", (1, 2, 5), [0, 0, 0]),
        ("Here are <p>a cube</p> and <p>a cube</p>.", (1, 2), [0, 1]),  # in order of mention
        ("There are <p>2 cubes and 0 cones</p>.", (1, 2, ABSENT), [0, 1, 2]),  # what is not there has its place
        ("Nothing.", (), []),
        ("There are <p>cube 1</p>, <p>cube 2</p>; 2 cubes.", (1, 2), [0, 0]),
        ("<p>cube 1</p>, <p>cube 2</p>, and <p>cube 3</p>, no <p>cone</p>.", (1, 2, 3, ABSENT), [0, 0, 0, 3]),
        ("<p>cube 1</p>, <p>cone 1</p>, <p>cone 2</p>.", (1, 2, 3), [0, 1, 1]),
        ("<p>Cube 1</p> and <p>cube 2</p>.", (1, 2), [0, 0]),
        ("<p>cube 1</p>, <p>cube 2</p>, <p>cube 1</p>, <p>cube 2</p>.", (1, 2, 3, 4), [0, 0, 2, 2]),
        ("<p>player 10</p> and <p>player 7</p>.", (1, 2), [0, 1]),  # numbers that can be seen
        ("<p>gate 3</p> and <p>gate 4</p>.", (1, 2), [0, 1]),
        ("<p>1</p>, <p>2</p>.", (1, 2), [0, 1]),
        ("<p>cube 1</p>, <p>cube 2</p>.", (1, ABSENT), [0, 1]),
        ("<p>cube 1</p> is left of <p>cube 2</p>.", (1, 2), [0, 1]),  # something is said of each
        ("<p>cube 1</p>, <p>cube 2</p> and <p>a cone</p>.", (1, 2), [0, 1]),  # it is not known which phrase is whose
    ],
)
def test_numbers_by_hand(answer: str, masks: tuple[int, ...], numbers: list[int]) -> None:
    assert interchangeable(Turn("?", answer, "x", masks=masks)) == numbers


@pytest.mark.parametrize(
    ("answer", "masks", "expected"),
    [
        ("Here are <p>all cubes</p>.", (1, 2, 5), True),
        ("It is <p>the cube</p>.", (1,), True),
        ("There are <p>2 cubes and 0 cones</p>.", (1, 2, ABSENT), False),
        ("<p>cube 1</p>, <p>cube 2</p>.", (1, 2), False),
        ("Here they are.", (1, 2), False),
    ],
)
def test_one_phrase_names_all_objects_only_where_all_are_there(
    answer: str, masks: tuple[int, ...], expected: bool
) -> None:
    assert under_one_phrase(Turn("?", answer, "x", masks=masks)) == expected


def test_only_interchangeable_objects_are_shuffled() -> None:
    rng = np.random.default_rng(0)
    orders = {shuffled((7, 8, 9, 4, 5), (0, 1, 1, 3, 3), rng) for _ in range(40)}
    assert orders == {(7, *first, *second) for first in ((8, 9), (9, 8)) for second in ((4, 5), (5, 4))}
    assert shuffled((), (), rng) == ()
    assert shuffled((3, 1, 2), (0, 1, 2), rng) == (3, 1, 2)


def test_left_to_right_is_by_the_centre_then_from_the_top() -> None:
    drawn = np.zeros((5, 20, 20), bool)
    drawn[0, :, 2:12] = True  # its centre is at 6.5
    drawn[1, 4:6, 5:7] = True  # 5.5
    drawn[2, 15:18, 14:17] = True  # 15, below
    drawn[3, 2:5, 14:17] = True  # 15, above
    drawn[4, 8, 0] = True
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        masks = [10 + place for place in order]
        assert left_to_right(masks, [drawn[place] for place in order]) == (14, 11, 10, 13, 12)
    assert left_to_right((), ()) == ()

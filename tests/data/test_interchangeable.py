"""Objects that words do not tell apart."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data.interchangeable import groups_of, shuffled
from perceptio.data.schema import ABSENT, Turn


@pytest.mark.parametrize(
    ("answer", "referents", "groups"),
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
def test_groups_by_hand(answer: str, referents: tuple[int, ...], groups: list[int]) -> None:
    assert groups_of(Turn("?", answer, "x", masks=referents)) == groups


def test_only_a_group_is_shuffled() -> None:
    rng = np.random.default_rng(0)
    orders = {shuffled((7, 8, 9, 4, 5), (0, 1, 1, 3, 3), rng) for _ in range(40)}
    assert orders == {(7, *first, *second) for first in ((8, 9), (9, 8)) for second in ((4, 5), (5, 4))}
    assert shuffled((), (), rng) == ()
    assert shuffled((3, 1, 2), (0, 1, 2), rng) == (3, 1, 2)

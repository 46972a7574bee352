"""Which words of an answer speak of a marked point."""

from __future__ import annotations

import numpy as np

from perceptio.data.gazes import spoken_of
from perceptio.data.record import Mark, Record, Turn

MARKS = (Mark("A", 10, 90, 0.5), Mark("B", 99, 0, -0.5))
ANSWER = "A at 9,1; B at 0,9. Point A."


def words(turn: Turn, grid: int = 4) -> dict[int, list[str]]:
    """The characters that speak of each visual token, with a token a character."""
    record = Record("x", np.zeros((100, 100, 3), np.uint8), (turn,), marks=MARKS)
    found: dict[int, list[str]] = {}
    for index, cell in spoken_of(record, turn, [(k, k + 1) for k in range(len(turn.answer))], grid):
        found.setdefault(cell, []).append(turn.answer[index])
    return found


def test_a_letter_and_its_clause_speak_of_its_point() -> None:
    spoken = words(Turn("Which?", ANSWER, "marks3"))
    assert {cell: "".join(letters) for cell, letters in spoken.items()} == {12: "A at 9,1A", 3: "B at 0,9"}


def test_a_point_on_the_border_is_in_the_last_cell() -> None:
    record = Record("x", np.zeros((8, 8, 3), np.uint8), (), marks=(Mark("A", 8, 8, 0.0),))
    assert list(spoken_of(record, Turn("?", "A", "marks"), [(0, 1)], 4)) == [(0, 15)]


def test_other_questions_about_the_same_picture_speak_of_no_mark() -> None:
    assert words(Turn("Is there a cube?", "A cube is there; B.", "existence")) == {}


def test_words_that_are_not_taught_speak_of_none() -> None:
    assert words(Turn("Which?", ANSWER, "marks", supervise=("depth",))) == {}


def test_a_letter_within_a_word_is_none() -> None:
    assert words(Turn("Which?", "ABBA", "marks")) == {}

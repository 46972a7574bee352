"""What the words of an answer look at."""

from __future__ import annotations

import numpy as np

from perceptio.data.gazes import NOWHERE, marks_looked_at, objects_looked_at
from perceptio.data.record import Mark, Record, Turn

MARKS = (Mark("A", 10, 90, 0.5), Mark("B", 99, 0, -0.5))
ANSWER = "A at 9,1; B at 0,9. Point A."


def words(turn: Turn, grid: int = 4) -> dict[int, list[str]]:
    """The characters that look at each visual token, with a token a character."""
    record = Record("x", np.zeros((100, 100, 3), np.uint8), (turn,), marks=MARKS)
    found: dict[int, list[str]] = {}
    for index, cell in marks_looked_at(record, turn, [(k, k + 1) for k in range(len(turn.answer))], grid):
        found.setdefault(cell, []).append(turn.answer[index])
    return found


def test_a_clause_looks_at_its_point_and_its_last_word_for_the_next() -> None:
    seen = words(Turn("Which?", ANSWER, "marks3"))
    assert {cell: "".join(letters) for cell, letters in seen.items()} == {12: "A at 9,A", 3: "1B at 0,", NOWHERE: "9"}


def test_a_list_that_ends_the_answer_ends_nowhere() -> None:
    assert "".join(words(Turn("Which?", "A at 9,1; B at 0,9.", "marks"))[NOWHERE]) == "9"


def test_one_point_read_off_is_no_list() -> None:
    assert "".join(words(Turn("Where?", "Point A is at 9,1.", "marks_cell"))[12]) == "A is at 9,1"


def test_a_point_on_the_border_is_in_the_last_cell() -> None:
    record = Record("x", np.zeros((8, 8, 3), np.uint8), (), marks=(Mark("A", 8, 8, 0.0),))
    assert list(marks_looked_at(record, Turn("?", "A", "marks"), [(0, 1)], 4)) == [(0, 15)]


def test_other_questions_about_the_same_picture_look_at_no_mark() -> None:
    assert words(Turn("Is there a cube?", "A cube is there; B.", "existence")) == {}


def test_words_that_are_not_taught_look_at_none() -> None:
    assert words(Turn("Which?", ANSWER, "marks", supervise=("depth",))) == {}


def test_a_letter_within_a_word_is_none() -> None:
    assert words(Turn("Which?", "ABBA", "marks")) == {}


def objects(answer: str, number: int) -> list[str]:
    """The characters that look at each of some `[SEG]` tokens, with a token a character."""
    turn = Turn("?", answer, "nearer")
    seen = ["" for _ in range(number)]
    for index, which in objects_looked_at(turn, [(k, k + 1) for k in range(len(answer))], number):
        seen[which] += answer[index]
    return seen


def test_a_phrase_and_its_clause_look_at_its_own_segment() -> None:
    answer = "Of <p>it</p> at 3,4 nearness 57 and <p>that</p> at 0,1, that is nearer."
    assert objects(answer, 2) == ["<p>it</p> at 3,4 nearness 57 and ", "<p>that</p> at 0,1"]
    assert objects("<p>It</p> is red; <p>that</p> too. So", 2) == ["<p>It</p> is red", "<p>that</p> too"]


def test_of_a_phrase_for_several_segments_it_is_not_known_which_it_looks_at() -> None:
    assert objects("There are 2 <p>cones</p>.", 2) == ["", ""]


def test_words_about_objects_that_are_not_taught_look_at_none() -> None:
    turn = Turn("?", "<p>It</p>", "referring", supervise=("seg",))
    assert list(objects_looked_at(turn, [(0, 9)], 1)) == []

"""What the words of an answer look at; a token is a character."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perceptio.data.schema import Mark, Sample, Turn
from perceptio.nano.attention_targets import (
    NOWHERE,
    depth_looked_at,
    marks_looked_at,
    objects_looked_at,
    words_repeated,
)

MARKS = (Mark("A", 10, 90, 0.5), Mark("B", 99, 0, -0.5))
ANSWER = "A at 9,1; B at 0,9. Point A."


def words(turn: Turn, grid: int = 4) -> dict[int, list[str]]:
    """The characters that look at each visual token, with a token a character."""
    sample = Sample(np.zeros((100, 100, 3), np.uint8), (turn,), "x", marks=MARKS)
    found: dict[int, list[str]] = {}
    for index, cell in marks_looked_at(sample, turn, [(k, k + 1) for k in range(len(turn.answer))], grid):
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
    sample = Sample(np.zeros((8, 8, 3), np.uint8), (), "x", marks=(Mark("A", 8, 8, 0.0),))
    assert list(marks_looked_at(sample, Turn("?", "A", "marks"), [(0, 1)], 4)) == [(0, 15)]


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
    answer = "<p>It</p> at 3,4 nearness 57; <p>that</p> at 0,1. That is nearer."
    assert objects(answer, 2) == ["<p>It</p> at 3,4 nearness 57", "<p>that</p> at 0,1"]
    assert objects("<p>It</p> is red; <p>that</p> too. So", 2) == ["<p>It</p> is red", "<p>that</p> too"]


def test_of_a_phrase_for_several_segments_it_is_not_known_which_it_looks_at() -> None:
    assert objects("There are 2 <p>cones</p>.", 2) == ["", ""]


def test_words_about_objects_that_are_not_taught_look_at_none() -> None:
    turn = Turn("?", "<p>It</p>", "referring", supervise=("seg",))
    assert list(objects_looked_at(turn, [(0, 9)], 1)) == []


def letters(text: str) -> list[tuple[int, int]]:
    return [(k, k + 1) for k in range(len(text))]


def test_a_nearness_is_read_from_the_code_of_its_cell() -> None:
    turn = Turn("?", "A at 0,9 nearness 57; B at 5,4 nearness 03. Point A.", "marks", depth=True)
    for cells, first, second in ((100, 9, 54), (25, 4, 12), (400, 39, 229)):  # the middle of a cell may be a border
        seen: dict[int, str] = {}
        for index, code in depth_looked_at(turn, letters(turn.answer), cells):
            seen[code] = seen.get(code, "") + turn.answer[index]
        assert seen == {first: "nearness 5", second: "nearness 0"}
    assert list(depth_looked_at(replace(turn, supervise=("depth",)), letters(turn.answer), 100)) == []
    assert list(depth_looked_at(replace(turn, answer="13,4 nearness 57"), letters("13,4 nearness 57"), 100)) == []


def repeated(question: str, answer: str, target: str = "", task: str = "nearer") -> list[tuple[str, str]]:
    """Each stretch that is predicted, and what is looked at."""
    turn = Turn(question, answer, task, target=target)
    found: list[tuple[str, str]] = []
    before = -2
    for index, source, in_answer in words_repeated(turn, letters(answer), letters(question)):
        here, there = found.pop() if index == before + 1 else ("", "")
        found.append((here + answer[index + 1], there + (answer if in_answer else question)[source]))
        before = index
    return found


def test_a_phrase_looks_at_its_words_in_the_question() -> None:
    assert repeated("Is the red cube left of the ring?", "<p>The red cube</p> and <p>the ring</p>.") == [
        ("The red cube", "the red cube"),
        ("the ring", "the ring"),
    ]


def test_the_first_word_is_predicted_at_the_place_before_it() -> None:
    turn = Turn("The ring?", "<p>The ring</p>", "referring")
    offsets = [(3, 6), (6, 11)]  # no token for the marks
    assert list(words_repeated(turn, offsets, [(0, 3), (3, 8), (8, 9)])) == [(-1, 0, False), (0, 1, False)]


def test_a_phrase_that_the_question_has_twice_or_never_or_within_a_word_looks_at_none() -> None:
    assert repeated("The ring or the ring?", "<p>The ring</p>, <p>the cube</p> and <p>he</p>.") == []


def test_a_conclusion_looks_at_the_end_of_its_clause_then_at_its_words() -> None:
    answer = "<p>The cube</p> at 3,4 nearness 57; <p>the ring</p> at 1,2 nearness 60. The ring is nearer."
    assert repeated("?", answer, "the ring") == [("The ring", "0he ring")]
    chain = "A at 3,4 nearness 57; B at 1,2 nearness 60. Point A."
    assert repeated("?", chain, "A", "marks") == [("A", "7")]
    phrases = chain.replace("A at", "<p>A</p> at")
    assert repeated("?", phrases, "A", "choice") == [("A", "7")]


def test_numbers_of_a_list_look_at_the_one_before_and_its_total_at_the_last() -> None:
    answer = "There are <p>cube 1</p>, <p>cube 2</p>, <p>ring 1</p>, no <p>cone</p>; 2 cubes and 1 ring, so no."
    turn = Turn("?", answer, "comparison", target="no")
    here = {index + 1: source for index, source, _ in words_repeated(turn, letters(answer), letters("?"))}
    first, second, ring = answer.index("1</p>"), answer.index("2</p>"), answer.rindex("1</p>")
    assert here == {
        first: first - 2,  # the end of its name
        second: first,
        ring: ring - 2,
        answer.index("2 cubes"): second,
        answer.index("1 ring"): ring,
    }
    assert repeated("?", "<p>Cube 12</p>; 3 cubes, 12 cubesters and 12 cubes.", "") == [("12", "12")]


def test_a_yes_or_no_settles_on_nothing_that_was_said() -> None:
    assert repeated("?", "It has no cube. So no.", "no") == []


def test_an_article_is_no_letter() -> None:
    assert repeated("Which?\nA. cat\nB. dog", "A cat is here. Option A.", "A") == [("A", "t")]


QUESTION = "What color?\nA. red\nB. blue\n(C) 3.5 m \nD. 3.7 m; or so "


@pytest.mark.parametrize(("letter", "end"), [("A", "d"), ("B", "e"), ("D", "o")])
def test_a_chosen_letter_looks_at_the_end_of_its_option(letter: str, end: str) -> None:
    assert repeated(QUESTION, f"So. Option {letter}.", letter) == [(letter, end)]


@pytest.mark.parametrize(
    ("question", "answer", "target"),
    [
        ("How many?", "There are 2.", "2"),
        ("Is there a cube?", "No, there is no cube.", "no"),  # the same clause
        ("Is it red? Answer yes or no.", "No.", "no"),  # no option
        (QUESTION, "Option C.", "C"),
        ("?", "the ring; the ring. The ring.", "the ring"),
    ],
)
def test_a_conclusion_that_comes_from_no_clause_looks_at_none(question: str, answer: str, target: str) -> None:
    assert repeated(question, answer, target) == []


@pytest.mark.parametrize(
    ("answer", "target"), [(".5 ;.5", ".5"), (";x;;x", ";x"), ("(A).(A)", "(A)"), ("a+; a+.", "a+"), ("...;...", "...")]
)
def test_odd_conclusions_look_only_at_what_was_said(answer: str, target: str) -> None:
    turn = Turn("?", answer, "nearer", target=target)
    for size in (1, 2, 3):
        offsets = [(k, k + size) for k in range(0, len(answer), size)]
        assert all(source <= index for index, source, _ in words_repeated(turn, offsets, []))


def test_what_is_predicted_is_not_looked_at() -> None:
    turn = Turn("?", "it. it", "nearer", target="it")
    assert (
        list(words_repeated(turn, [(0, 1), (1, 6)], [])) == []
    )  # one token is the end of the clause and the conclusion


def test_letters_without_a_token_cost_nothing() -> None:
    turn = Turn("Which?", "cafe\u0301; so. Cafe\u0301.", "nearer", target="cafe\u0301")
    offsets = [(k, k + 1) for k in range(len(turn.answer)) if turn.answer[k] != "\u0301"]
    assert [source for _, source, _ in words_repeated(turn, offsets, [])] == [3, 1, 2, 3]


def test_a_conclusion_that_is_a_phrase_looks_at_the_question_only() -> None:
    found = repeated("Choose: the cube; the ring.", "It is <p>the ring</p>.", "the ring")
    assert found == [("the ring", "the ring")]


def test_words_that_are_not_taught_repeat_none() -> None:
    turn = Turn("The ring?", "<p>The ring</p>", "referring", supervise=("seg",))
    assert list(words_repeated(turn, letters(turn.answer), letters(turn.question))) == []

"""The rule that reads a letter out of an answer, step by step."""

from __future__ import annotations

import pytest

from perceptio.data.answer_choice import choose_option

POINTS = [
    # 1. the whole answer
    ("B", "B"),
    ("b", "B"),
    ("a", "A"),
    (" (C). ", "C"),
    ("**D**", "D"),
    ("'E'", "E"),
    ("Z", None),
    ("", None),
    # 3. the last conclusion
    ("The answer is B.", "B"),
    ("Answer: C", "C"),
    ("the answer is b.", "B"),
    ("answer: (a)", "A"),
    ("The correct option is D, not A.", "D"),
    ("The answer is 'A'.", "A"),
    ("The point closest to the camera is E.", "E"),
    ("Nearest: B", "B"),
    ("Point B is closer to the camera than point A.", "B"),
    ("B is the closest, point A is behind it.", "B"),
    ("A is closer than B, and C is closer than A.", "C"),
    ("The answer is A, as point B is farther away.", "A"),
    ("First I compare A with B and C.\n\nC", "C"),
    ("A at 1,2; B at 3,4. B.", "B"),
    ("The answer is A. No, the answer is B.", "B"),
    # 4. the opening
    ("B. The dog is near point A", "B"),
    ("(c) the third, beside option D", "C"),
    # 5. named
    ("A at 3,4 nearness 71; B at 5,8 nearness 22. Point A.", "A"),
    ("A at 3,4 nearness 71; B at 5,8 nearness 92; C at 1,1 nearness 10. Point B.", "B"),
    ("Point A lies at the bottom of the picture.", "A"),
    ("It must be point b.", "B"),
    ("I choose option C here", "C"),
    ("Point A, or rather point D, I think", "D"),
    # 6. in brackets
    ("Of B and C it seems to be (B) here", "B"),
    ("So (b) it will be, whatever C and D are", "B"),
    # 8. one capital letter
    ("It is B", "B"),
    ("I would say B, because B stands in front", "B"),
    ("It is the circle beside A", "A"),
    # unreadable
    ("A dog stands in front.", None),
    ("I see a circle.", None),
    ("This point a long way off", None),
    ("A and B", None),
    ("A at 3,4 nearness 71; B at 5,8 nearness 22.", None),
    ("It is not B.", None),
    ("It isn't point B", None),
    ("An A-frame and B's roof", None),
    ("Point Z.", None),
    ("No idea", None),
]


@pytest.mark.parametrize(("text", "letter"), POINTS)
def test_marked_points(text: str, letter: str | None) -> None:
    assert choose_option(text, "ABCDE") == letter


CHOICES = [
    ("B. a dog", "B"),
    ("b) a dog", "B"),
    ("B: a dog", "B"),
    ("a dog", "B"),  # 2
    ("A dog.", "B"),  # 2
    ("The picture shows a dog.", "B"),  # 7
    ("A dog stands on the grass", "B"),  # 7, and "A" is the article
    ("The answer is a dog", "B"),  # 7
    ("The answer is A dog", "B"),  # 7
    ("a hot dog", "D"),
    ("It is a hot dog on a plate", "D"),
    ("The animal is a cat or a dog", None),
    ("dog", None),
    ("The answer is C, a dog is not there", "C"),
    ("C", "C"),
]


@pytest.mark.parametrize(("text", "letter"), CHOICES)
def test_multiple_choice_also_reads_an_options_text(text: str, letter: str | None) -> None:
    assert choose_option(text, "ABCD", ["a cat", "a dog", "two", "a hot dog"]) == letter


def test_an_option_inside_a_longer_one_is_not_said() -> None:
    options = ["red", "dark red"]
    assert choose_option("The car is dark red today", "AB", options) == "B"
    assert choose_option("The car is red today", "AB", options) == "A"
    assert choose_option("The car is red, or dark red", "AB", options) is None


def test_the_text_of_an_option_wins_over_a_letter_in_it_but_not_over_a_bare_letter() -> None:
    assert choose_option("Point B.", "AB", ["Point B", "Point A"]) == "A"
    assert choose_option("B", "AB", ["B", "A"]) == "B"


def test_equal_options_cannot_be_told_apart() -> None:
    assert choose_option("It is red today", "ABC", ["red", "red", "blue"]) is None


def test_only_the_letters_of_the_question_count() -> None:
    assert choose_option("The answer is E.", "ABC") is None
    assert choose_option("Point C.", "ABC") == "C"

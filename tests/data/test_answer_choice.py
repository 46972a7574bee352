"""The rule that reads a letter out of an answer, step by step, and a golden table of how people and models answer."""

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


TRAILING = " Points A and C lie further back."
SETTLED = [  # on B, whatever is explained after it
    "The answer is B.",
    "The answer is: B.",
    "The correct answer is: B.",
    "The answer is: **B**.",
    "The answer is $B$.",
    "The answer is \\boxed{B}.",
    "Final Answer: The final answer is $\\boxed{\\text{B}}$.",
    "The answer is \\(\\mathbf{B}\\).",
    "The answer is _B_.",
    "The answer is 'B'.",
    "The answer is [B].",
    "The answer would be B.",
    "The answer must be B.",
    "The answer seems to be option B.",
    "The answer is most likely B.",
    "The answer is therefore B.",
    "The answer to the question is B.",
    "The answer, going by size, is (B).",
    "B is the answer.",
    "B is correct.",
    "B would be the best answer.",
    "Option B is the correct choice.",
    "Final answer -> B.",
    "Final answer \u2192 B.",
    "Answer - B.",
    "Answer = B.",
    "ANSWER IS B.",
    "### Answer: B.",
    "Answer\n\nB\n\n",
    "<answer>B</answer>.",
    "answer\uff1aB.",
    "The answer is \uff22\uff0e",
    "\u7b54\u6848\u662fB\u3002",  # "the answer is B", in Chinese
    "\u6b63\u786e\u7b54\u6848\u4e3a\uff08B\uff09\u3002",
    "\u9009B\u3002",
    "I choose B.",
    "I'd go with B.",
    "The point closest to the camera is: B.",
    "Nearest -> B.",
    "**Point B** is closest.",
    "Point B is in front.",
    "B.",
    "(B)",
    "B)",
    "B:",
    "B -",
    "B, because it is in front.",
    "B\n",
    "Point B.",
]


@pytest.mark.parametrize("text", SETTLED)
def test_what_is_explained_after_an_answer_does_not_change_it(text: str) -> None:
    assert choose_option(text, "ABC") == "B"
    assert choose_option(text.replace("B", "A").replace("\uff22", "A"), "ABC") == "A"
    assert choose_option(text + TRAILING, "ABC") == "B"


GOLDEN = [
    # what is denied or compared is not chosen
    ("Let's go with option B rather than option A.", "B"),
    ("Option B over option A", "B"),
    ("It is not A but B.", "B"),
    ("Not A, but point B", "B"),
    ("Answer: It is not B, the answer is C", "C"),
    ("Answer: rules out C, leaving B", "B"),
    ("Answer: C, not B", "C"),
    ("ANSWER IS C. A is incorrect.", "C"),
    ("Point A is in front of point B.", "A"),
    ("Point A, which lies nearer than point B", "A"),
    ("C is further than A and B", None),
    ("B is not the answer.", None),
    ("B is wrong.", None),
    ("Point B is not the closest.", None),
    ("It can't be B.", None),
    # what contradicts itself is unreadable, but a later answer corrects an earlier one
    ("A or B", None),
    ("A and B", None),
    ("A/B", None),
    ("Point A or point B", None),
    ("The answer is A or B.", None),
    ("The answer is A, B.", None),
    ("Either (A) or (B)", None),
    ("Neither A nor B", None),
    ("It is A, B or C.", None),
    ("(A) (B) (C)", None),
    ("A\nB\nC", None),
    ("A. B. C.", None),
    ("A) cat\nB) dog", None),
    ("A. cat B. dog C. bird", None),
    ("A: far, B: near", None),
    ("A: far, B: near\nPoint B.", "B"),
    ("Answer: B\nA: far\nC: farther", "B"),
    ("Between A and B, the answer is B.", "B"),
    ("The choice between A and B is A.", "A"),
    ("Is it A? No. B.", "B"),
    ("The answer is A. No, the answer is C.", "C"),
    # letters that are words, and words with letters
    ("A red cube", None),
    ("A 3D model", None),
    ("A 'stop' sign", None),
    ("A T-shirt", None),
    ("the answer is a red cube", None),
    ("Answer: I think it is C", "C"),
    ("neither", None),
    ("A is to the right of B", None),
    ("A is right of the tree, B is left", None),
    # lower case
    ("The answer is b", "B"),
    ("the answer is a.", "A"),
    ("option b is right", "B"),
    ("b\u200b.", "B"),
]


@pytest.mark.parametrize(("text", "letter"), GOLDEN)
def test_golden_answers(text: str, letter: str | None) -> None:
    assert choose_option(text, "ABC") == letter


def counted(text: str, letters: str) -> str | None:
    """The rule of VLMEvalKit, in our words: the one letter that is a word of its own."""
    words = text.translate(dict.fromkeys(map(ord, ".()[],:;!*#{}"), " ")).split()
    found = [letter for letter in letters if letter in words]
    return found[0] if len(found) == 1 else None


def test_whatever_counting_letters_reads_is_read_alike_but_for_words_and_denials() -> None:
    rows = [*GOLDEN, *((text, "B") for text in SETTLED), *((text, letter) for text, letter in POINTS)]
    differing = {text for text, letter in rows if counted(text, "ABCDE") not in (None, letter)}
    assert differing == {
        "A red cube",
        "A 3D model",
        "A 'stop' sign",
        "A T-shirt",
        "A dog stands in front.",
        "B is not the answer.",
        "B is wrong.",
        "Point B is not the closest.",
        "It can't be B.",
        "It is not B.",
        "It isn't point B",
        "(c) the third, beside option D",
    }


def test_the_pronoun_is_no_letter() -> None:
    assert choose_option("I think it is C", "ABCDEFGHI") == "C"
    assert choose_option("I", "ABCDEFGHI") == "I"
    assert choose_option("I would rather not say", "ABCDEFGHI") is None


OPTIONS = ["red cube", "blue ball", "$5", "2*3"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A red cube", "A"),  # the article, and the text of A
        ("The answer is: the **blue ball**.", "B"),
        ("It costs $5", "C"),
        ("2*3", "D"),
        ("\\boxed{blue ball}", "B"),
        ("A. red cube\nB. blue ball", None),
        ("B. red cube", "B"),
        ("A blue ball", "B"),
        ("The red cube or the blue ball", None),
    ],
)
def test_marks_and_markup_make_no_difference_to_options(text: str, letter: str | None) -> None:
    assert choose_option(text, "ABCD", OPTIONS) == letter


def test_a_very_long_answer_is_read_at_once() -> None:
    assert choose_option("A or B, " * 2_000 + "and so on. B.", "ABC") == "B"

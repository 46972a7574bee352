"""What is read out of an answer."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data.schema import Turn
from perceptio.scenes.language.scoring import extract_choice, is_correct
from perceptio.scenes.places.lexicon import build_lexicon
from perceptio.scenes.samples import build_sample, scene_test_turns
from perceptio.scenes.tabletop.lexicon import LEXICON
from perceptio.tokens import extract_phrases

from .conftest import CLASSES, PLACES, Class

OPEN = {"reading", "referring", "naming", "plural", "absent", "caption", "inventory", "depth"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A at 3,4 nearness 71; B at 5,8 nearness 22. Point A.", "A"),
        ("A at 3,4 nearness 22; B at 5,8 nearness 71. Point B", "B"),
        ("point C is closest", "C"),
        ("Point A is far, the closest is point D.", "D"),
        ("B", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        (" c) the cone", "C"),
        ("The answer is E.", "E"),
        ("Answer: (D)", "D"),
        ("The closest is B", "B"),
        ("A at 3,4 nearness 71; B at 5,8", None),  # cut off before the conclusion
        ("A red cube", None),
        ("Point F.", None),
        ("Points are close", None),
        ("", None),
    ],
)
def test_letters(text, expected):
    assert extract_choice(text, "marks4", LEXICON) == extract_choice(text, "choice", LEXICON) == expected


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("existence", "Yes, there is a red cube.", "yes"),
        ("comparison", "no", "no"),
        ("comparison", "The cube at 3,4; the ring at 3,7. The first is to the left, so yes.", "yes"),
        ("comparison", "There are cube 1, ring 1, ring 2; 1 cube and 2 rings, so no.", "no"),
        ("comparison", "Nothing like it", None),
        ("comparison", "There is so no cube", None),
        ("counting", "There are 3 red objects.", "3"),
        ("counting", "many", None),
        ("nearer", "Of the cube and the ring, the ring is nearer.", "the ring"),
        ("nearer", "The cube at 3,4 nearness 57; the ring at 3,7 nearness 60. The ring is nearer.", "the ring"),
        ("nearer", "The ring is closer.", "the ring"),
        ("nearer", "the ring", None),
        ("attribute", "The small cube is red.", "red"),
        ("attribute", "The red object is a ring.", "ring"),
        ("attribute", "red or blue", None),
        ("marks_cell", "Point B is at 3,4.", "3,4"),
        ("marks_cell", "Point B is at 3,4 nearness 07.", "07"),
        ("marks_cell", "Point B.", None),
    ],
)
def test_words(task, text, expected):
    assert extract_choice(text, task, LEXICON) == expected


@pytest.mark.parametrize(
    ("target", "text", "said", "right"),
    [
        ("chair", "To the left of the bed is the chair.", "chair", True),
        ("chair", "To the left of the bed is the red chair.", "chair", True),
        ("couch", "To the left of the bed is the red settee.", "settee", True),  # another word for it
        ("armchair", "On its left is a chair", "chair", True),  # a wider one
        ("stool", "On its left is a chair", "chair", True),  # it might be called so
        ("chair", "To the left of the bed is the armchair.", "armchair", False),
        ("coffee table", "Behind the sofa is the coffee table.", "coffee table", True),
        ("table", "Behind the sofa is the coffee table.", "coffee table", False),
        ("lamp", "Lamp.", "lamp", True),
        ("lamp", "On the table is the sky.", None, False),
        ("lamp", "", None, False),
    ],
)
def test_what_is_beside_is_read_by_its_noun(target, text, said, right):
    assert extract_choice(text, "beside", PLACES.lexicon) == said
    assert is_correct(Turn("?", "", "beside", target=target), text, PLACES.lexicon) is right


def test_words_are_read_in_any_case():
    lexicon = build_lexicon([*CLASSES, Class("TV stand", "TV stands")])
    assert is_correct(Turn("?", "", "beside", target="TV stand"), "To the left of the bed is the TV stand.", lexicon)
    assert is_correct(Turn("?", "", "nearer", target="the TV stand"), "The TV stand is nearer.", lexicon)


def test_a_place_is_read_by_its_letter():
    assert extract_choice("It is a street. Option C.", "place", PLACES.lexicon) == "C"
    assert extract_choice("It is a street.", "place", PLACES.lexicon) is None


def test_a_color_is_read_of_the_worlds_own():
    assert extract_choice("The car is beige.", "attribute", PLACES.lexicon) == "beige"
    assert extract_choice("The car is beige.", "attribute", LEXICON) is None


def test_open_tasks_have_no_short_answer():
    with pytest.raises(ValueError, match="referring"):
        extract_choice("Here is the cube.", "referring", LEXICON)


def test_unparsable_is_wrong():
    assert not is_correct(Turn("?", "", "marks", target="A"), "I cannot tell", LEXICON)
    assert not is_correct(Turn("?", "", "marks", target="A"), "Point B.", LEXICON)


def test_every_generated_answer_scores_as_right(scenes):
    rng = np.random.default_rng(0)
    tasks = set()
    for stored in scenes:
        turns = [*build_sample(stored, rng, marks=True).turns, *(turn for _, turn in scene_test_turns(stored, rng))]
        for turn in turns:
            if turn.task not in OPEN:
                tasks.add(turn.task)
                assert is_correct(turn, extract_phrases(turn.answer)[0], LEXICON), turn
    scored = LEXICON.tasks - OPEN - {"more"}  # a comparison
    assert tasks == {"marks", "marks3", "marks4", "marks5", "marks_cell", *scored}

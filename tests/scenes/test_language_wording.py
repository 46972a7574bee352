"""The words themselves: templates, and a snapshot of what one hand-made scene gives."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data.schema import ABSENT
from perceptio.scenes.language import choices, grounding, questions, wording
from perceptio.scenes.language.facts import Facts

ASKING = {
    "REFERRING": {"x"},
    "PLURAL": {"x"},
    "CAPTION": set(),
    "NEARER": {"x", "y"},
    "COUNTING": {"x"},
    "EXISTENCE": {"x"},
    "COMPARISON": {"x", "y", "r"},
    "MORE": {"x", "y"},
    "NEAREST": set(),
    "BESIDE": {"x", "r"},
    "WHICH_PLACE": set(),
    "CELL": {"x"},
    "NEARNESS": {"x"},
    "PLACE": {"x"},
    "READING": {"x"},
}


@pytest.mark.parametrize("name", [*ASKING, *(f"ATTRIBUTE.{name}" for name in wording.ATTRIBUTE)])
def test_every_task_is_asked_in_eight_ways_that_use_every_word(name):
    templates = wording.ATTRIBUTE[name.partition(".")[2]] if "." in name else getattr(wording, name)
    assert len(set(templates)) >= 8
    for template in templates:
        used = {field for field in ("x", "y", "r") if f"{{{field}}}" in template}
        assert used == ASKING.get(name, {"x"}), template


BLOCKS = [
    ("large", "red", "metal", "cube", 40, 120, 20, 2.0),
    ("small", "red", "matte", "sphere", 100, 130, 12, 3.0),
    ("small", "blue", "striped", "sphere", 150, 100, 12, 4.0),
    ("medium", "green", "dotted", "torus", 200, 110, 15, 5.0),
]
SNAPSHOT = {
    "referring": ("Segment the medium green object.", "It is <p>the medium green object</p>.", (4,), False, ""),
    "plural": ("Please segment all the objects.", "Here are <p>all the objects</p>.", (1, 2, 3, 4), False, ""),
    "absent": ("Where is the red cone?", "There is no <p>red cone</p>.", (ABSENT,), False, ""),
    "caption": (
        "What is in this picture?",
        "<p>The medium green object</p> is behind <p>the striped sphere</p>. <p>The red sphere</p> is "
        "to the right of <p>the red cube</p>.",
        (4, 3, 2, 1),
        False,
        "",
    ),
    "inventory": (
        "Segment and name everything, left to right.",
        "<p>Large red metal cube</p>; <p>small red matte sphere</p>; <p>small blue striped sphere</p>; "
        "<p>medium green dotted ring</p>.",
        (1, 2, 3, 4),
        False,
        "",
    ),
    "depth": ("Predict depth for this picture.", "Here is the depth map.", (), True, ""),
    "reading": (
        "Locate the red metal object, the striped sphere, the red sphere and the green ring on the grid, and tell how "
        "near.",
        "<p>The red metal object</p> at 5,1 nearness 99; <p>the striped sphere</p> at 4,6 nearness 35; "
        "<p>the red sphere</p> at 5,4 nearness 57; <p>the green ring</p> at 4,8 nearness 23.",
        (1, 3, 2, 4),
        True,
        "",
    ),
    "is_nearer": (
        "Which is nearer, the medium green object or the striped sphere?",
        "<p>The medium green object</p> at 4,8 nearness 23; <p>the striped sphere</p> at 4,6 nearness 35. "
        "The striped sphere is nearer.",
        (4, 3),
        True,
        "the striped sphere",
    ),
    "counting": ("How many objects can you see?", "There are 4 <p>objects</p>.", (1, 2, 3, 4), False, "4"),
    "attribute": ("What is the color of the large cube?", "<p>The large cube</p> is red.", (1,), False, "red"),
    "existence": ("Is an orange cube in the scene?", "No, there is no <p>orange cube</p>.", (ABSENT,), False, "no"),
    "comparison": (
        "Is the number of cubes larger than that of spheres?",
        "There are <p>cube 1</p>, <p>sphere 1</p>, <p>sphere 2</p>; 1 cube and 2 spheres, so no.",
        (1, 2, 3),
        False,
        "no",
    ),
    "choice": (
        "Which object listed here is closest to us?\n"
        "A. the red metal object\n"
        "B. the red sphere\n"
        "C. the green ring\n"
        "D. the striped sphere\n"
        "Answer with the option's letter from the given choices directly.",
        "<p>A</p> at 5,1 nearness 99; <p>B</p> at 5,4 nearness 57; <p>C</p> at 4,8 nearness 23; "
        "<p>D</p> at 4,6 nearness 35. Option A.",
        (1, 2, 4, 3),
        True,
        "A",
    ),
}


@pytest.mark.parametrize("name", SNAPSHOT)
def test_snapshot(build, name):
    ask = next(getattr(module, name) for module in (grounding, questions, choices) if hasattr(module, name))
    facts, rng = Facts(build(BLOCKS)), np.random.default_rng(3)
    turn = next(turn for _ in range(50) if (turn := ask(facts, rng)))
    assert (turn.question, turn.answer, turn.masks, turn.depth, turn.target) == SNAPSHOT[name]

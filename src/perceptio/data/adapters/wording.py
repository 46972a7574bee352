"""How questions are put to data sets that have none, or whose own are written for another model."""

from __future__ import annotations

import numpy as np

from perceptio.scenes.language.wording import pick

SEGMENT = (
    "Please segment {x} in this image.",
    "Segment {x}.",
    "Can you segment {x} in this image?",
    "Where is {x}?",
    "Find {x}.",
    "Mark {x} in the image.",
)
ONE = ("Here is <p>{x}</p>.", "It is <p>{x}</p>.")
SEVERAL = ("Here are <p>{x}</p>.",)
NONE = ("Nothing in the image is <p>{x}</p>.",)
CAPTION = (
    "Describe the image and show where everything is.",
    "Describe the image with masks.",
    "Describe what you see and show where it is.",
    "What is in this picture? Show it with masks.",
    "Write a caption for this image with masks.",
)


def segment(what: str, count: int, rng: np.random.Generator) -> tuple[str, str]:
    """A question for some objects that an expression names, and its answer.

    Args:
        what: the expression.
        count: objects that it fits; 0: none is there.
        rng: of every draw.
    """
    answers = NONE if count == 0 else ONE if count == 1 else SEVERAL
    return pick(SEGMENT, rng, x=what), pick(answers, rng, x=what)


def caption(rng: np.random.Generator) -> str:
    """A request for a caption with masks."""
    return pick(CAPTION, rng)

"""How questions are put to data sets that have none, or whose own are written for another model, and how templates are
filled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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

DEPTH = (
    "Show the depth map.",
    "Estimate the depth of this image.",
    "How far is everything?",
    "Give me a depth map.",
    "What does the depth look like?",
    "Produce the depth map of the scene.",
    "Predict depth for this picture.",
    "I need the depth.",
)
DEPTH_ANSWERS = ("Here is the depth map.",)


def pick(templates: Sequence[str], rng: np.random.Generator, **words: str) -> str:
    """Fill one of the templates and begin with a capital."""
    return capital(templates[int(rng.integers(len(templates)))].format(**words))


def capital(text: str) -> str:
    """The text with a capital first letter, past an opening phrase mark."""
    start = 3 if text.startswith("<p>") else 0
    return text[:start] + text[start : start + 1].upper() + text[start + 1 :]


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

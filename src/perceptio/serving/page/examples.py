"""Pictures to begin with, each with questions that are worth asking about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent / "pictures"

QUESTIONS = ("Describe the picture.", "Show the depth map.")
"""What can be asked about any picture."""


@dataclass(frozen=True)
class Example:
    """One picture of the table-top world (`perceptio scenes render --split test --size 448`)."""

    name: str
    alt: str  # what it shows, for those who do not see it
    path: Path
    questions: tuple[str, ...]


EXAMPLES = (
    Example(
        "desk",
        "Pyramids, spheres and a yellow cylinder in a room",
        Path(__file__).parents[2] / "assets" / "sample.png",
        (
            "Which is nearer, the brown pyramid or the green pyramid?",
            "Segment the yellow cylinder.",
            "How many pyramids are there?",
        ),
    ),
    Example(
        "table",
        "Coloured solids on a wooden table, seen from above",
        _HERE / "table.jpg",
        (
            "Which is nearer, the orange cylinder or the green pyramid?",
            "Segment all pyramids.",
            "Describe the picture.",
        ),
    ),
    Example(
        "loft",
        "Hanging cubes and capsules in a room with a wooden floor",
        _HERE / "loft.jpg",
        (
            "Which is nearer, the purple cube or the cyan cylinder?",
            "Segment the brown cube.",
            "How many cubes are there?",
        ),
    ),
    Example(
        "corner",
        "A yellow cylinder on a pillar and small things in the air",
        _HERE / "corner.jpg",
        (
            "Which is nearer, the yellow cylinder or the purple cone?",
            "Segment the orange sphere.",
            "How many spheres are there?",
        ),
    ),
    Example(
        "pillar",
        "Chequered cylinders, a red capsule and a blue ring around a pillar",
        _HERE / "pillar.jpg",
        (
            "Which is nearer, the red capsule or the yellow cylinder?",
            "Segment the red capsule.",
            "How many cylinders are there?",
        ),
    ),
)


def example_named(name: object) -> Example:
    """The example of this name.

    Raises:
        ValueError: if there is none.
    """
    for example in EXAMPLES:
        if example.name == name:
            return example
    raise ValueError("there is no such example picture")

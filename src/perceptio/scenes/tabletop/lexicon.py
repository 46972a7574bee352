"""The words of the table-top world: everything has a shape, a colour, a material and a size; no shape has a synonym."""

from __future__ import annotations

from perceptio.scenes.language import wording
from perceptio.scenes.language.lexicon import TASKS_OF_ALL, Lexicon, Noun, Word
from perceptio.scenes.tabletop.world import COLORS, HELD_OUT, MATERIALS, SHAPES, SIZES

_CALLED = {"torus": "ring"}  # what people call a shape, where it differs

LEXICON = Lexicon(
    nouns={shape: Noun(Word(word := _CALLED.get(shape, shape), f"{word}s")) for shape in SHAPES},
    anything=Word("object", "objects"),
    values={"size": SIZES, "material": MATERIALS, "color": tuple(COLORS), "noun": SHAPES},
    descriptions=(
        ("noun",),
        ("color",),
        ("color", "noun"),
        ("material", "noun"),
        ("size", "noun"),
        ("size", "color"),
        ("color", "material"),
        ("size", "color", "noun"),
        ("color", "material", "noun"),
        ("size", "material", "noun"),
    ),
    groups=((), ("noun",), ("color",), ("material",), ("size",), ("color", "noun")),
    counted=(0.1, 0.25, 0.25, 0.15, 0.1, 0.15),
    existing=(("color", "noun"),),
    attributes={"color": 0.35, "noun": 0.35, "material": 0.2, "size": 0.1},
    questions={
        "color": wording.ATTRIBUTE["color"],
        "noun": wording.ATTRIBUTE["shape"],
        "material": wording.ATTRIBUTE["material"],
        "size": wording.ATTRIBUTE["size"],
    },
    choices=("color", "noun", "material"),
    numerous=("noun", "color"),
    tasks=TASKS_OF_ALL,
    held_out=HELD_OUT,
)

"""The words of the second world: classes with synonyms and wider nouns; colours where a word is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from perceptio.data.marks import HARDBLINK
from perceptio.scenes.language import wording
from perceptio.scenes.language.lexicon import Lexicon, Noun, Place, Word

COLOR_WORDS = (
    "red",
    "orange",
    "yellow",
    "green",
    "cyan",
    "blue",
    "purple",
    "pink",
    "brown",
    "white",
    "black",
    "gray",
    "beige",
)
PLACE_WORDS = {  # by the names in the table of classes
    "living": "living room",
    "bed": "bedroom",
    "kitchen": "kitchen",
    "bath": "bathroom",
    "office": "office",
    "street": "street",
    "garden": "garden",
}
LEAST_SEEN = 12.0  # px of a picture of 224 px a side: nobody sees less
CONTRARY = 0.65  # share of the sets of marked points in which the lowest must not be the nearest


class ObjectClass(Protocol):
    """What the lexicon reads of a class of the pack."""

    @property
    def noun(self) -> str: ...
    @property
    def plural(self) -> str: ...
    @property
    def synonyms(self) -> tuple[tuple[str, str], ...]: ...  # singular and plural
    @property
    def also(self) -> tuple[str, ...]: ...
    @property
    def role(self) -> str: ...
    @property
    def places(self) -> tuple[str, ...]: ...
    @property
    def held_out(self) -> bool: ...


def build_lexicon(classes: Iterable[ObjectClass], built: Mapping[str, Noun] | None = None) -> Lexicon:
    """The words for a pack.

    Args:
        classes: of the pack; those of role `none` have no words. A held-out class is never said to be absent: training
            would teach that it does not exist.
        built: nouns of what the world builds itself and has no class for.

    Raises:
        ValueError: if a wider noun has no class, or one word names two classes.
    """
    used = [each for each in classes if each.role != "none"]
    built = built or {}
    nouns = {
        each.noun: Noun(
            Word(each.noun, each.plural),
            tuple(Word(*pair) for pair in each.synonyms),
            tuple(each.also),
            colored=each.role != "person",
        )
        for each in used
    }
    known = [each for each in used if not each.held_out]
    return Lexicon(
        nouns={**built, **nouns},
        anything=Word("object", "objects"),
        values={"color": COLOR_WORDS, "noun": tuple(dict.fromkeys((*built, *(each.noun for each in known))))},
        descriptions=(("noun",), ("color", "noun")),
        groups=(("noun",), ("color", "noun")),
        counted=(0.75, 0.25),
        existing=(("noun",), ("color", "noun")),
        attributes={"color": 1.0},
        questions={"color": wording.ATTRIBUTE["color"]},
        choices=("color",),
        numerous=("noun",),
        tasks=frozenset(
            {
                "referring",
                "naming",
                "plural",
                "absent",
                "caption",
                "inventory",
                "depth",
                "reading",
                "nearer",
                "counting",
                "attribute",
                "existence",
                "comparison",
                "more",
                "choice",
                "beside",
                "place",
            }
        ),
        space=("on", "under", "next", "nearest"),
        places={
            words: Place(words, tuple(each.noun for each in known if name in each.places))
            for name, words in PLACE_WORDS.items()
        },
        least_seen=LEAST_SEEN,
        digits_apart=2,
        tries=8,
        points=replace(HARDBLINK, contrary=CONTRARY),
    )

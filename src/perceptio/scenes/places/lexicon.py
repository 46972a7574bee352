"""The words of the second world: classes with synonyms and wider nouns; colours where a word is safe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from perceptio.scenes.assets.colors import COLOR_WORDS
from perceptio.scenes.language import wording
from perceptio.scenes.language.lexicon import TASKS_OF_ALL, Lexicon, Noun, Place, Word
from perceptio.scenes.language.mixture import Mixture

PLACE_WORDS = {  # by the names in the table of classes
    "living": "living room",
    "bed": "bedroom",
    "kitchen": "kitchen",
    "bath": "bathroom",
    "office": "office",
    "street": "street",
    "garden": "garden",
}
WIDER = {  # nouns that surely fit what other nouns name, and by which it is called too
    "bag": ("backpack", "handbag"),
    "ball": ("basketball", "soccer ball"),
    "bin": ("litter bin", "recycling bin", "wheelie bin"),
    "bottle": ("beer bottle", "perfume bottle", "spray bottle", "wine bottle"),
    "bowl": ("fruit bowl", "salad bowl"),
    "cabinet": ("filing cabinet", "kitchen cabinet", "wall cabinet"),
    "camera": ("dome camera", "security camera"),
    "chair": ("armchair", "deck chair", "lounge chair", "office chair"),
    "child": ("boy", "girl"),
    "clock": ("alarm clock", "cuckoo clock"),
    "glass": ("cocktail glass", "wine glass"),
    "lamp": ("ceiling lamp", "desk lamp", "floor lamp", "hanging lamp", "table lamp", "wall lamp"),
    "person": ("boy", "girl", "man", "woman"),
    "plant": ("orchid", "potted plant", "succulent"),
    "table": ("bar table", "coffee table"),
    "tool": ("angle grinder", "bolt cutter", "drill", "hammer", "saw", "screwdriver"),
    "tree": ("cypress", "fir tree", "palm tree"),
}
LEAST_SEEN = 12.0  # px of a picture of 224 px a side: nobody sees less
# most things here are one of their kind and have no safe colour: what needs others is asked for more often
MIXTURE = Mixture(
    referring=4.0, naming=0.7, plural=8.0, caption=0.8, inventory=1.2, counting=3.0, attribute=5.0, place=0.4
)


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
        ValueError: if one word names two classes.
    """
    used = {each.noun: each for each in classes if each.role != "none"}
    built = built or {}
    nouns = {
        name: Noun(
            Word(name, each.plural),
            tuple(Word(*pair) for pair in each.synonyms),
            wider=tuple(wide for wide, narrow in WIDER.items() if name in narrow and wide in used),
            also=tuple(other for other in each.also if other in used),
            colored=each.role != "person",
        )
        for name, each in used.items()
    }
    known = [each for each in used.values() if not each.held_out]
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
        tasks=TASKS_OF_ALL | {"beside", "place"},
        mixture=MIXTURE,
        space=("on", "under", "next", "nearest"),
        places={
            words: Place(words, tuple(each.noun for each in known if name in each.places))
            for name, words in PLACE_WORDS.items()
        },
        least_seen=LEAST_SEEN,
        digits_apart=2,
        single=0.3,
        tries=8,
    )

"""What is true in a picture: which things can be spoken of, what fits them, how they stand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from perceptio.data.marks import cell_words, two_digits
from perceptio.data.templates import capital
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.scenes.language import space
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.language.lexicon import Word
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.views import ObjectView

MIN_PIXELS = 60  # of a picture of 224 px a side; smaller referents are not spoken of
MIN_VISIBLE = 0.35  # share of an object that must be seen
SIDE_MARGIN = 8.0  # px between centroids that are left and right of each other
DEPTH_MARGIN = 0.12  # relative difference of two depths that are in front of and behind each other
BESIDE = 0.3  # share of the narrower of two neighbours, side by side, that is above or below the other in the picture
REACH = 1.5  # metres to a neighbour, or as far as the other thing is long
RELATIONS = ("left", "right", "front", "behind")  # as the camera sees them


@dataclass(frozen=True)
class Kind:
    """A description by attributes; None where it says nothing."""

    size: str | None = None
    material: str | None = None
    color: str | None = None
    noun: str | None = None

    @property
    def adjectives(self) -> int:
        """How many attributes are said beside the noun."""
        return sum(value is not None for value in (self.size, self.material, self.color))


@dataclass(frozen=True)
class Thing:
    """An entity with its view."""

    what: Entity
    view: ObjectView

    @property
    def index(self) -> int:
        return self.what.index


class Facts:
    """The scene graph of one picture, and how its nouns are said.

    Args:
        stored: the scene.
    """

    def __init__(self, stored: StoredScene) -> None:
        scale = (stored.rgb.shape[0] / 224) ** 2
        self.lexicon = stored.lexicon
        self.place = stored.place
        pairs = [Thing(self._spoken(what), view) for what, view in zip(stored.entities, stored.views, strict=True)]
        # unclear ones too, in some worlds even hidden ones: an expression must not fit them either
        self.things = [thing for thing in pairs if thing.view.pixels >= self.lexicon.least_seen * scale]
        self.side = stored.rgb.shape[0]
        self._stored = stored
        self._least = MIN_PIXELS * scale
        self._read: dict[int, str] = {}
        self._chosen: Mapping[str, Word] = {}
        good = [thing for thing in self.things if self.is_clear(thing)]
        self.clear = sorted(good, key=lambda thing: thing.view.center[0])  # enough to be spoken of; from left to right

    def reworded(self, rng: np.random.Generator) -> Facts:
        """The same facts with fresh choices among synonyms: for one turn, which calls one thing by one word."""
        other = copy(self)
        other._chosen = self.lexicon.choose_words(rng)
        return other

    def _spoken(self, what: Entity) -> Entity:
        """An entity without what is not said of its noun."""
        return what if self.lexicon.nouns[what.noun].colored else replace(what, color=None)

    @cached_property
    def nearness(self) -> np.ndarray:
        """(H, W) normalised inverse depth of the picture, in [-1, 1]."""
        return inverse_depth_from_metric(self._stored.depth)

    def word(self, noun: str) -> Word:
        """How a noun is said."""
        return self._chosen.get(noun, self.lexicon.nouns[noun].word)

    def words(self, kind: Kind, plural: bool = False) -> str:
        """A description without an article: "large red metal cube"."""
        noun = self.word(kind.noun) if kind.noun else self.lexicon.anything
        parts = [kind.size, kind.color, kind.material, noun.plural if plural else noun.singular]
        return " ".join(part for part in parts if part)

    def cell_of(self, thing: Thing) -> str:
        """The cell of an object's centre: "3,4"."""
        return cell_words(*thing.view.center, self.side)

    def nearness_words(self, thing: Thing) -> str:
        """The median nearness of what is seen of an object, 00 to 99; in the order of `nearer`."""
        if thing.index not in self._read:
            self._read[thing.index] = two_digits(float(np.median(self.nearness[self._stored.ids == thing.index])))
        return self._read[thing.index]

    def read_off(self, named: Sequence[tuple[Thing, str]], depth: bool) -> str:
        """Objects by name with where they are and, if it matters, how near: like the chain about marked points."""

        def read(thing: Thing, text: str) -> str:
            near = f" nearness {self.nearness_words(thing)}" if depth else ""
            return f"<p>{text}</p> at {self.cell_of(thing)}{near}"

        return capital("; ".join(read(thing, text) for thing, text in named))

    def is_clear(self, thing: Thing) -> bool:
        """Whether an object is large and open enough to be spoken of."""
        return thing.view.pixels >= self._least and thing.view.visible >= MIN_VISIBLE

    def fits(self, kind: Kind, thing: Thing) -> bool | None:
        """Whether a thing is of a kind; None where it might be called so: by its noun, or as no colour is sure."""
        what = thing.what
        pairs = ((kind.size, what.size), (kind.material, what.material), (kind.color, what.color))
        parts = [None if own is None else own == wanted for wanted, own in pairs if wanted is not None]
        if kind.noun is not None:
            parts.append(self.lexicon.fits(kind.noun, what.noun))
        return False if False in parts else None if None in parts else True

    def matches(self, kind: Kind) -> list[Thing] | None:
        """All objects of a kind from left to right; None where the set is not sure.

        That is if one of them shows too little, one may or may not be of the kind, or none fits but one might be called
        by the noun: nobody says that there is no armchair where a chair might be one.
        """
        found = []
        for thing in self.things:
            fits = self.fits(kind, thing)
            if fits is not False:
                found.append(thing)
                if fits is None or not self.is_clear(thing):
                    return None
        if not found and kind.noun is not None:
            anyhow = Kind(kind.size, kind.material, kind.color)
            if any(
                self.lexicon.may_fit(kind.noun, thing.what.noun) and self.fits(anyhow, thing) is not False
                for thing in self.things
            ):
                return None
        return sorted(found, key=lambda thing: thing.view.center[0])

    def relation(self, a: Thing, b: Thing, name: str) -> bool | None:
        """Whether `a` is left of, right of, in front of or behind `b`, on, under or next to it.

        Returns:
            None where it is too close to call.
        """
        if name in ("left", "right"):
            offset = (a.view.center[0] - b.view.center[0]) * 224 / self.side
            if abs(offset) < SIDE_MARGIN:
                return None
            return (offset < 0) == (name == "left")
        if name == "on":
            return space.is_on(a.what, b.what, self._stored.entities)
        if name == "under":
            carries = space.is_on(b.what, a.what, self._stored.entities)
            return space.is_under(a.what, b.what) if carries is False else None
        if name == "next":
            return space.is_next_to(a.what, b.what)
        closer = self.nearer(a, b)
        return None if closer is None else closer == (name == "front")

    def nearer(self, a: Thing, b: Thing) -> bool | None:
        """Whether `a` is nearer to the camera than `b`; None where it is too close to call, or to read off."""
        first, second = a.view.depth, b.view.depth
        if abs(first - second) < DEPTH_MARGIN * min(first, second):
            return None
        if least := self.lexicon.digits_apart:
            near, far = sorted((a, b), key=lambda thing: thing.view.depth)
            if int(self.nearness_words(near)) - int(self.nearness_words(far)) < least:
                return None
        return first < second

    def neighbour(self, anchor: Thing, side: str) -> Thing | None:
        """The one thing that stands left or right of another, in front of or behind it; None if it is not clear which.

        What stands on something else is no neighbour, nor is what hangs above: who is asked names what holds it. What
        is left is seen beside the other thing, what is behind is seen over it.
        """
        level = [
            (space.distance(thing.what, anchor.what), thing)
            for thing in self.things
            if thing.index not in (anchor.index, anchor.what.on)
            and thing.what.on is None
            and space.share_height(thing.what, anchor.what)
        ]
        near = sorted(
            ((gap, thing) for gap, thing in level if self.relation(thing, anchor, side) is not False),
            key=lambda pair: pair[0],
        )
        if not near or near[0][0] > max(REACH, *anchor.what.extent):
            return None
        gap, thing = near[0]
        if len(near) > 1 and not space.clearly_nearer(gap, near[1][0]):
            return None
        if not self.is_clear(thing) or not self.relation(thing, anchor, side):
            return None
        (a, _, b, _), (c, _, d, _) = thing.view.box, anchor.view.box
        covered = (min(b, d) - max(a, c)) / min(b - a, d - c)
        return thing if (covered < BESIDE) == (side in ("left", "right")) else None

    def only_one_on(self, anchor: Thing) -> Thing | None:
        """What stands on a thing, if it is one thing alone."""
        carried = [thing for thing in self.things if self.relation(thing, anchor, "on") is not False]
        if len(carried) != 1 or carried[0].what.on != anchor.index or not self.is_clear(carried[0]):
            return None
        return carried[0]

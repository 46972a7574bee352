"""What is true in a picture: which objects can be spoken of, what fits them, how they stand to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perceptio.data.marks import cell_words, two_digits
from perceptio.data.templates import capital
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.tabletop.world import SceneObject
from perceptio.scenes.views import ObjectView

MIN_PIXELS = 60  # of a picture of 224 px a side; smaller referents are not spoken of
MIN_VISIBLE = 0.35  # share of an object that must be seen
SIDE_MARGIN = 8.0  # px between centroids that are left and right of each other
DEPTH_MARGIN = 0.12  # relative difference of two depths that are in front of and behind each other
NOUNS = {"torus": "ring"}  # what people call a shape, where it differs
RELATIONS = ("left", "right", "front", "behind")


@dataclass(frozen=True)
class Kind:
    """A description by attributes; None where it says nothing."""

    size: str | None = None
    material: str | None = None
    color: str | None = None
    shape: str | None = None

    def fits(self, thing: SceneObject) -> bool:
        """Whether an object is of this kind."""
        return (
            self.size in (None, thing.size)
            and self.material in (None, thing.material)
            and self.color in (None, thing.color)
            and self.shape in (None, thing.shape)
        )

    def words(self, plural: bool = False) -> str:
        """The description without an article: "large red metal cube"."""
        noun = NOUNS.get(self.shape, self.shape) if self.shape else "object"
        parts = [self.size, self.color, self.material, noun + ("s" if plural else "")]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Thing:
    """An object with its view."""

    what: SceneObject
    view: ObjectView

    @property
    def index(self) -> int:
        return self.what.index


class Facts:
    """The scene graph of one picture.

    Args:
        stored: the scene.
    """

    def __init__(self, stored: StoredScene) -> None:
        scale = (stored.rgb.shape[0] / 224) ** 2
        pairs = [Thing(what, view) for what, view in zip(stored.scene.objects, stored.views, strict=True)]
        self.things = pairs  # hidden ones too: an expression must not fit them either
        self.side = stored.rgb.shape[0]
        self._stored = stored
        self._least = MIN_PIXELS * scale

    @cached_property
    def nearness(self) -> np.ndarray:
        """(H, W) normalised inverse depth of the picture, in [-1, 1]."""
        return inverse_depth_from_metric(self._stored.depth)

    def place_words(self, thing: Thing) -> str:
        """The cell of an object's centre: "3,4"."""
        return cell_words(*thing.view.center, self.side)

    def nearness_words(self, thing: Thing) -> str:
        """The median nearness of what is seen of an object, 00 to 99; in the order of `nearer`."""
        return two_digits(float(np.median(self.nearness[self._stored.ids == thing.index])))

    def read_off(self, named: Sequence[tuple[Thing, str]], depth: bool) -> str:
        """Objects by name with where they are and, if it matters, how near: like the chain about marked points."""

        def read(thing: Thing, text: str) -> str:
            near = f" nearness {self.nearness_words(thing)}" if depth else ""
            return f"<p>{text}</p> at {self.place_words(thing)}{near}"

        return capital("; ".join(read(thing, text) for thing, text in named))

    @cached_property
    def clear(self) -> list[Thing]:
        """Objects large and open enough to be spoken of, from left to right."""
        good = [thing for thing in self.things if self.is_clear(thing)]
        return sorted(good, key=lambda thing: thing.view.center[0])

    def is_clear(self, thing: Thing) -> bool:
        """Whether an object is large and open enough to be spoken of."""
        return thing.view.pixels >= self._least and thing.view.visible >= MIN_VISIBLE

    def matches(self, kind: Kind) -> list[Thing] | None:
        """All objects of a kind from left to right; None if one of them shows too little to be sure of the set."""
        found = [thing for thing in self.things if kind.fits(thing.what)]
        if not all(self.is_clear(thing) for thing in found):
            return None
        return sorted(found, key=lambda thing: thing.view.center[0])

    def relation(self, a: Thing, b: Thing, name: str) -> bool | None:
        """Whether `a` is left of, right of, in front of or behind `b`; None where it is too close to call."""
        if name in ("left", "right"):
            offset = (a.view.center[0] - b.view.center[0]) * 224 / self.side
            if abs(offset) < SIDE_MARGIN:
                return None
            return (offset < 0) == (name == "left")
        closer = nearer(a, b)
        return None if closer is None else closer == (name == "front")


def nearer(a: Thing, b: Thing) -> bool | None:
    """Whether `a` is nearer to the camera than `b`; None where their depths differ by less than the margin."""
    first, second = a.view.depth, b.view.depth
    if abs(first - second) < DEPTH_MARGIN * min(first, second):
        return None
    return first < second

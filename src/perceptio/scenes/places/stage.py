"""A scene under construction: what was placed, of which materials, and what words may call it."""

from __future__ import annotations

import colorsys
import math
import random
from collections.abc import Sequence

import numpy as np

from perceptio.scenes.assets.colors import color_word
from perceptio.scenes.assets.pack import Model
from perceptio.scenes.camera import Camera, Vector
from perceptio.scenes.places.inventory import Inventory
from perceptio.scenes.places.scene import Thing
from perceptio.scenes.places.solids import Site, Solid
from perceptio.scenes.rendering.drawing import MOST_MATERIALS, Cover, Drawing, Material, Piece, Placed, WindowLight
from perceptio.scenes.rendering.light import Lighting, draw_finish

MOST_THINGS = 60  # that words may speak of; the lone silhouettes of a picture are as many
RECOLORED, _COVERED = 0.2, 0.5  # share of things, and of those the share that gets a surface picture too
_LIVING = ("person", "animal", "tree", "plant")  # kept in their own colours


class Stage:
    """Collects materials, pieces, models and things.

    Args:
        rng: of every draw.
        inventory: what may be placed.
        site: where.
    """

    def __init__(self, rng: random.Random, inventory: Inventory, site: Site) -> None:
        self.rng, self.inventory, self.site = rng, inventory, site
        self.materials: list[Material] = []
        self.pieces: list[Piece] = []
        self.placed: list[Placed] = []
        self.things: list[Thing] = []
        self.solids: dict[int, Solid] = {}  # of the things

    def material(
        self,
        rgb: Vector,
        layers: Sequence[int] = (),
        repeats: float = 1.0,
        strength: float = 1.0,
        gloss: float = 0.0,
        glow: float = 0.0,
    ) -> int:
        """A new material, with one of some surface pictures over its colour; returns its number."""
        if len(self.materials) == MOST_MATERIALS:  # houses of a long street share what is there
            return self.rng.randrange(MOST_MATERIALS // 2, MOST_MATERIALS)
        cover = Cover(self.rng.choice(layers), repeats, strength) if layers else None
        self.materials.append(Material(rgb, cover, gloss, glow))
        return len(self.materials) - 1

    def tone(self, saturation: float = 0.35, low: float = 0.35, high: float = 0.95) -> Vector:
        """A random colour, sRGB."""
        rng = self.rng
        return colorsys.hsv_to_rgb(rng.random(), rng.random() * saturation, rng.uniform(low, high))

    def piece(self, vertices: np.ndarray, index: int = 0, casts: bool = True) -> None:
        """Add triangles."""
        self.pieces.append(Piece(vertices, index, casts))

    def own_thing(self, noun: str, solid: Solid, support: str, rgb: Vector | None = None) -> int:
        """A thing that pieces make up; returns the index that they carry, 0 where there are too many things.

        Args:
            noun: a class of the pack; where the pack lacks it, the pieces stay nameless.
            solid: around it.
            support: see `Thing`.
            rgb: its colour, where it has one.
        """
        if support == "wall":  # nothing else hangs or stands there; what lies on the floor is stepped on
            self.site.take(solid)
        if noun not in self.inventory.pack.classes or len(self.things) >= MOST_THINGS:
            return 0
        color = None if rgb is None else color_word(np.array([rgb], np.float32), np.ones(1, np.float32))
        return self._note(noun, None, color, solid, support, None)

    def fits(self, model: Model, foot: Vector, yaw: float, scale: float = 1.0) -> Solid:
        """The space that a model would take."""
        width, depth, height = model.size
        return Solid(foot, (width * scale, depth * scale, height * scale), yaw)

    def put(self, model: Model, solid: Solid, support: str, on: int | None = None, recolor: float = RECOLORED) -> int:
        """Place a model, whether there is room or not; returns its index.

        Args:
            model: of the inventory.
            solid: where, as `fits` gives it.
            support: see `Thing`.
            on: index of what it stands on.
            recolor: how often it gets another colour.
        """
        rng, role = self.rng, self.inventory.pack.classes[model.noun].role
        tint: Vector = (1.0, 1.0, 1.0)
        cover = None
        color = model.color
        if role not in _LIVING:
            if rng.random() < recolor:
                red, green, blue = (1.3 * c**2.2 for c in self.tone(0.75, 0.4, 1.0))
                tint = (red, green, blue)
                color = self.inventory.word(model, tint)
            layers = self.inventory.surfaces("any", "fabric", "wall", "floor")
            if layers and rng.random() < recolor * _COVERED:
                strength = 1.0 if rng.random() < 0.25 else rng.uniform(0.2, 0.7)
                cover = Cover(rng.choice(layers), rng.uniform(0.7, 3.0), strength)
                color = None  # the picture's colours mix with its own
        self.site.take(solid)
        full = len(self.things) >= MOST_THINGS
        index = 0 if full else self._note(model.noun, model.name, color, solid, support, on)
        self.placed.append(Placed(self.inventory.number(model), solid.matrix(model.size), index, tint, cover))
        return index

    def drawing(self, camera: Camera, light: Lighting, *, window: WindowLight | None = None, far: float) -> Drawing:
        """What stands here, seen by a camera, with a random finish.

        Args:
            camera: where it is seen from.
            light: of the place; one with a sky is outdoors.
            window: of a closed room.
            far: metres, farthest depth that is drawn.
        """
        finish = draw_finish(self.rng, self.inventory.pack, light, outdoors=light.sky is not None)
        return Drawing(
            camera,
            self.placed,
            self.pieces,
            self.materials,
            light.sun,
            light.sky_light,
            light.ground_light,
            window,
            light.lamps,
            light.sky,
            finish,
            far=far,
        )

    def _note(self, noun: str, model: str | None, color: str | None, solid: Solid, support: str, on: int | None) -> int:
        index = len(self.things) + 1
        yaw = round(solid.yaw % math.tau, 3)
        self.things.append(
            Thing(index, noun, model, color, _rounded(solid.center), _rounded(solid.size), yaw, support, on)
        )
        self.solids[index] = solid
        return index


def _rounded(v: Vector) -> Vector:
    return round(v[0], 3), round(v[1], 3), round(v[2], 3)

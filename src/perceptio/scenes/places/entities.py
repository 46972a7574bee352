"""What words may say of the things of a scene of the second world."""

from __future__ import annotations

import math

from perceptio.scenes.camera import Vector
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.places.scene import PlacesScene, Thing

_SHOWN_WHOLE = ("room", "street", "garden")  # families whose pictures show where they are


def entities_of(scene: PlacesScene) -> tuple[Entity, ...]:
    """The things of a scene in order."""
    return tuple(
        Entity(
            index=thing.index,
            noun=thing.noun,
            color=thing.color,
            center=thing.center,
            extent=_upright(thing),
            on=thing.on,
        )
        for thing in scene.objects
    )


def place_of(scene: PlacesScene) -> str | None:
    """Where it is, if the picture shows so."""
    return scene.place if scene.family in _SHOWN_WHOLE else None


def _upright(thing: Thing) -> Vector:
    """Full lengths along the world's axes of a box that is turned about the vertical."""
    cos, sin = abs(math.cos(thing.yaw)), abs(math.sin(thing.yaw))
    width, depth, height = thing.extent
    return (width * cos + depth * sin, width * sin + depth * cos, height)

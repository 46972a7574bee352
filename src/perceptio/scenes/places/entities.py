"""What words may say of the things of a scene of the second world."""

from __future__ import annotations

import math
from dataclasses import replace

from perceptio.data.marks import HARDBLINK, PointLaw
from perceptio.scenes.camera import Vector
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.places.scene import PlacesScene, Thing

# share of the choices of points in which the lowest is not the nearest: the flatter the ground, the more often it is
_CONTRARY = {"room": 0.3, "closeup": 0.45, "street": 0.55, "garden": 0.75, "wild": 0.0}
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


def points_of(scene: PlacesScene) -> PointLaw:
    """How points of its picture are marked: as HardBLINK does, and as many lowest ones nearest in every family."""
    return replace(HARDBLINK, contrary=_CONTRARY[scene.family])


def _upright(thing: Thing) -> Vector:
    """Full lengths along the world's axes of a box that is turned about the vertical."""
    cos, sin = abs(math.cos(thing.yaw)), abs(math.sin(thing.yaw))
    width, depth, height = thing.extent
    return (width * cos + depth * sin, width * sin + depth * cos, height)

"""What words may say of the things of a table-top."""

from __future__ import annotations

from perceptio.scenes.language.entities import Entity
from perceptio.scenes.tabletop.world import Scene


def entities_of(scene: Scene) -> tuple[Entity, ...]:
    """The objects of a scene in order; a thing's noun is its shape."""
    return tuple(
        Entity(
            index=thing.index,
            noun=thing.shape,
            color=thing.color,
            material=thing.material,
            size=thing.size,
            center=thing.position,
            extent=(thing.scale, thing.scale, thing.scale),
        )
        for thing in scene.objects
    )

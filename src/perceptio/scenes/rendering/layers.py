"""Which surface pictures of a pack are good for what."""

from __future__ import annotations

from perceptio.scenes.assets.pack import Pack


def layers_of(pack: Pack, *groups: str) -> list[int]:
    """The numbers of the surface pictures of some groups: floor, wall, ground, road, facade, fabric, sky, any, ..."""
    return [number for number, surface in enumerate(pack.surfaces) if surface.group in groups]

"""What words may say of one thing in a scene, whatever world it is from. Frame: right-handed, metres, z up."""

from __future__ import annotations

from dataclasses import dataclass

from perceptio.scenes.camera import Vector


@dataclass(frozen=True)
class Entity:
    """One thing that has a value in the id map; each world makes its own out of its scenes."""

    index: int  # its value in the id map, from 1, never `NEVER_MARKED`
    noun: str  # a key of the lexicon's nouns
    color: str | None = None  # None: no word is safe, and it might be called anything
    material: str | None = None
    size: str | None = None
    center: Vector = (0.0, 0.0, 0.0)  # metres, of its upright box in the world
    extent: Vector = (0.0, 0.0, 0.0)  # metres, full lengths of that box along the world's axes
    on: int | None = None  # index of the entity that it stands on

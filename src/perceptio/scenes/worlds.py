"""The worlds that scenes are from, and what all that reads a scene needs to know of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from perceptio.data.marks import PointLaw
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.language.lexicon import Lexicon
from perceptio.scenes.places import entities as places_entities
from perceptio.scenes.places import scene as places_scene
from perceptio.scenes.rendering.drawing import SKY_DEPTH
from perceptio.scenes.tabletop import entities as tabletop_entities
from perceptio.scenes.tabletop import world as tabletop_world
from perceptio.scenes.tabletop.layout import FARTHEST


@dataclass(frozen=True, eq=False)
class World:
    """One world."""

    name: str
    splits: tuple[str, ...]
    tests: Mapping[str, int]  # scenes of each test split
    version: str  # of its generator: raise it whenever the same seed would give another picture, label or scene
    needs_pack: bool  # of models and surfaces
    farthest: float  # metres, of anything that is seen
    licence: str  # of its pictures
    scene_from: Callable[[dict[str, Any]], Any]  # what a scene's `to_dict` wrote
    words: Callable[[], Lexicon]
    entities_of: Callable[[Any], tuple[Entity, ...]]  # of a scene, in the order of its views
    points_of: Callable[[Any], PointLaw | None]  # of marked points in its picture; None: the default law
    place_of: Callable[[Any], str | None]  # a key of the lexicon's places, or None where a scene has none
    glass: frozenset[str] = frozenset()  # nouns of what one looks through or into: no point is marked on it

    def __reduce__(self) -> tuple[Any, ...]:
        return world_named, (self.name,)  # other processes have their own

    @cached_property
    def lexicon(self) -> Lexicon:
        """Its words."""
        return self.words()


def _tabletop_words() -> Lexicon:
    from perceptio.scenes.tabletop.lexicon import LEXICON

    return LEXICON


def _places_words() -> Lexicon:
    from perceptio.scenes.assets.classes import read_classes
    from perceptio.scenes.places.lexicon import build_lexicon

    return build_lexicon(read_classes().values())


TABLETOP = World(
    name="tabletop",
    splits=tabletop_world.SPLITS,
    tests={"test": 500, "test-compositional": 300, "test-shift": 300},
    version="1",
    needs_pack=False,
    farthest=FARTHEST,
    licence="Apache-2.0",
    scene_from=tabletop_world.Scene.from_dict,
    words=_tabletop_words,
    entities_of=tabletop_entities.entities_of,
    points_of=lambda scene: None,
    place_of=lambda scene: None,
)
_PACK_LICENCE = "models: CC0 and CC-BY-3.0; surfaces: CC-BY-SA, GPL and others; see CREDITS.md of the pack"
PHOTOGRAPHIC = replace(TABLETOP, name="tabletop-photographic", needs_pack=True, licence=_PACK_LICENCE)
PLACES = World(
    name="places",
    splits=places_scene.SPLITS,
    tests={"test": 400, "test-instances": 200, "test-classes": 100},
    version="1",
    needs_pack=True,
    farthest=SKY_DEPTH,
    licence=_PACK_LICENCE,
    scene_from=places_scene.PlacesScene.from_dict,
    words=_places_words,
    entities_of=places_entities.entities_of,
    points_of=places_entities.points_of,
    place_of=places_entities.place_of,
    glass=frozenset({"window", "French window", "aquarium"}),
)
WORLDS = {world.name: world for world in (TABLETOP, PHOTOGRAPHIC, PLACES)}


def world_named(name: str) -> World:
    """Find a world.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in WORLDS:
        raise ValueError(f"unknown world {name!r}: choose one of {', '.join(WORLDS)}")
    return WORLDS[name]

"""Scenes that the tests of language, samples and storage share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from perceptio.scenes import worlds
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.places.lexicon import build_lexicon
from perceptio.scenes.render_job import render_split
from perceptio.scenes.storage import SceneStore, StoredScene
from perceptio.scenes.tabletop.layout import sample_scene
from perceptio.scenes.tabletop.renderer import Renderer
from perceptio.scenes.tabletop.world import SCALES, Scene, SceneObject
from perceptio.scenes.views import ObjectView, describe_view

# size, colour, material, shape; centre x, y and half side in px of a 224 px picture; depth in metres
Block = tuple[str, str, str, str, int, int, int, float]


@pytest.fixture(scope="session")
def scenes() -> list[StoredScene]:
    """Forty rendered scenes of the test split."""
    stored = []
    with Renderer(size=224) as renderer:
        for seed in range(40):
            scene = sample_scene(seed, "test")
            rendered = renderer.render(scene)
            views = describe_view(rendered, scene)
            stored.append(StoredScene(scene, rendered.rgb, rendered.depth, rendered.ids, views))
    return stored


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> SceneStore:
    """Twelve scenes of the val split on disk; tests that damage them take a copy."""
    return render_split(tmp_path_factory.mktemp("scenes") / "val", "val", 12, size=224, workers=1, progress=False)


@pytest.fixture(scope="session")
def build() -> Callable[[Sequence[Block]], StoredScene]:
    """A scene of upright squares in front of a wall, written down by hand."""
    return _build


def _build(blocks: Sequence[Block]) -> StoredScene:
    base = sample_scene(0, "test")
    rows, columns = np.mgrid[:224, :224]
    depth = np.full((224, 224), 9.0, np.float32)
    ids = np.zeros((224, 224), np.uint8)
    things, views = [], []
    for index, (size, color, material, shape, x, y, half, z) in enumerate(blocks, 1):
        inside = (abs(rows - y) <= half) & (abs(columns - x) <= half)
        depth[inside], ids[inside] = z, index
        pixels = (2 * half + 1) ** 2 if half else 0
        box = (x - half, y - half, x + half + 1, y + half + 1)
        things.append(
            SceneObject(index, shape, color, material, size, SCALES[size], (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), "floor")
        )
        views.append(ObjectView(index, pixels, 1.0 if half else 0.0, box, (float(x), float(y)), z, z))
    scene = Scene(0, "test", tuple(things), (), base.room, base.camera, base.lights, base.ambient)
    return StoredScene(scene, np.full((224, 224, 3), 90, np.uint8), depth, ids, tuple(views))


@dataclass(frozen=True)
class Class:
    """A class of things, as a pack holds it."""

    noun: str
    plural: str
    places: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()
    role: str = "floor"
    held_out: bool = False


CLASSES = (
    Class("sofa", "sofas", ("living",), ("armchair",), (("couch", "couches"), ("settee", "settees"))),
    Class("armchair", "armchairs", ("living",), ("chair",)),  # surely a chair
    Class("stool", "stools", ("kitchen",), ("chair",)),  # perhaps
    Class("chair", "chairs", ("kitchen", "living")),
    Class("table", "tables", ("kitchen", "living")),
    Class("coffee table", "coffee tables", ("living",), ("table",)),
    Class("lamp", "lamps", ("living", "bed"), synonyms=(("light", "lights"),), role="small"),
    Class("bed", "beds", ("bed",)),
    Class("window", "windows", ("living", "kitchen"), role="window"),
    Class("woman", "women", ("street", "living"), ("person",), role="person"),
    Class("man", "men", ("street", "living"), ("person",), role="person"),
    Class("person", "people", role="group"),
    Class("car", "cars", ("street",), ("sea",), (("automobile", "automobiles"),), role="vehicle"),
    Class("bookcase", "bookcases", ("living",), held_out=True),
    Class("sea", "seas", role="none"),
)


@dataclass(frozen=True)
class _PlaceScene:
    seed: int
    split: str
    place: str | None
    entities: tuple[Entity, ...]


PLACES = replace(
    worlds.PLACES,
    words=lambda: build_lexicon(CLASSES),
    entities_of=lambda scene: scene.entities,
    place_of=lambda scene: scene.place,
)


@pytest.fixture(scope="session")
def furnish() -> Callable[..., StoredScene]:
    """A scene of the second world out of entities: boxes before a wall, seen from (0, 0, 1.5) along y."""
    return _furnish


@pytest.fixture(scope="session")
def rooms() -> list[StoredScene]:
    """Forty scenes of the second world, furnished at random."""
    return [_furnish(_random_entities(np.random.default_rng(seed)), "living room", seed) for seed in range(40)]


def _furnish(entities: Sequence[Entity], place: str | None = None, seed: int = 0) -> StoredScene:
    rows, columns = np.mgrid[:224, :224]
    depth = np.full((224, 224), 12.0, np.float32)
    ids = np.zeros((224, 224), np.uint8)
    alone = {}
    for entity in sorted(entities, key=lambda one: -_front(one)):
        (x, _, z), (width, _, height), front = entity.center, entity.extent, _front(entity)
        inside = abs(columns - 112 - 200 * x / front) <= 100 * width / front
        inside &= abs(rows - 90 + 200 * (z - 1.5) / front) <= 100 * height / front
        depth[inside], ids[inside], alone[entity.index] = front, entity.index, int(inside.sum())
    views = tuple(_view(ids, depth, entity.index, alone[entity.index]) for entity in entities)
    scene: Any = _PlaceScene(seed, "test", place, tuple(entities))
    return StoredScene(scene, np.full((224, 224, 3), 90, np.uint8), depth, ids, views, PLACES)


def _front(entity: Entity) -> float:
    """Metres from the camera to the box's face."""
    return entity.center[1] - entity.extent[1] / 2


def _view(ids: np.ndarray, depth: np.ndarray, index: int, alone: int) -> ObjectView:
    rows, columns = np.nonzero(ids == index)
    if not len(rows):
        return ObjectView(index, 0, 0.0, (0, 0, 0, 0), (0.0, 0.0), 0.0, 0.0)
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    z = depth[rows, columns]
    center = (float(columns.mean()), float(rows.mean()))
    return ObjectView(index, len(rows), len(rows) / alone, box, center, float(np.median(z)), float(z.min()))


def _random_entities(rng: np.random.Generator) -> list[Entity]:
    """Furniture in four places each of three rows, some of it with a lamp on it, windows in the wall behind."""
    nouns = ("sofa", "armchair", "chair", "chair", "stool", "table", "coffee table", "woman", "man", "bed")
    colors = ("red", "blue", "white", None)
    entities: list[Entity] = []

    def put(noun: str, center: tuple[float, float, float], extent: tuple[float, float, float], on: int | None) -> int:
        color = colors[rng.integers(len(colors))]
        entities.append(Entity(len(entities) + 1, noun, color, center=center, extent=extent, on=on))
        return len(entities)

    for y in (3.0, 5.0, 7.5):
        for x in (-2.0, -0.7, 0.7, 2.0):
            if rng.random() < 0.45:
                height = rng.uniform(0.4, 0.8)
                size = (rng.uniform(0.5, 1.1), 0.6, height)
                spot = (x * y / 5 + rng.uniform(-0.2, 0.2), y)
                below = put(nouns[rng.integers(len(nouns))], (*spot, height / 2), size, None)
                if rng.random() < 0.4:
                    put("lamp", (*spot, height + 0.2), (0.25, 0.25, 0.4), below)
    for x in (-2.0, 2.0):
        if rng.random() < 0.7:
            put("window", (1.5 * x, 8.0, 1.6), (1.4, 0.1, 1.0), None)
    return entities

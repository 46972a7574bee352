"""Scenes that the tests of language, samples and storage share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perceptio.scenes import worlds
from perceptio.scenes.assets.classes import GROUPS, ObjectClass
from perceptio.scenes.assets.meshes import Mesh
from perceptio.scenes.assets.pack import SURFACE_SIDE, TEXTURE_SIDE, Surface
from perceptio.scenes.assets.writing import PackWriter
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
    family: str = "room"


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


_HOUSE = ("living", "bed", "kitchen", "bath", "office")
# noun, role, places, size in metres, colour (sRGB and word) and, with legs, the thickness of the top
_MODELS: tuple[tuple[Any, ...], ...] = (
    ("armchair", "floor", ("living",), (0.9, 0.9, 0.9), (0.8, 0.1, 0.1), "red", None),
    ("bathtub", "wallside", ("bath",), (1.7, 0.7, 0.6), (0.95, 0.95, 0.95), "white", None),
    ("bed", "wallside", ("bed",), (1.6, 2.0, 0.5), (0.1, 0.2, 0.7), "blue", 0.2),
    ("bench", "street", ("street", "garden"), (1.5, 0.5, 0.45), (0.4, 0.22, 0.1), "brown", 0.08),
    ("car", "vehicle", ("street",), (1.8, 4.2, 1.4), (0.85, 0.1, 0.1), "red", None),
    ("chair", "floor", _HOUSE, (0.45, 0.45, 0.5), (0.4, 0.22, 0.1), "brown", 0.06),
    ("chair", "floor", _HOUSE, (0.5, 0.5, 0.45), (0.05, 0.05, 0.05), "black", 0.06),
    ("chair", "floor", _HOUSE, (0.5, 0.45, 0.5), (0.1, 0.6, 0.15), "green", 0.06),
    ("cup", "small", ("kitchen", "office"), (0.08, 0.08, 0.1), (0.95, 0.85, 0.1), "yellow", None),
    ("desk", "wallside", ("office",), (1.4, 0.7, 0.75), (0.5, 0.5, 0.5), "gray", 0.05),
    ("dog", "animal", ("street", "garden"), (0.3, 0.8, 0.6), (0.4, 0.22, 0.1), "brown", 0.3),
    ("door", "door", _HOUSE, (0.9, 0.1, 2.0), (0.95, 0.95, 0.95), "white", None),
    ("lamp", "small", _HOUSE, (0.25, 0.25, 0.45), (0.95, 0.95, 0.95), "white", None),
    ("lamp post", "street", ("street",), (0.2, 0.2, 3.0), (0.05, 0.05, 0.05), "black", None),
    ("pendant lamp", "ceiling", _HOUSE, (0.4, 0.4, 0.3), (0.5, 0.5, 0.5), "gray", None),
    ("person", "person", (*_HOUSE, "street", "garden"), (0.5, 0.35, 1.75), (0.1, 0.2, 0.7), None, None),
    ("piano", "wallside", ("living",), (1.5, 0.6, 1.2), (0.05, 0.05, 0.05), "black", None),
    ("picture", "wall", _HOUSE, (0.6, 0.03, 0.5), (0.6, 0.3, 0.7), "purple", None),
    ("plant", "plant", ("living", "garden"), (0.4, 0.4, 0.45), (0.1, 0.5, 0.15), "green", None),
    ("refrigerator", "wallside", ("kitchen",), (0.6, 0.6, 1.7), (0.95, 0.95, 0.95), "white", None),
    ("sink", "wallside", ("bath", "kitchen"), (0.6, 0.5, 0.85), (0.95, 0.95, 0.95), "white", None),
    ("sofa", "wallside", ("living",), (2.0, 0.9, 0.8), (0.9, 0.82, 0.66), "beige", None),
    ("stove", "wallside", ("kitchen",), (0.6, 0.6, 0.85), (0.5, 0.5, 0.5), "gray", None),
    ("table", "floor", ("living", "kitchen", "garden"), (1.2, 0.8, 0.74), (0.4, 0.22, 0.1), "brown", 0.05),
    ("television", "small", ("living",), (1.0, 0.2, 0.6), (0.05, 0.05, 0.05), "black", None),
    ("toilet", "wallside", ("bath",), (0.4, 0.6, 0.8), (0.95, 0.95, 0.95), "white", None),
    ("tree", "tree", ("street", "garden"), (2.0, 2.0, 4.0), (0.1, 0.5, 0.15), "green", None),
    ("window", "window", _HOUSE, (1.2, 0.1, 1.2), (0.95, 0.95, 0.95), "white", None),
)
_ALSO = {"armchair": ("chair",), "desk": ("table",), "pendant lamp": ("lamp",)}
_HELD_OUT_CLASS, _HELD_OUT_MODEL = "piano", 7


@pytest.fixture(scope="session")
def pack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small pack: boxes for all roles, trees and plants with holes, two surfaces of every group."""
    writer, classes = PackWriter(), {}
    for number, (noun, role, places, size, rgb, color, top) in enumerate(_MODELS):
        classes[noun] = ObjectClass(
            noun, f"{noun}s", (), _ALSO.get(noun, ()), role, places, held_out=noun == _HELD_OUT_CLASS
        )
        writer.add_model(
            name=f"tests#{number}",
            noun=noun,
            size=size,
            mesh=_boxes(size, top),
            looks=np.array([(*rgb, 0, 0.1), (*rgb, -1, 0.4)], np.float32),
            textures=[_texture(rgb, number, holes=role in ("tree", "plant"))],
            elevation=1.0 if role in ("wall", "window") else 0.0,
            top=size[2] if role in ("floor", "wallside", "small", "street") else None,
            held_out=number == _HELD_OUT_MODEL,
            color=color,
            creator="the tests",
            licence="CC0-1.0",
        )
    for number, group in enumerate([*GROUPS, *GROUPS]):
        image = np.random.default_rng(number).integers(90, 230, (SURFACE_SIDE // 16, SURFACE_SIDE // 16, 3), np.uint8)
        image = np.kron(image, np.ones((16, 16, 1), np.uint8))
        writer.add_surface(Surface(f"tests/{number}.png", group, "CC0-1.0", "the tests"), image)
    folder = tmp_path_factory.mktemp("pack") / "pack"
    writer.write(folder, classes, {"tests": "1"})
    return folder


def _boxes(size: Sequence[float], top: float | None) -> Mesh:
    """One box, or a top on four legs; the first has material 0, the legs material 1."""
    x, y, z = size[0] / 2, size[1] / 2, size[2]
    boxes = [((-x, -y, 0.0 if top is None else z - top), (x, y, z))]
    if top is not None:
        legs = [(sx * (x - 0.04), sy * (y - 0.04)) for sx in (-1, 1) for sy in (-1, 1)]
        boxes += [((cx - 0.04, cy - 0.04, 0.0), (cx + 0.04, cy + 0.04, z - top)) for cx, cy in legs]
    parts = [_box(low, high, number > 0) for number, (low, high) in enumerate(boxes)]
    faces = np.concatenate([part.faces + 24 * number for number, part in enumerate(parts)])
    arrays = [
        np.concatenate([getattr(part, key) for part in parts]) for key in ("positions", "normals", "uv", "material")
    ]
    return Mesh(*arrays, faces.astype(np.uint32))


def _box(low: Sequence[float], high: Sequence[float], material: int) -> Mesh:
    corners, normals = [], []
    for axis in range(3):
        for side in (-1.0, 1.0):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))[:: int(side)]:
                corner = [0.0, 0.0, 0.0]
                corner[axis] = high[axis] if side > 0 else low[axis]
                corner[u], corner[v] = (low, high)[a][u], (low, high)[b][v]
                corners.append(corner)
                normals.append([side * (k == axis) for k in range(3)])
    faces = [(4 * side + a, 4 * side + b, 4 * side + c) for side in range(6) for a, b, c in ((0, 1, 2), (0, 2, 3))]
    return Mesh(
        np.array(corners, np.float32),
        np.array(normals, np.float32),
        np.tile(np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32), (6, 1)),
        np.full(24, material, np.int32),
        np.array(faces, np.uint32),
    )


def _texture(rgb: Sequence[float], number: int, *, holes: bool) -> np.ndarray:
    """Bands around a colour, as many as the number says; with round holes."""
    rows, columns = np.mgrid[:TEXTURE_SIDE, :TEXTURE_SIDE] / TEXTURE_SIDE
    light = 1.0 + 0.1 * np.sign(np.sin(2 * np.pi * (number + 1) * rows))
    texture = np.full((TEXTURE_SIDE, TEXTURE_SIDE, 4), 255, np.uint8)
    texture[..., :3] = (np.array(rgb) * light[..., None] * 255).clip(0, 255)
    if holes:
        texture[(rows * 4 % 1 - 0.5) ** 2 + (columns * 4 % 1 - 0.5) ** 2 < 0.12, 3] = 0
    return texture

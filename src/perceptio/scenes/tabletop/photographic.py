"""A second look for table-top scenes: the same scene with surfaces, light and finish of photographs.

Geometry, and so labels, are those of the plain look; shapes and colours then have to be seen through other pictures.
"""

from __future__ import annotations

import random

import numpy as np

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.camera import Vector
from perceptio.scenes.rendering.drawing import Cover, Drawing, Material, Piece
from perceptio.scenes.rendering.layers import layers_of
from perceptio.scenes.rendering.light import draw_finish, indoor_light
from perceptio.scenes.rendering.patterns import PATTERN_CODES
from perceptio.scenes.rendering.pieces import mesh
from perceptio.scenes.tabletop.geometry import build_geometry
from perceptio.scenes.tabletop.renderer import FAR, NEAR
from perceptio.scenes.tabletop.world import COLORS, SPLITS, Scene

_GLOSS = {"metal": 0.85, "matte": 0.0}  # others lie between


def photographic(scene: Scene, pack: Pack) -> Drawing:
    """The drawing of a table-top scene with surfaces of a pack; the same scene and pack always give the same one."""
    rng = random.Random(scene.seed * len(SPLITS) + SPLITS.index(scene.split))
    geometry = build_geometry(scene)
    materials, pieces = list[Material](), list[Piece]()

    def add(first: int, last: int, material: Material, scale: float, index: int, casts: bool = True) -> None:
        faces = geometry.faces[first:last]
        v = geometry.vertices
        pieces.append(
            Piece(mesh(v[:, :3], v[:, 3:6], v[:, 6:9] * scale, faces, len(materials)), index=index, casts=casts)
        )
        materials.append(material)

    for thing, first, last in zip(scene.objects, geometry.first_face, geometry.first_face[1:], strict=False):
        cover = None
        if thing.material == "matte" and rng.random() < 0.7:  # some wood, stone or cloth below the paint
            layers = layers_of(pack, "any", "fabric", "wall", "floor")
            cover = Cover(rng.choice(layers), rng.uniform(1, 4), rng.uniform(0.1, 0.45)) if layers else None
        gloss = _GLOSS.get(thing.material, rng.uniform(0.05, 0.4))
        pattern = PATTERN_CODES.get(thing.material, 0)
        look = Material(COLORS[thing.color], cover, gloss, 0.0, pattern, 1.0 / thing.scale)
        add(first, last, look, thing.scale, thing.index)
    # every structure and side of the room is an instance of its own in the table
    instances = geometry.vertices[geometry.faces[:, 0], 9].astype(int)
    for number in range(len(scene.objects), len(geometry.table)):
        faces = np.flatnonzero(instances == number)
        side = number - len(scene.objects) - len(scene.structures)  # 0 floor, 1 ceiling, then walls
        red, green, blue = geometry.table[number, :3].tolist()
        groups = ("floor",) if side == 0 else ("wall",) if side > 0 else ("floor", "any")
        add(
            int(faces[0]),
            int(faces[-1]) + 1,
            _surface(rng, pack, (red, green, blue), groups, strong=side == 0),
            4.0,
            0,
            side < 0,
        )
    room = scene.room
    light = indoor_light(rng, (room.width, room.length, room.height), None)
    return Drawing(
        scene.camera,
        (),
        pieces,
        materials,
        light.sun,
        light.sky_light,
        light.ground_light,
        None,
        light.lamps,
        None,
        draw_finish(rng, pack, light, outdoors=False, colorful=True),
        near=NEAR,
        far=FAR,
    )


def _surface(rng: random.Random, pack: Pack, rgb: Vector, groups: tuple[str, ...], *, strong: bool) -> Material:
    layers = layers_of(pack, *groups)
    if not layers or rng.random() < 0.15:
        return Material(rgb)
    strength = rng.choice((0.5, 0.9, 1.0)) if strong else rng.uniform(0.05, 0.7)
    return Material(rgb, Cover(rng.choice(layers), rng.uniform(0.3, 1.2), strength), rng.choice((0.0, 0.0, 0.3)))

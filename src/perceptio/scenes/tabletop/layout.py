"""Draw a scene at random: room, camera and lights first, then objects by where they appear in the picture.

Objects are mostly placed by a point of the picture and an independent depth, and then given whatever holds them up
there (a pedestal, a string, nothing). Height in the picture therefore says little about depth, unlike in scenes where
everything stands on the floor.
"""

from __future__ import annotations

import math
import random

from perceptio.scenes.camera import Camera, Vector
from perceptio.scenes.tabletop.placement import Placer
from perceptio.scenes.tabletop.space import Space, View
from perceptio.scenes.tabletop.world import FLOORS, SPLITS, Light, Room, Scene

FEWEST = 3  # objects a scene has at least
_WIDTHS, _LENGTHS, _HEIGHTS = (5.0, 8.5), (5.5, 9.0), (2.7, 4.0)  # of rooms, in metres
FARTHEST = math.hypot(_WIDTHS[1], _LENGTHS[1], _HEIGHTS[1])  # metres from one corner of the largest room to the other


def sample_scene(seed: int, split: str = "train") -> Scene:
    """Draw a scene; the same seed and split always give the same scene.

    Args:
        seed: number of the scene within its split, from 0. Splits never share a random stream.
        split: one of SPLITS.

    Raises:
        ValueError: for an unknown split or a negative seed.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    rng = random.Random(seed * len(SPLITS) + SPLITS.index(split))
    shifted = split == "test-shift"
    while True:  # a crowded corner now and then leaves no place for the objects
        room = _draw_room(rng)
        camera = _draw_camera(rng, room, shifted)
        placer = Placer(rng, Space(room, View(camera)), split)
        wanted = rng.randint(8, 10) if shifted else rng.choice((3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 10))
        placer.fill(wanted)
        if len(placer.objects) >= FEWEST:
            break
    lights, ambient = _draw_lights(rng, camera, shifted)
    return Scene(seed, split, tuple(placer.objects), tuple(placer.structures), room, camera, lights, ambient)


def _tone(rng: random.Random, low: float, high: float, tint: float) -> Vector:
    level = rng.uniform(low, high)
    r, g, b = (level + rng.uniform(-tint, tint) for _ in range(3))
    return r, g, b


def _draw_room(rng: random.Random) -> Room:
    floor = rng.choice(FLOORS)
    if floor == "wood":
        level = rng.uniform(0.5, 1.0)
        floor_rgb: Vector = (0.72 * level, 0.56 * level, 0.42 * level)
    else:
        floor_rgb = _tone(rng, 0.42, 0.80, 0.06)
    return Room(
        width=rng.uniform(*_WIDTHS),
        length=rng.uniform(*_LENGTHS),
        height=rng.uniform(*_HEIGHTS),
        floor=floor,
        floor_rgb=floor_rgb,
        wall_rgb=_tone(rng, 0.50, 0.80, 0.09),
        ceiling_rgb=_tone(rng, 0.72, 0.88, 0.03),
        pattern=rng.uniform(0.35, 0.9),
    )


def _draw_camera(rng: random.Random, room: Room, shifted: bool) -> Camera:
    style = rng.choices(("level", "steep", "low"), (0.42, 0.30, 0.28))[0]
    if style == "level":
        height, aim, away = rng.uniform(0.9, 2.0), rng.uniform(0.35, 1.3), rng.uniform(2.4, 4.2)
    elif style == "steep":
        height, aim, away = rng.uniform(2.3, room.height - 0.2), rng.uniform(0.0, 0.6), rng.uniform(0.5, 2.2)
    else:
        height, aim, away = rng.uniform(0.15, 0.6), rng.uniform(0.7, 1.7), rng.uniform(2.4, 4.4)
    fov, roll = rng.uniform(44.0, 64.0), rng.uniform(-0.04, 0.04)
    if shifted:  # longer and wider lenses, a tilted head, more extreme heights
        fov = rng.choice((rng.uniform(33.0, 41.0), rng.uniform(68.0, 80.0)))
        roll = rng.choice((-1, 1)) * rng.uniform(0.08, 0.28)
        if style == "steep":
            away = rng.uniform(0.12, 0.4)
        elif style == "low":
            height = rng.uniform(0.08, 0.15)
    turn = rng.uniform(-0.9, 0.9)
    target = (rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7), aim)
    x = target[0] + away * math.sin(turn)
    y = target[1] - away * math.cos(turn)
    w, d = room.width / 2 - 0.25, room.length / 2 - 0.25
    return Camera((min(max(x, -w), w), min(max(y, -d), d), height), target, fov, roll, style)


def _draw_lights(rng: random.Random, camera: Camera, shifted: bool) -> tuple[tuple[Light, ...], Vector]:
    elevation = math.radians(rng.uniform(18, 32) if shifted else rng.uniform(42, 76))
    around = rng.uniform(-math.pi, math.pi)
    flat = math.cos(elevation)
    direction = (flat * math.cos(around), flat * math.sin(around), math.sin(elevation))
    warm = rng.uniform(-0.12, 0.16) * (2.4 if shifted else 1.0)
    strength = rng.uniform(0.75, 1.25)
    key = Light(direction, (strength * (1 + warm), strength, strength * (1 - warm)), True)
    behind = camera.axes()[2]
    norm = math.hypot(behind[0], behind[1], 0.6)
    fill_strength = rng.uniform(0.12, 0.28)
    fill = Light((-behind[0] / norm, -behind[1] / norm, 0.6 / norm), (fill_strength,) * 3, False)
    level = rng.choice((rng.uniform(0.14, 0.22), rng.uniform(0.62, 0.75))) if shifted else rng.uniform(0.32, 0.55)
    return (key, fill), (level * (1 - warm / 3), level, level * (1 + warm / 3))

"""Streets and gardens under an open sky."""

from __future__ import annotations

import math

from perceptio.scenes.assets.pack import Model
from perceptio.scenes.camera import Camera, Vector
from perceptio.scenes.places.ground import REACH, Houses, Terrain, flat_ground, hills, rolling_ground, strip
from perceptio.scenes.places.solids import around
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.rendering.drawing import Drawing
from perceptio.scenes.rendering.light import lens, outdoor_light
from perceptio.scenes.rendering.pieces import box, quad

_KERB = 0.14  # metres
_CLEARANCE = 0.4  # metres around the camera
_FAR = 320.0  # metres, clipping plane


def draw_street(stage: Stage) -> tuple[str, Drawing]:
    """A street along x with pavements, houses, vehicles, people and trees."""
    rng = stage.rng
    half, walk = build_street(stage)
    along, across = rng.uniform(-6, 6), rng.uniform(-1, 1) * 0.8 * (half + walk)
    style = rng.choices(("standing", "low", "high"), (0.55, 0.2, 0.25))[0]
    rise = {"standing": rng.uniform(1.3, 1.9), "low": rng.uniform(0.4, 1.2), "high": rng.uniform(2.5, 9.0)}[style]
    yaw = rng.choice((0.0, math.pi)) + rng.gauss(0, 0.35)
    eye = (along, across, rise + _KERB)
    stage.site.take(around(eye, _CLEARANCE))
    fill_street(stage, half, walk, along, math.copysign(1, math.cos(yaw)))
    return "street", light_outdoors(stage, _camera(stage, eye, yaw, style))


def draw_garden(stage: Stage) -> tuple[str, Drawing]:
    """A garden, park or open country: trees, plants, animals, people, and things that stand outside."""
    rng, inventory = stage.rng, stage.inventory
    terrain = build_garden(stage)
    yaw = rng.uniform(0, math.tau)
    style = rng.choices(("standing", "low", "high"), (0.5, 0.3, 0.2))[0]
    rise = {"standing": rng.uniform(1.3, 1.9), "low": rng.uniform(0.35, 1.2), "high": rng.uniform(2.5, 6.0)}[style]
    eye = (0.0, 0.0, rise + (terrain.height(0, 0) if terrain else 0.0))
    stage.site.take(around(eye, _CLEARANCE))
    pools = (
        (inventory.of("tree"), 0.32),
        (inventory.of("person"), 0.2),
        (inventory.of("animal"), 0.14),
        (inventory.of("plant", place="garden") or inventory.of("plant"), 0.14),
        (inventory.of("street", "floor", place="garden"), 0.16),
        (inventory.of("vehicle"), 0.04),
    )
    for _ in range(rng.randint(8, 28)):
        pool = rng.choices([pool for pool, _ in pools], [share for _, share in pools])[0]
        model = inventory.pick(rng, pool)
        turn = yaw + rng.uniform(-0.75, 0.75)
        near = 2.2 if model is None or model.size[2] < 2.3 else 5.0
        away = math.exp(rng.uniform(math.log(near), math.log(45.0)))
        stand(stage, model, away * math.cos(turn), away * math.sin(turn), rng.uniform(0, math.tau), terrain)
    return "garden", light_outdoors(stage, _camera(stage, eye, yaw, style))


def build_street(stage: Stage) -> tuple[float, float]:
    """Ground, road, pavements and houses; returns half the road's width and the pavement's, metres."""
    rng = stage.rng
    stage.site.bounds = (REACH, REACH)
    flat_ground(stage)
    half, walk = rng.uniform(2.8, 5.0), rng.uniform(1.5, 4.0)
    strip(stage, 0.0, 0.0, 2 * half, ("road",), 0.012)
    look = stage.material(
        stage.tone(0.1, 0.7, 1.0), stage.inventory.surfaces("road", "ground", "floor"), rng.uniform(0.4, 0.9), 1.0
    )
    for side in (-1, 1):
        low, high = sorted((side * half, side * (half + walk)))
        stage.piece(box((-REACH, low, 0), (REACH, high, _KERB), look), casts=False)
    if rng.random() < 0.7:
        paint = stage.material((0.95, 0.95, 0.9))
        for k in range(-12, 13):
            x = 4.0 * k
            stage.piece(
                quad((x, -0.07, 0.02), (x + 2, -0.07, 0.02), (x + 2, 0.07, 0.02), (x, 0.07, 0.02), paint), casts=False
            )
    houses = Houses(stage)
    for side in (-1, 1):
        x = -42.0 if rng.random() < 0.85 else 60.0
        while x < 46:
            width, depth, height = rng.uniform(5, 14), rng.uniform(6, 12), rng.uniform(3.2, 14)
            y = half + walk + rng.uniform(0, 3) + depth / 2 + 0.3
            if rng.random() < 0.8:
                houses.add(x + width / 2, side * y, width, depth, height)
            x += width + rng.choice((0.6, rng.uniform(1, 8)))
    if rng.random() < 0.8:
        hills(stage)
    return half, walk


def fill_street(stage: Stage, half: float, walk: float, along: float, facing: float) -> None:
    """Vehicles on the road; people, trees and street furniture on the pavements.

    Args:
        stage: with the street on it.
        half: half the road's width, metres.
        walk: the pavement's width, metres.
        along: where the camera is.
        facing: 1 or -1, which way along x it looks.
    """
    rng, inventory = stage.rng, stage.inventory
    for _ in range(rng.randint(2, 7)):
        x, side = along + facing * rng.uniform(4, 32), rng.choice((-1, 1))
        turn = math.pi / 2 + (math.pi if rng.random() < 0.5 else 0.0) + rng.gauss(0, 0.05)
        stand(stage, inventory.pick(rng, inventory.of("vehicle")), x, side * 0.6 * half, turn)

    def pavement(models: list[Model], count: int, near: float, far: float) -> None:
        for _ in range(count):
            x, y = along + facing * rng.uniform(near, far), rng.choice((-1, 1)) * (half + rng.uniform(0.3, walk))
            turn = rng.uniform(0, math.tau)
            stand(stage, inventory.pick(rng, models), x, y, turn, foot=_KERB)

    pavement(inventory.of("person"), rng.randint(2, 8), 1.6, 14)
    pavement(inventory.of("tree"), rng.randint(0, 10), 4, 34)
    pavement(inventory.of("street", place="street") or inventory.of("street"), rng.randint(1, 6), 3, 22)
    pavement(inventory.of("animal"), rng.randint(0, 2), 2, 12)


def build_garden(stage: Stage) -> Terrain | None:
    """Ground, perhaps a path and some houses; returns the ground where it is not flat."""
    rng = stage.rng
    stage.site.bounds = (REACH, REACH)
    if rng.random() < 0.5:
        return rolling_ground(stage)
    flat_ground(stage)
    if rng.random() < 0.5:
        groups = ("road", "ground", "floor")
        strip(stage, rng.uniform(0, math.tau), rng.uniform(-3, 3), rng.uniform(1, 5), groups, 0.01)
    houses = Houses(stage)
    for _ in range(rng.randint(0, 6)):
        turn, away = rng.uniform(0, math.tau), rng.uniform(14, 60)
        houses.add(
            away * math.cos(turn), away * math.sin(turn), rng.uniform(4, 12), rng.uniform(4, 12), rng.uniform(3, 11)
        )
    if rng.random() < 0.8:
        hills(stage)
    return None


def stand(
    stage: Stage,
    model: Model | None,
    x: float,
    y: float,
    turn: float,
    terrain: Terrain | None = None,
    foot: float = 0.0,
) -> None:
    """Put a model on the ground if there is room."""
    if model is None:
        return
    height = foot if terrain is None else terrain.height(x, y) - 0.02
    solid = stage.fits(model, (x, y, height), turn, stage.rng.uniform(0.9, 1.15))
    if stage.site.free(solid, 0.05):
        stage.put(model, solid, "ground", recolor=0.2)


def light_outdoors(stage: Stage, camera: Camera) -> Drawing:
    """The drawing of finished open country."""
    rng, eye, ahead = stage.rng, camera.position, camera.axes()[2]
    light = outdoor_light(rng, stage.inventory.pack, (eye[0] + 9 * ahead[0], eye[1] + 9 * ahead[1], 1.5))
    return stage.drawing(camera, light, far=_FAR)


def _camera(stage: Stage, eye: Vector, yaw: float, style: str) -> Camera:
    rng = stage.rng
    pitch = rng.gauss(-0.05, 0.12) - (0.25 if style == "high" else 0.0)
    pitch = min(max(pitch, -0.55), 0.3)
    target = (eye[0] + 5 * math.cos(yaw), eye[1] + 5 * math.sin(yaw), eye[2] + 5 * math.tan(pitch))
    return Camera(eye, target, lens(rng), rng.gauss(0, 0.015), style)

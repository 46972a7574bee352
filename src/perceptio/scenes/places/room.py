"""Rooms: living rooms, bedrooms, kitchens, bathrooms and offices; and close-ups of a thing in one."""

from __future__ import annotations

import math

from perceptio.scenes.camera import Camera, Vector
from perceptio.scenes.places.furnish import ROOMS, Furnisher
from perceptio.scenes.places.scene import Thing
from perceptio.scenes.places.shell import Shell
from perceptio.scenes.places.solids import around, overlap
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.rendering.drawing import Drawing
from perceptio.scenes.rendering.light import indoor_light, lens

_CHANCES = {"living room": 0.34, "bedroom": 0.2, "kitchen": 0.2, "bathroom": 0.1, "office": 0.16}
_FAR = 40.0  # metres, clipping plane
_CLEARANCE = 0.25  # metres around the camera


def build_room(stage: Stage, *, place: str | None = None, furnished: bool = True) -> tuple[str, Shell]:
    """Build a room on a stage; returns which it is, and its shell."""
    rng = stage.rng
    place = place or rng.choices(tuple(_CHANCES), tuple(_CHANCES.values()))[0]
    small = place == "bathroom"
    width, length = rng.uniform(2.4, 4.0) if small else rng.uniform(3.0, 6.5), rng.uniform(2.8, 5.0 if small else 8.0)
    height = rng.uniform(2.35, 3.1)
    stage.site.bounds, stage.site.height = (width / 2 - 0.01, length / 2 - 0.01), height
    shell = Shell(stage, width, length, height, tiled=place in ("bathroom", "kitchen"))
    if rng.random() < 0.8:
        shell.add_window(rng.randrange(4), rng.uniform(1.2, 5.0))
    if rng.random() < 0.4:
        shell.add_rug()
    if furnished:
        Furnisher(stage, shell, place).furnish(rng.randint(7, 15))
        for number in range(4):
            if rng.random() < 0.45:
                shell.add_picture(number)
    assert place in ROOMS
    return place, shell


def light_room(stage: Stage, shell: Shell, camera: Camera) -> Drawing:
    """The drawing of a finished room."""
    rng = stage.rng
    size = (shell.width, shell.length, shell.height)
    lamps = [
        (thing.center[0], thing.center[1], thing.center[2] + 0.3 * thing.extent[2])
        for thing in stage.things
        if "lamp" in thing.noun or "chandelier" in thing.noun
    ]
    light = indoor_light(rng, size, shell.window, lamps)
    return stage.drawing(camera, light, window=shell.window, far=_FAR)


def draw_room(stage: Stage) -> tuple[str, Drawing] | None:
    """A furnished room seen by somebody in it; None where no place for the camera was found."""
    place, shell = build_room(stage)
    camera = camera_in_room(stage, shell)
    return None if camera is None else (place, light_room(stage, shell, camera))


def draw_closeup(stage: Stage) -> tuple[str, Drawing] | None:
    """A small thing of a furnished room from near by; None where there is none, or no place for the camera."""
    rng = stage.rng
    place, shell = build_room(stage)
    small = [thing for thing in stage.things if max(thing.extent) < 0.8 and thing.support in ("surface", "floor")]
    on_top = [thing for thing in small if thing.support == "surface"]
    for _ in range(12 if small else 0):
        thing = rng.choice(on_top or small)
        away = max(thing.extent) * rng.uniform(1.4, 4.0) + 0.3
        turn, rise = rng.uniform(0, math.tau), rng.uniform(0.08, 0.9)
        eye = (
            thing.center[0] + away * math.cos(turn) * math.cos(rise),
            thing.center[1] + away * math.sin(turn) * math.cos(rise),
            thing.center[2] + away * math.sin(rise),
        )
        if _clear(stage, shell, eye, 0.12):
            spread = 0.15 * max(thing.extent)
            x, y, z = (c + rng.gauss(0, spread) for c in thing.center)
            camera = Camera(eye, (x, y, z), lens(rng, 28, 70), rng.gauss(0, 0.03), "near")
            return place, light_room(stage, shell, camera)
    return None


def camera_in_room(stage: Stage, shell: Shell) -> Camera | None:
    """Somebody's eye at any height, mostly turned to a thing; None where no clear place was found."""
    rng = stage.rng
    x, y = 0.46 * shell.width, 0.46 * shell.length
    for _ in range(40):
        style = rng.choices(("standing", "low", "high"), (0.5, 0.3, 0.2))[0]
        height = {"standing": rng.uniform(1.2, 1.75), "low": rng.uniform(0.25, 1.1), "high": rng.uniform(1.8, 2.5)}
        eye = (rng.uniform(-x, x), rng.uniform(-y, y), height[style])
        if not _clear(stage, shell, eye, _CLEARANCE):
            continue
        aim = _something(stage.things, stage) if rng.random() < 0.75 else None
        if aim is None:
            aim = (rng.uniform(-x, x), rng.uniform(-y, y), rng.uniform(0.3, 1.5))
        target = (aim[0] + rng.gauss(0, 0.25), aim[1] + rng.gauss(0, 0.25), aim[2] + rng.gauss(0, 0.2))
        level = math.hypot(target[0] - eye[0], target[1] - eye[1])
        if level > 1.0 and abs(target[2] - eye[2]) < 0.9 * level:
            return Camera(eye, target, lens(rng, 22, 50), rng.gauss(0, 0.02), style)
    return None


def _something(things: list[Thing], stage: Stage) -> Vector | None:
    return stage.rng.choice(things).center if things else None


def _clear(stage: Stage, shell: Shell, eye: Vector, gap: float) -> bool:
    x, y, z = eye
    inside = abs(x) < shell.width / 2 - 0.1 and abs(y) < shell.length / 2 - 0.1 and 0.1 < z < shell.height - 0.1
    ball = around(eye, gap)
    return inside and not any(overlap(ball, solid) for solid in stage.site.solids)

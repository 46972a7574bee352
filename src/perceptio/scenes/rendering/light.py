"""Light, sky and the finish of a camera, drawn at random."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from perceptio.scenes.assets.pack import Pack
from perceptio.scenes.camera import Vector
from perceptio.scenes.rendering.drawing import Finish, Lamp, Sky, Sun, WindowLight
from perceptio.scenes.rendering.layers import layers_of

_GRAY = 0.1  # share of pictures without colour


@dataclass(frozen=True)
class Lighting:
    """All light of a drawing."""

    sun: Sun
    sky_light: Vector
    ground_light: Vector
    lamps: tuple[Lamp, ...] = ()
    sky: Sky | None = None
    haze_rgb: Vector = (0.75, 0.8, 0.85)


def indoor_light(
    rng: random.Random, size: Vector, window: WindowLight | None, lamp_places: list[Vector] | None = None
) -> Lighting:
    """Light of a closed room: its window, lamps, what the walls give back, and the sun through the window.

    Args:
        rng: of every draw.
        size: of the room about the origin, metres.
        window: its window.
        lamp_places: where lamps stand; some of them are on.
    """
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    level = rng.uniform(0.2, 0.7) if window else rng.uniform(0.3, 0.6)
    if window is not None:
        into = window.normal
        way = _unit((-into[0] + rng.uniform(-0.6, 0.6), -into[1] + rng.uniform(-0.6, 0.6), rng.uniform(0.4, 1.2)))
        strength = rng.uniform(4, 11) if rng.random() < 0.45 else 0.0
    else:
        way = _unit((rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), 1.0))
        strength = rng.uniform(0.4, 1.2)
    sun = Sun(
        way, (strength, 0.94 * strength, 0.82 * strength), (0.0, 0.0, h / 2), math.hypot(x, y) + 0.6, _softness(rng)
    )
    lamps = []
    places = list(lamp_places or [])
    rng.shuffle(places)
    extra = rng.randint(0, 1) if window else rng.randint(1, 2)
    places = places[:2] + [(rng.uniform(-0.7, 0.7) * x, rng.uniform(-0.7, 0.7) * y, h - 0.2) for _ in range(extra)]
    for place in places[:4]:
        warm, power = rng.uniform(0.3, 1.3), rng.uniform(0.3, 1.8)
        lamps.append(Lamp(place, (power, power * 0.86**warm, power * 0.66**warm)))
    tint = rng.uniform(-0.06, 0.06)
    up = (level * (0.97 + tint), level * 0.98, level * (1.0 - tint))
    down = (0.75 * up[0], 0.75 * up[1], 0.75 * up[2])
    return Lighting(sun, up, down, tuple(lamps))


def outdoor_light(rng: random.Random, pack: Pack, focus: Vector, reach: float = 18.0) -> Lighting:
    """Sun and sky at any hour of a day, clear or overcast.

    Args:
        rng: of every draw.
        pack: whose clouds are used.
        focus: metres, about which shadows are drawn.
        reach: metres, half side of the part with shadows.
    """
    height, around = rng.uniform(0.18, 1.3), rng.uniform(0, math.tau)
    way = (math.cos(around) * math.cos(height), math.sin(around) * math.cos(height), math.sin(height))
    overcast = rng.random() < 0.35
    high = min(height, 1.0)
    warm = np.array([1.0, 0.8 + 0.17 * high, 0.55 + 0.4 * high])
    sun_rgb = warm * (rng.uniform(0.0, 0.5) if overcast else rng.uniform(2.0, 4.5))
    ambient = rng.uniform(0.8, 1.4) if overcast else rng.uniform(0.5, 0.9)
    clear_sky = np.array([0.22, 0.43, 0.95]) * rng.uniform(0.5, 1.3)
    zenith = np.full(3, rng.uniform(0.7, 1.1)) if overcast else clear_sky
    horizon = np.array([0.83, 0.91, 1.0]) * rng.uniform(0.8, 1.4) * (warm if rng.random() < 0.4 else 1.0)
    layers = layers_of(pack, "sky")
    clouds = rng.choice((0.0, 0.5, 0.9)) if layers else 0.0
    sky = Sky(
        _vector(zenith),
        _vector(horizon),
        _vector(np.full(3, rng.uniform(0.9, 1.5))),
        clouds,
        rng.uniform(0, 5),
        rng.choice(layers) if layers else 0,
    )
    return Lighting(
        Sun(way, _vector(sun_rgb), focus, reach, _softness(rng)),
        (0.75 * ambient, 0.86 * ambient, ambient),
        (0.3 * ambient, 0.29 * ambient, 0.25 * ambient),
        (),
        sky,
        _vector(0.9 * horizon),
    )


def draw_finish(rng: random.Random, pack: Pack, light: Lighting, *, outdoors: bool, colorful: bool = False) -> Finish:
    """Exposure, white balance, tone, haze, another picture's colours, blur, noise and JPEG.

    Args:
        rng: of every draw.
        pack: whose surface pictures lend their colours.
        light: of the drawing.
        outdoors: whether there is haze.
        colorful: keep the names of colours true: no grey pictures, none of another picture's colours.
    """
    warm, green = rng.gauss(0, 0.08), rng.gauss(0, 0.02)
    recolor = None
    if not colorful and rng.random() < 0.25 and len(pack.surface_images):
        other = pack.surface_images[rng.randrange(len(pack.surface_images))] / 255
        recolor = (_vector(other.mean((0, 1))), _vector(other.std((0, 1))), rng.uniform(0.1, 0.4))
    return Finish(
        exposure=math.exp(rng.gauss(math.log(0.23), 0.33)),
        white=(1 + warm, 1 + green, 1 - warm),
        contrast=rng.uniform(0.92, 1.15),
        saturation=0.0 if not colorful and rng.random() < _GRAY else rng.uniform(0.75 if colorful else 0.6, 1.15),
        vignette=rng.uniform(0, 0.16),
        occlusion=rng.uniform(0.5, 1.1),
        occlusion_radius=rng.uniform(0.5, 1.5) if outdoors else rng.uniform(0.2, 0.6),
        haze=10 ** rng.uniform(-3.5, -1.9) if outdoors else 0.0,
        haze_rgb=light.haze_rgb,
        blur=rng.uniform(0.2, 0.9) if rng.random() < 0.5 else 0.0,
        noise=rng.uniform(1, 8) if rng.random() < 0.7 else 0.0,
        jpeg=rng.randint(45, 95) if rng.random() < 0.8 else 0,
        recolor=recolor,
        seed=rng.randrange(1 << 30),
    )


def lens(rng: random.Random, shortest: float = 24.0, longest: float = 85.0) -> float:
    """A field of view, degrees: of a focal length on 36 mm of film, short ones more often."""
    focal = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
    return math.degrees(2 * math.atan(18.0 / focal))


def _softness(rng: random.Random) -> float:
    return rng.uniform(0.01, 0.06)


def _unit(v: Vector) -> Vector:
    n = math.sqrt(sum(c * c for c in v))
    return v[0] / n, v[1] / n, v[2] / n


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z

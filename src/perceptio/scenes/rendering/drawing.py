"""What the textured renderer draws: models of a pack, pieces of our own, lights, sky, and a camera's finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perceptio.scenes.camera import Camera, Vector

NEVER_MARKED = 255  # id of what no mark may lie on: the sky
SKY_DEPTH = 400.0  # metres, the depth map's value where nothing is
VERTEX = 12  # floats a vertex of a piece: position 3, normal 3, local position 3, uv 2, material 1
MOST_MATERIALS = 192  # of the pieces of one drawing
MOST_LAMPS = 4


@dataclass(frozen=True)
class Cover:
    """A surface picture laid over something, by the dominant axis of its normal."""

    layer: int  # of the pack's surfaces
    repeats: float = 1.0  # a metre
    strength: float = 1.0  # 0 hides it, below 1 it shades the colour below, 1 replaces it


@dataclass(frozen=True)
class Material:
    """How a piece looks."""

    rgb: Vector  # sRGB, 0..1; multiplies a cover
    cover: Cover | None = None
    gloss: float = 0.0  # 0..1
    glow: float = 0.0  # light that it sends out, in units of the scene's light
    pattern: int = 0  # a value of PATTERN_CODES
    pattern_scale: float = 1.0  # lengths of the unit shape a metre


@dataclass(frozen=True)
class Piece:
    """Triangles of our own making: walls, ground, windows, the shapes of the table-top world."""

    vertices: np.ndarray  # (3 T, VERTEX) float32; material counts within the drawing
    index: int = 0  # value in the id map
    casts: bool = True  # a shadow


@dataclass(frozen=True)
class Placed:
    """A model of the pack, put somewhere."""

    model: int  # its number in the pack
    matrix: np.ndarray  # (4, 4) float64, from the model's frame to the world
    index: int  # value in the id map
    tint: Vector = (1.0, 1.0, 1.0)  # multiplies its linear colours
    cover: Cover | None = None  # over parts that have no texture of their own


@dataclass(frozen=True)
class Sun:
    """A distant light with shadows inside a cube around the focus."""

    direction: Vector  # unit vector towards the light
    rgb: Vector  # linear
    focus: Vector  # metres, centre of the shadows
    reach: float  # metres, half side of the shadow map
    softness: float = 0.04  # metres


@dataclass(frozen=True)
class WindowLight:
    """A bright rectangle in a wall; the sun enters a closed room through it alone."""

    center: Vector
    normal: Vector  # into the room
    across: Vector  # unit vector along its width
    half: tuple[float, float]  # metres, half width and half height
    rgb: Vector  # linear, times its area


@dataclass(frozen=True)
class Lamp:
    """A point light."""

    position: Vector
    rgb: Vector  # linear


@dataclass(frozen=True)
class Sky:
    """A gradient with clouds from a surface picture."""

    zenith: Vector
    horizon: Vector
    cloud_rgb: Vector
    clouds: float  # 0..1
    offset: float  # which part of the cloud picture
    layer: int  # of the pack's surfaces


@dataclass(frozen=True)
class Finish:
    """What a camera, a photographer and a web site do to light."""

    exposure: float = 0.22  # mean brightness after the tone curve's input, relative
    white: Vector = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.0
    occlusion: float = 0.8  # of the ambient light in corners
    occlusion_radius: float = 0.4  # metres
    haze: float = 0.0  # a metre
    haze_rgb: Vector = (0.75, 0.8, 0.85)
    blur: float = 0.0  # px of a picture of 224 px
    noise: float = 0.0  # of 255
    jpeg: int = 0  # quality; 0 leaves it out
    recolor: tuple[Vector, Vector, float] | None = None  # mean and spread of another picture's sRGB, and how far
    seed: int = 0  # of the noise


@dataclass(frozen=True)
class Drawing:
    """A whole picture, ready to be drawn."""

    camera: Camera
    placed: Sequence[Placed]
    pieces: Sequence[Piece]
    materials: Sequence[Material]
    sun: Sun
    sky_light: Vector  # linear, from above
    ground_light: Vector  # linear, from below
    window: WindowLight | None = None
    lamps: Sequence[Lamp] = ()
    sky: Sky | None = None  # None in closed rooms
    finish: Finish = field(default_factory=Finish)
    near: float = 0.08  # metres, clipping planes
    far: float = 60.0

    def __post_init__(self) -> None:
        assert len(self.materials) <= MOST_MATERIALS, len(self.materials)
        assert len(self.lamps) <= MOST_LAMPS, len(self.lamps)

"""The empty room: floor, ceiling, four walls, a window that lights it, a rug, pictures, a door."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from perceptio.scenes.places.solids import Solid
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.rendering.drawing import WindowLight
from perceptio.scenes.rendering.pieces import panel, quad, slab

_UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Wall:
    """One side of a room, seen from inside."""

    middle: np.ndarray  # (3,) metres, of its foot
    normal: np.ndarray  # (3,) into the room
    across: np.ndarray  # (3,) to the right of somebody who looks at it
    length: float  # metres
    yaw: float  # radians, of furniture with its back to it

    def point(self, along: float, height: float, out: float = 0.0) -> np.ndarray:
        """A place on it, or `out` metres before it, `along` metres to the right of its middle."""
        return self.middle + self.across * along + _UP * height + self.normal * out


def walls_of(width: float, length: float) -> tuple[Wall, ...]:
    """The four walls of a room about the origin, metres."""
    x, y = width / 2, length / 2
    sides = (
        ((0, y), (0, -1), width, 0.0),
        ((x, 0), (-1, 0), length, -math.pi / 2),
        ((0, -y), (0, 1), width, math.pi),
        ((-x, 0), (1, 0), length, math.pi / 2),
    )
    return tuple(
        Wall(np.array([*at, 0.0]), n := np.array([*normal, 0.0]), np.cross(-n, _UP), span, yaw)
        for at, normal, span, yaw in sides
    )


class Shell:
    """Builds an empty room on a stage, and keeps what furniture and light must know of it.

    Args:
        stage: to build on.
        width: metres along x.
        length: metres along y.
        height: metres.
        tiled: whether walls are tiled, as in a bathroom.
    """

    def __init__(self, stage: Stage, width: float, length: float, height: float, *, tiled: bool) -> None:
        self.stage, self.height = stage, height
        self.width, self.length = width, length
        self.walls = walls_of(width, length)
        self.window: WindowLight | None = None
        self.taken: dict[int, list[tuple[float, float]]] = {k: [] for k in range(4)}  # spans of walls
        self._floor_and_ceiling()
        self._walls(tiled)

    def _floor_and_ceiling(self) -> None:
        stage, rng = self.stage, self.stage.rng
        surfaces = stage.inventory.surfaces
        x, y, h = self.width / 2, self.length / 2, self.height
        gloss = rng.choice((0.0, 0.2, 0.5, 0.8))
        if rng.random() < 0.8:
            strength = rng.choice((0.5, 0.9, 1.0))
            floor = stage.material(
                stage.tone(0.12, 0.6, 1.0), surfaces("floor"), rng.uniform(0.35, 1.2), strength, gloss
            )
        else:
            floor = stage.material(stage.tone(0.5, 0.25, 0.85), surfaces("fabric"), rng.uniform(0.5, 2), 0.35)
        ceiling = stage.material(stage.tone(0.08, 0.8, 0.97), surfaces("wall"), 1.0, 0.1)
        stage.piece(quad((-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0), floor), casts=False)
        stage.piece(quad((-x, -y, h), (-x, y, h), (x, y, h), (x, -y, h), ceiling), casts=False)

    def _walls(self, tiled: bool) -> None:
        stage, rng = self.stage, self.stage.rng
        paint = stage.tone(0.4 if rng.random() < 0.2 else 0.14, 0.65, 0.97)

        def look() -> int:
            surfaces = stage.inventory.surfaces
            if tiled and rng.random() < 0.7:
                return stage.material(
                    stage.tone(0.15, 0.8, 1.0), surfaces("floor", "wall"), rng.uniform(0.8, 2.0), 0.6, 0.4
                )
            if rng.random() < 0.75:
                return stage.material(paint, surfaces("wall"), rng.uniform(0.4, 1.5), rng.uniform(0.04, 0.3))
            return stage.material(
                stage.tone(0.12, 0.6, 1.0), surfaces("wall"), rng.uniform(0.4, 1.0), rng.choice((0.6, 1.0))
            )

        common = look()
        skirting = stage.material(rng.choice(((0.9, 0.9, 0.88), (0.5, 0.5, 0.5), (0.35, 0.25, 0.18))))
        board = rng.uniform(0.06, 0.12)
        for number, wall in enumerate(self.walls):
            side = look() if number == 3 and rng.random() < 0.35 else common
            half, rise = wall.across * wall.length / 2, _UP * self.height / 2
            stage.piece(panel(wall.point(0, self.height / 2), half, rise, side), casts=False)
            stage.piece(panel(wall.point(0, board / 2, 0.015), half, _UP * board / 2, skirting), casts=False)

    def free_span(self, number: int, width: float, margin: float = 0.05) -> float | None:
        """A place along a wall for something so wide, metres from its middle; None where none was found."""
        room = self.walls[number].length / 2 - width / 2 - margin
        if room < 0:
            return None
        for _ in range(6):
            along = self.stage.rng.uniform(-room, room)
            low, high = along - width / 2 - margin, along + width / 2 + margin
            if all(high <= a or low >= b for a, b in self.taken[number]):
                return along
        return None

    def occupy(self, number: int, along: float, width: float) -> None:
        """Take a span of a wall."""
        self.taken[number].append((along - width / 2, along + width / 2))

    def solid_on(self, number: int, along: float, height: float, size: tuple[float, float, float]) -> Solid:
        """The box of something that hangs on a wall, its foot at `height`."""
        wall = self.walls[number]
        x, y, _ = wall.point(along, 0.0, size[1] / 2 + 0.005)
        return Solid((float(x), float(y), height), size, wall.yaw)

    def add_window(self, number: int, day: float) -> None:
        """Cut a window: a bright panel of outside behind a frame with bars.

        Args:
            number: of the wall.
            day: how bright it is outside.
        """
        stage, rng, wall = self.stage, self.stage.rng, self.walls[number]
        width = rng.uniform(0.8, min(2.6, wall.length * 0.75))
        tall = rng.uniform(0.9, min(1.7, self.height - 1.0))
        along = self.free_span(number, width)
        if along is None:
            return
        sill = rng.uniform(0.75, max(0.76, self.height - 0.15 - tall))
        self.occupy(number, along, width)
        half_width, half_height = width / 2, tall / 2
        outside = stage.inventory.surfaces("ground", "facade", "sky")
        tint = rng.choice(((0.75, 0.85, 1.0), (1.0, 0.97, 0.9), (0.85, 0.9, 0.95)))
        sky = stage.material(tint, glow=1.3 * day)
        land = stage.material((1, 1, 1), outside, 0.5, 1.0, glow=1.1 * day) if rng.random() < 0.6 else sky
        frame_rgb = rng.choice(((0.93, 0.93, 0.9), (0.93, 0.93, 0.9), (0.3, 0.2, 0.12)))
        frame = stage.material(frame_rgb)
        index = stage.own_thing("window", self.solid_on(number, along, sill, (width, 0.06, tall)), "wall")
        horizon = rng.uniform(0.2, 0.7) * tall
        across = wall.across * half_width
        low = wall.point(along, sill + horizon / 2, 0.02)
        high = wall.point(along, sill + (tall + horizon) / 2, 0.02)
        stage.piece(panel(low, across, _UP * horizon / 2, land), index, casts=False)
        stage.piece(panel(high, across, _UP * (tall - horizon) / 2, sky), index, casts=False)
        middle = wall.point(along, sill + half_height, 0.05)
        for step in np.linspace(-1, 1, rng.randint(2, 4)):
            bar = middle + across * step
            stage.piece(slab(bar, wall.across * 0.03, _UP * (half_height + 0.03), 0.03, frame, frame), index)
        for step in (-1, 1):
            bar = middle + _UP * half_height * step
            stage.piece(slab(bar, across, _UP * 0.035, 0.03, frame, frame), index)
        power = day * width * tall * rng.uniform(0.6, 1.2)
        self.window = WindowLight(
            tuple(wall.point(along, sill + half_height, 0.02)),
            tuple(wall.normal),
            tuple(wall.across),
            (half_width, half_height),
            (power, 0.98 * power, 0.95 * power),
        )

    def add_picture(self, number: int) -> None:
        """Hang a framed picture."""
        stage, rng, wall = self.stage, self.stage.rng, self.walls[number]
        half = np.array([rng.uniform(0.18, 0.55), rng.uniform(0.18, 0.42)])
        width = 2 * float(half[0]) + 0.06
        along = self.free_span(number, width)
        if along is None:
            return
        foot = rng.uniform(1.2, 1.5)
        tall = 2 * float(half[1]) + 0.06
        solid = self.solid_on(number, along, foot, (width, 0.03, tall))
        if not stage.site.free(solid):
            return
        self.occupy(number, along, width)
        index = stage.own_thing("picture", solid, "wall")
        frame = stage.material(stage.tone(0.5, 0.1, 0.9))
        everything = stage.inventory.surfaces("any", "fabric", "ground", "facade", "sky")
        paint = stage.material(stage.tone(0.5, 0.5, 1.0), everything, 0.5 / float(half.max()), 1.0, 0.3)
        center = wall.point(along, foot + tall / 2, 0.03)
        across, up = wall.across * half[0], _UP * half[1]
        stage.piece(slab(center, across + wall.across * 0.03, up + _UP * 0.03, 0.025, frame, frame), index)
        stage.piece(panel(center + wall.normal * 0.003, across, up, paint), index, casts=False)

    def add_rug(self) -> None:
        """Lay a rug on the floor."""
        stage, rng = self.stage, self.stage.rng
        w, d = rng.uniform(0.6, 0.9) * min(self.width, 2.8), rng.uniform(0.6, 0.9) * min(self.length, 3.6)
        x, y = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
        rgb = stage.tone(0.8, 0.2, 0.95)
        plain = rng.random() < 0.5
        strength = 0.35 if plain else 1.0
        look = stage.material(rgb, stage.inventory.surfaces("fabric", "any"), rng.uniform(0.4, 2), strength)
        index = stage.own_thing("rug", Solid((x, y, 0.0), (w, d, 0.008)), "floor", rgb if plain else None)
        stage.piece(slab((x, y, 0.008), (w / 2, 0, 0), (0, d / 2, 0), 0.008, look, look), index, casts=False)

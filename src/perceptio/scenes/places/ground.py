"""What lies under an open sky: ground, roads and paths, hills at the horizon, houses."""

from __future__ import annotations

import math

import numpy as np

from perceptio.scenes.places.solids import Solid
from perceptio.scenes.places.stage import Stage
from perceptio.scenes.rendering.drawing import VERTEX
from perceptio.scenes.rendering.pieces import box, panel, quad

REACH = 180.0  # metres, half side of the ground
_UP = np.array([0.0, 0.0, 1.0])
_MOST_WINDOWS = 160  # of all houses of a picture
_HILLS, _TERRAIN = 48, 64  # segments around, and a side


def flat_ground(stage: Stage) -> None:
    """A flat ground to the horizon."""
    rng, r = stage.rng, REACH
    look = stage.material(stage.tone(0.15, 0.75, 1.0), stage.inventory.surfaces("ground"), rng.uniform(0.15, 0.8), 1.0)
    stage.piece(quad((-r, -r, 0), (r, -r, 0), (r, r, 0), (-r, r, 0), look), casts=False)


def rolling_ground(stage: Stage) -> Terrain:
    """Ground with rises and hollows."""
    terrain = Terrain(stage)
    stage.piece(terrain.vertices, casts=False)
    return terrain


class Terrain:
    """A height field that is level under the origin, finer near it."""

    def __init__(self, stage: Stage) -> None:
        rng = stage.rng
        self.reach = rng.choice((50.0, 90.0, 140.0))
        steps = np.linspace(-1, 1, _TERRAIN)
        self._grid = np.sign(steps) * np.abs(steps) ** 1.6 * self.reach
        x, y = np.meshgrid(self._grid, self._grid, indexing="ij")
        rise = rng.choice((0.05, 0.5, 1.5, 4.0))
        z = np.zeros_like(x)
        for wave in (0.02, 0.04, 0.08, 0.17, 0.35, 0.8):
            turn, phase, bend = rng.uniform(0, math.tau), rng.uniform(0, math.tau), rng.uniform(0, math.tau)
            along, beside = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
            height = 0.35 * rise * (0.06 / max(wave, 0.03)) ** 0.9
            z += height * np.sin(wave * along + phase + 1.3 * np.sin(0.7 * wave * beside + bend))
        far = np.maximum(0.0, np.hypot(x, y) / self.reach - 0.45)
        if rng.random() < 0.6:  # hills all around
            z += far**1.5 * rng.uniform(0.1, 0.5) * self.reach * (0.5 + 0.5 * np.sin(3 * np.arctan2(y, x) + phase))
        middle = _TERRAIN // 2
        self._z = z - z[middle - 1 : middle + 1, middle - 1 : middle + 1].mean()
        look = stage.material(
            stage.tone(0.1, 0.6, 1.0), stage.inventory.surfaces("ground"), rng.choice((0.12, 0.3, 0.7)), 1.0
        )
        self.vertices = self._triangles(x, y, look)

    def height(self, x: float, y: float) -> float:
        """Metres above the origin, by bilinear interpolation."""
        i, j = (int(np.clip(np.searchsorted(self._grid, v) - 1, 0, _TERRAIN - 2)) for v in (x, y))
        u = (x - self._grid[i]) / (self._grid[i + 1] - self._grid[i])
        v = (y - self._grid[j]) / (self._grid[j + 1] - self._grid[j])
        z = self._z
        near, far = (1 - u) * z[i, j] + u * z[i + 1, j], (1 - u) * z[i, j + 1] + u * z[i + 1, j + 1]
        return float((1 - v) * near + v * far)

    def _triangles(self, x: np.ndarray, y: np.ndarray, look: int) -> np.ndarray:
        gx, gy = np.gradient(self._z, self._grid, self._grid)
        normal = np.stack([-gx, -gy, np.ones_like(gx)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        place = np.stack([x, y, self._z], -1)
        rows = np.zeros((*x.shape, VERTEX), np.float32)
        rows[..., 0:3] = rows[..., 6:9] = place
        rows[..., 3:6], rows[..., 11] = normal, look
        a, b, c, d = rows[:-1, :-1], rows[1:, :-1], rows[1:, 1:], rows[:-1, 1:]
        return np.stack([a, b, c, a, c, d], 2).reshape(-1, VERTEX)


def strip(stage: Stage, turn: float, offset: float, width: float, groups: tuple[str, ...], lift: float) -> None:
    """A straight road or path: `offset` metres to the left of the origin, `lift` above the ground."""
    along = np.array([math.cos(turn), math.sin(turn), 0.0])
    aside = np.array([-along[1], along[0], 0.0])
    look = stage.material(
        stage.tone(0.1, 0.6, 1.0), stage.inventory.surfaces(*groups), stage.rng.uniform(0.2, 0.6), 1.0
    )
    center = aside * offset + _UP * lift
    stage.piece(panel(center, along * REACH, aside * width / 2, look), casts=False)


def hills(stage: Stage) -> None:
    """A ring of hills or a line of far woods around everything."""
    rng = stage.rng
    look = stage.material(stage.tone(0.4, 0.25, 0.6), stage.inventory.surfaces("ground", "any"), 0.02, 0.6)
    away, rise = rng.uniform(70, 160), rng.uniform(4, 22)
    phases = [rng.uniform(0, math.tau) for _ in range(3)]
    angles = np.linspace(0, math.tau, _HILLS + 1)
    tops = rise * (
        0.5
        + 0.25 * np.sin(3 * angles + phases[0])
        + 0.2 * np.sin(7 * angles + phases[1])
        + 0.1 * np.sin(17 * angles + phases[2])
    )
    tops = np.maximum(tops, 1.0)
    tops[-1] = tops[0]
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], 1)
    feet, crest = away * ring, 1.2 * away * ring + tops[:, None] * _UP
    stage.piece(
        np.concatenate([quad(feet[k + 1], feet[k], crest[k], crest[k + 1], look) for k in range(_HILLS)]), casts=False
    )


class Houses:
    """Builds houses on a stage; all share one allowance of windows."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._windows = 0

    def add(self, x: float, y: float, width: float, depth: float, height: float) -> bool:
        """A house with windows and mostly a pitched roof; False where there is no room."""
        stage, rng = self.stage, self.stage.rng
        solid = Solid((x, y, 0.0), (width, depth, height))
        if not stage.site.free(solid, 0.5):
            return False
        surfaces = stage.inventory.surfaces
        rgb = stage.tone(0.15, 0.7, 1.0)
        front = stage.material(rgb, surfaces("facade", "wall"), rng.uniform(0.15, 0.5), 1.0)
        roof = stage.material(stage.tone(0.5, 0.4, 0.9), surfaces("roof"), 0.4, 1.0)
        index = stage.own_thing("house", solid, "ground")
        stage.site.take(solid)
        low, high = (x - width / 2, y - depth / 2, 0.0), (x + width / 2, y + depth / 2, height)
        parts = [box(low, high, front, roof)]
        if height < 9 and rng.random() < 0.7:
            parts.append(_pitched(low, high, rng.uniform(1.0, 3.0), roof, front))
        parts += self._openings(low, high)
        stage.piece(np.concatenate(parts), index)
        return True

    def _openings(self, low: tuple[float, ...], high: tuple[float, ...]) -> list[np.ndarray]:
        stage, rng = self.stage, self.stage.rng
        pane = stage.material(stage.tone(0.3, 0.1, 0.35), gloss=0.9)
        frame = stage.material(rng.choice(((0.9, 0.9, 0.88), (0.35, 0.25, 0.18))))
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        pitch, parts = rng.uniform(2.2, 4.0), []
        wide, tall = rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.9)
        for side in range(4):
            a, b = np.array([*corners[side], 0.0]), np.array([*corners[(side + 1) % 4], 0.0])
            span = float(np.linalg.norm(b - a))
            along = (b - a) / span
            out = np.array([along[1], -along[0], 0.0])
            columns = max(int(span / pitch), 1)
            for floor in range(min(max(int(high[2] / 3), 1), 5)):
                for column in range(min(columns, 8)):
                    center = a + along * span * (column + 0.5) / columns + _UP * (3 * floor + 1.6) + out * 0.03
                    if center[2] + tall > high[2] - 0.1 or self._windows >= _MOST_WINDOWS:
                        continue
                    self._windows += 1
                    parts.append(panel(center, along * (wide + 0.08), _UP * (tall + 0.08), frame))
                    parts.append(panel(center + out * 0.03, along * wide, _UP * tall, pane))
        return parts


def _pitched(low: tuple[float, ...], high: tuple[float, ...], rise: float, roof: int, gable: int) -> np.ndarray:
    """A roof whose ridge runs along x."""
    (x0, y0, _), (x1, y1, h) = low, high
    top, middle, eave = h + rise, (y0 + y1) / 2, 0.3
    left, right = x0 - eave, x1 + eave
    ridge = (right, middle, top), (left, middle, top)
    return np.concatenate(
        [
            quad((left, y0 - eave, h), (right, y0 - eave, h), *ridge, roof),
            quad((left, y1 + eave, h), (right, y1 + eave, h), *ridge, roof),
            quad((x0, y1, h), (x0, y0, h), (x0, middle, top), (x0, middle, top - 0.01), gable),
            quad((x1, y0, h), (x1, y1, h), (x1, middle, top), (x1, middle, top - 0.01), gable),
        ]
    )

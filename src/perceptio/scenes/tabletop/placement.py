"""Put objects on floors, pedestals, shelves, stacks and ramps, on strings and in mid-air, without collisions."""

from __future__ import annotations

import math
import random

from perceptio.scenes.camera import Vector
from perceptio.scenes.tabletop.shapes import FOOTPRINTS
from perceptio.scenes.tabletop.space import Box, Extent, Space, box_around, extent_of, overlaps
from perceptio.scenes.tabletop.world import COLORS, HELD_OUT, MATERIALS, SCALES, SHAPES, SIZES, SceneObject, Structure

TRIES = 220  # placements tried before a scene stays as full as it is
UPRIGHT = math.pi / 2
STRING_WIDTH = 0.014  # metres
WOODS: tuple[Vector, ...] = ((0.62, 0.50, 0.38), (0.46, 0.38, 0.31), (0.74, 0.68, 0.60), (0.36, 0.37, 0.40))


class Placer:
    """Fills one room; `objects` and `structures` grow as things find their places."""

    def __init__(self, rng: random.Random, space: Space, split: str) -> None:
        self.rng = rng
        self.space = space
        self.split = split
        self.objects: list[SceneObject] = []
        self.structures: list[Structure] = []
        self._extents: list[Extent] = []
        self._groups = 0
        self._pending: tuple[str, str] | None = None

    def fill(self, wanted: int) -> None:
        """Place furniture with its load, then single objects until there are `wanted` of them."""
        rng = self.rng
        if rng.random() < 0.35:
            self._shelf(wanted)
        if rng.random() < 0.30 and len(self.objects) < wanted:
            self._ramp(wanted)
        if self.split == "test-shift":
            for _ in range(rng.randint(3, 6)):
                self._clutter()
        for _ in range(TRIES):
            if len(self.objects) >= wanted:
                break
            if rng.random() < 0.12:
                self._stack()
            else:
                self._single()

    def _attributes(self) -> tuple[str, str, str, str, float]:
        rng = self.rng
        shape, color = self._pending or self._kind()
        self._pending = shape, color  # kept until it is placed, so that hard placements are not drawn away
        size = rng.choice(SIZES)
        return shape, color, rng.choice(MATERIALS), size, SCALES[size] * rng.uniform(0.94, 1.06)

    def _kind(self) -> tuple[str, str]:
        """Draw shape and colour, now and then shared with an earlier object."""
        rng = self.rng
        held_out = self.split == "test-compositional"
        if held_out and (not self.objects or rng.random() < 0.3):
            color, shape = rng.choice(sorted(HELD_OUT))
            return shape, color
        while True:
            twin = rng.choice(self.objects) if self.objects else None
            shape = twin.shape if twin and rng.random() < 0.22 else rng.choice(SHAPES)
            color = twin.color if twin and rng.random() < 0.22 else rng.choice(tuple(COLORS))
            if held_out or (color, shape) not in HELD_OUT:
                return shape, color

    def _group(self) -> int:
        self._groups += 1
        return self._groups

    def _commit(
        self, kind: tuple[str, str, str, str, float], position: Vector, rotation: Vector, support: str, group: int
    ) -> None:
        shape, color, material, size, scale = kind
        extent = extent_of(shape, scale, rotation[1])
        self.objects.append(
            SceneObject(len(self.objects) + 1, shape, color, material, size, scale, position, rotation, support)
        )
        self._extents.append(extent)
        self.space.add_object(extent.box(position), position, 0.5 * scale, group)
        self._pending = None

    def _build(self, piece: Structure, box: Box, group: int) -> None:
        self.structures.append(piece)
        self.space.add(box, group)

    def _single(self) -> None:
        """Choose a point of the picture, then a depth there, then what holds the object up."""
        rng, space = self.rng, self.space
        kind = self._attributes()
        shape, scale = kind[0], kind[4]
        u, v = rng.uniform(-0.86, 0.86), rng.uniform(-0.82, 0.82)
        leave = space.view.exit_depth(u, v, space.room)
        ray = space.view.ray(u, v)
        if rng.random() < 0.20 and ray[2] < 0:
            pitch = UPRIGHT if shape == "torus" and rng.random() < 0.5 else 0.0
            extent = extent_of(shape, scale, pitch)
            depth = (space.view.eye[2] - extent.half_height) / -ray[2]
            if depth > 0 and depth < leave:
                self._settle(kind, space.view.point(u, v, depth), pitch, "floor")
            return
        # the higher in the picture, the more often near: this undoes what floors and low rays favour
        share = rng.random() ** (1.0 + 1.1 * max(0.0, 0.25 - v))
        depth = 1.25 + share * (min(leave, 5.5) - 1.25)
        position = space.view.point(u, v, depth)
        choice = rng.random()
        if choice < 0.42 and position[2] < 1.75:
            self._settle(kind, position, UPRIGHT if shape == "torus" and rng.random() < 0.6 else 0.0, "pedestal")
        elif choice < 0.72:
            self._settle(
                kind, position, UPRIGHT if shape == "torus" else rng.choice((0.0, rng.uniform(0, 0.6))), "hang"
            )
        else:
            self._settle(kind, position, UPRIGHT if shape == "torus" else rng.uniform(0, 0.7), "float")

    def _settle(self, kind: tuple[str, str, str, str, float], position: Vector, pitch: float, support: str) -> None:
        space, rng = self.space, self.rng
        extent = extent_of(kind[0], kind[4], pitch)
        box = extent.box(position)
        if not space.free(box) or not space.sees(position, 0.5 * kind[4]):
            return
        group = self._group()
        if support == "pedestal":
            height = box[2]
            if height < 0.08:
                return
            side = 2 * extent.radius * rng.uniform(0.95, 1.15)
            if pitch:
                side *= 0.7
            mesh = rng.choice(("box", "cylinder"))
            yaw = rng.uniform(0, math.pi) if mesh == "box" else 0.0
            center, lengths = (position[0], position[1], height / 2), (side, side, height)
            stand = box_around(center, lengths, yaw)
            if not space.free(stand):
                return
            self._build(Structure("pedestal", mesh, center, lengths, (yaw, 0.0, 0.0), rng.choice(WOODS)), stand, group)
        elif support == "hang":
            start = box[5] if kind[0] == "torus" else position[2]
            length = space.room.height - start
            center = (position[0], position[1], start + length / 2)
            lengths = (STRING_WIDTH, STRING_WIDTH, length)
            line = box_around(center, lengths, 0.0)
            if any(overlaps(line, other) for other, _ in space.solid):
                return
            piece = Structure("string", "cylinder", center, lengths, (0.0, 0.0, 0.0), (0.22, 0.22, 0.24))
            self.structures.append(piece)
            space.solid.append((line, group))
        rotation = (rng.uniform(-math.pi, math.pi), pitch, rng.uniform(-math.pi, math.pi) if 0 < pitch < 1 else 0.0)
        self._commit(kind, position, rotation, support, group)

    def _stack(self) -> None:
        """Put an object on the flat top of another."""
        rng = self.rng
        if not self.objects:
            return
        below = rng.choice(self.objects)
        top = FOOTPRINTS[below.shape].flat_top * below.scale
        if not top or below.rotation[1] or below.support in ("float", "hang", "ramp"):
            return
        kind = self._attributes()
        extent = extent_of(kind[0], kind[4], 0.0)
        if extent.radius > 1.25 * top:
            return
        x, y, z = below.position
        position = (x, y, z + self._extents[below.index - 1].half_height + extent.half_height)
        group = self.space.group_of(below.position)
        if self.space.free(extent.box(position), group, 0.0) and self.space.sees(position, 0.5 * kind[4], group):
            self._commit(kind, position, (rng.uniform(-math.pi, math.pi), 0.0, 0.0), "stack", group)

    def _shelf(self, wanted: int) -> None:
        """An open shelf of two to four boards between two sides, loaded with objects."""
        rng, space = self.rng, self.space
        width, depth, boards = rng.uniform(1.1, 2.0), rng.uniform(0.45, 0.6), rng.randint(2, 4)
        gap, rgb = rng.uniform(0.5, 0.72), rng.choice(WOODS)
        height = 0.12 + gap * (boards - 1)
        u, away = rng.uniform(-0.5, 0.5), rng.uniform(2.0, 4.6)
        ground = space.view.point(u, 0.0, away)
        x, y = ground[0], ground[1]
        pieces = [((x, y, 0.12 + gap * k - 0.02), (width, depth, 0.04)) for k in range(boards)]
        side = height + (0.25 if rng.random() < 0.5 else 0.0)
        pieces += [((x + s * (width / 2 + 0.02), y, side / 2), (0.04, depth, side)) for s in (-1, 1)]
        boxes = [box_around(center, lengths, 0.0) for center, lengths in pieces]
        if not all(space.free(box) for box in boxes):
            return
        group = self._group()
        for (center, lengths), box in zip(pieces, boxes, strict=True):
            self._build(Structure("shelf", "box", center, lengths, (0.0, 0.0, 0.0), rgb), box, group)
        for _ in range(14):
            if len(self.objects) >= wanted:
                return
            kind = self._attributes()
            extent = extent_of(kind[0], kind[4], 0.0)
            board = rng.randrange(boards)
            reach = width / 2 - extent.radius
            if (
                reach < 0
                or extent.radius > 0.75 * depth
                or (board < boards - 1 and 2 * extent.half_height > gap - 0.06)
            ):
                continue
            position = (x + rng.uniform(-reach, reach), y, 0.12 + gap * board + extent.half_height)
            self._ride(kind, extent, position, (rng.uniform(-math.pi, math.pi), 0.0, 0.0), "shelf", group)

    def _ramp(self, wanted: int) -> None:
        """A wedge with objects resting along its slope."""
        rng, space = self.rng, self.space
        run, width, rise = rng.uniform(1.6, 2.8), rng.uniform(0.9, 1.5), rng.uniform(0.5, 1.3)
        ground = space.view.point(rng.uniform(-0.4, 0.4), 0.2, rng.uniform(2.2, 4.2))
        yaw, slope = rng.uniform(-math.pi, math.pi), math.atan2(rise, run)
        center = (ground[0], ground[1], rise / 2)
        box = box_around(center, (run, width, rise), yaw)
        if not space.free(box):
            return
        group = self._group()
        self._build(
            Structure("ramp", "wedge", center, (run, width, rise), (yaw, 0.0, 0.0), rng.choice(WOODS)), box, group
        )
        for _ in range(12):
            if len(self.objects) >= wanted:
                return
            kind = self._attributes()
            foot = FOOTPRINTS[kind[0]]
            radius, half = foot.radius * kind[4], foot.half_height * kind[4]
            if 2 * radius > width:
                continue
            along = rng.uniform(-run / 2 + radius, run / 2 - radius) if run > 2 * radius else 0.0
            across = rng.uniform(-width / 2 + radius, width / 2 - radius)
            lx, lz = along - half * math.sin(slope), (along / run) * rise + half * math.cos(slope)
            x = center[0] + lx * math.cos(yaw) - across * math.sin(yaw)
            y = center[1] + lx * math.sin(yaw) + across * math.cos(yaw)
            extent = extent_of(kind[0], kind[4], slope)
            rotation = (yaw, -slope, rng.uniform(-math.pi, math.pi))
            self._ride(kind, extent, (x, y, rise / 2 + lz), rotation, "ramp", group)

    def _ride(
        self,
        kind: tuple[str, str, str, str, float],
        extent: Extent,
        position: Vector,
        rotation: Vector,
        support: str,
        group: int,
    ) -> None:
        """Place an object on furniture of its group, clear of the group's other objects."""
        box = extent.box(position)
        mates = (e.box(o.position) for o, e in zip(self.objects, self._extents, strict=True) if o.support == support)
        if any(overlaps(box, mate, 0.01) for mate in mates):
            return
        if self.space.free(box, group) and self.space.sees(position, 0.5 * kind[4], group):
            self._commit(kind, position, rotation, support, group)

    def _clutter(self) -> None:
        """A grey thing on the floor that nobody asks about."""
        rng, space = self.rng, self.space
        u, v = rng.uniform(-0.9, 0.9), rng.uniform(-0.2, 0.9)
        ray = space.view.ray(u, v)
        if ray[2] > -0.05:
            return
        ground = space.view.point(u, v, -space.view.eye[2] / ray[2])
        lengths = (rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.5), rng.uniform(0.1, 0.9))
        yaw, center = rng.uniform(0, math.pi), (ground[0], ground[1], lengths[2] / 2)
        box = box_around(center, lengths, yaw)
        if space.free(box):
            grey = rng.uniform(0.3, 0.7)
            mesh = rng.choice(("box", "cylinder", "wedge"))
            piece = Structure("clutter", mesh, center, lengths, (yaw, 0.0, 0.0), (grey, grey, grey))
            self._build(piece, box, self._group())

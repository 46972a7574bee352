"""Which space is taken: boxes around everything placed so far, sight lines and room on the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from perceptio.scenes.camera import Camera, Vector
from perceptio.scenes.tabletop.shapes import FOOTPRINTS
from perceptio.scenes.tabletop.world import Room

Box = tuple[float, float, float, float, float, float]  # low x, y, z, high x, y, z in metres
MIN_PIXELS, MAX_PIXELS = 15.0, 96.0  # projected size of an object in a picture of 224 px
FRAME = 0.90  # objects keep their centres inside this part of the picture


@dataclass(frozen=True)
class Extent:
    """The upright cylinder around a placed object, in metres."""

    radius: float
    half_height: float

    def box(self, position: Vector) -> Box:
        x, y, z = position
        r, h = self.radius, self.half_height
        return x - r, y - r, z - h, x + r, y + r, z + h


def extent_of(shape: str, scale: float, pitch: float) -> Extent:
    """Bound a shape tilted by `pitch` radians and turned any way about the vertical."""
    foot = FOOTPRINTS[shape]
    c, s = abs(math.cos(pitch)), abs(math.sin(pitch))
    radius = max(foot.radius, foot.radius * c + foot.half_height * s)
    return Extent(scale * radius, scale * (foot.radius * s + foot.half_height * c))


def box_around(position: Vector, extent: Vector, yaw: float) -> Box:
    """Bound a box of full lengths `extent` turned by `yaw`."""
    c, s = abs(math.cos(yaw)) / 2, abs(math.sin(yaw)) / 2
    rx, ry = c * extent[0] + s * extent[1], s * extent[0] + c * extent[1]
    x, y, z = position
    return x - rx, y - ry, z - extent[2] / 2, x + rx, y + ry, z + extent[2] / 2


def overlaps(a: Box, b: Box, gap: float = 0.0) -> bool:
    """Whether two boxes come closer than `gap`."""
    return (
        a[0] < b[3] + gap
        and b[0] < a[3] + gap
        and a[1] < b[4] + gap
        and b[1] < a[4] + gap
        and a[2] < b[5] + gap
        and b[2] < a[5] + gap
    )


def blocks(box: Box, start: Vector, end: Vector) -> bool:
    """Whether a box cuts the segment from `start` to `end` well before its end."""
    near, far = 0.0, 0.97
    for k in range(3):
        step = end[k] - start[k]
        if abs(step) < 1e-9:
            if not box[k] <= start[k] <= box[k + 3]:
                return False
            continue
        a, b = (box[k] - start[k]) / step, (box[k + 3] - start[k]) / step
        near, far = max(near, min(a, b)), min(far, max(a, b))
        if near > far:
            return False
    return True


class View:
    """The camera's arithmetic on plain floats; picture coordinates run from -1 to 1, v downwards."""

    def __init__(self, camera: Camera) -> None:
        self.eye = camera.position
        self.right, self.down, self.forward = camera.axes()
        self.tangent = math.tan(math.radians(camera.fov) / 2)

    def ray(self, u: float, v: float) -> Vector:
        """Return the direction through (u, v) whose length along the optical axis is 1."""
        a, b = u * self.tangent, v * self.tangent
        r, d, f = self.right, self.down, self.forward
        return a * r[0] + b * d[0] + f[0], a * r[1] + b * d[1] + f[1], a * r[2] + b * d[2] + f[2]

    def point(self, u: float, v: float, depth: float) -> Vector:
        """Return the world point seen at (u, v) at a view-space depth in metres."""
        x, y, z = self.ray(u, v)
        e = self.eye
        return e[0] + depth * x, e[1] + depth * y, e[2] + depth * z

    def project(self, p: Vector) -> Vector:
        """Return (u, v, depth) of a world point."""
        q = (p[0] - self.eye[0], p[1] - self.eye[1], p[2] - self.eye[2])
        x, y, z = (a[0] * q[0] + a[1] * q[1] + a[2] * q[2] for a in (self.right, self.down, self.forward))
        if z < 1e-6:
            return math.inf, math.inf, z
        return x / (z * self.tangent), y / (z * self.tangent), z

    def exit_depth(self, u: float, v: float, room: Room) -> float:
        """Return the depth at which the ray through (u, v) leaves the room."""
        ray = self.ray(u, v)
        low, high = (-room.width / 2, -room.length / 2, 0.0), (room.width / 2, room.length / 2, room.height)
        return min(((high[k] if ray[k] > 0 else low[k]) - self.eye[k]) / ray[k] for k in range(3) if abs(ray[k]) > 1e-9)


class Space:
    """Everything placed so far, and whether one more thing fits."""

    def __init__(self, room: Room, view: View) -> None:
        self.room = room
        self.view = view
        self.solid: list[tuple[Box, int]] = []  # box and the group that may touch it
        self._centers: list[tuple[Vector, Vector, float, int]] = []  # centre, its projection, radius on screen, group

    def inside(self, box: Box) -> bool:
        """Whether a box lies in the room, and the camera stays clear of it."""
        w, d, h = self.room.width / 2 - 0.02, self.room.length / 2 - 0.02, self.room.height - 0.01
        if box[0] < -w or box[3] > w or box[1] < -d or box[4] > d or box[2] < -1e-6 or box[5] > h:
            return False
        e = self.view.eye
        return not overlaps(box, (*e, *e), gap=0.35)

    def free(self, box: Box, group: int = -1, gap: float = 0.02) -> bool:
        """Whether a box is in the room, touches nothing outside its own group and hides no object's centre."""
        if not self.inside(box):
            return False
        if any(g != group and overlaps(box, other, gap) for other, g in self.solid):
            return False
        return not any(g != group and blocks(box, self.view.eye, center) for center, _, _, g in self._centers)

    def sees(self, center: Vector, radius: float, group: int = -1) -> bool:
        """Whether an object would have a fair size in the picture, with its centre in view and not crowded."""
        u, v, depth = self.view.project(center)
        if abs(u) > FRAME or abs(v) > FRAME or depth < 0.9:
            return False
        on_screen = radius / (depth * self.view.tangent)
        if not MIN_PIXELS < 2 * on_screen * 112 < MAX_PIXELS:
            return False
        for _, (u2, v2, _), r2, _ in self._centers:
            if math.hypot(u - u2, v - v2) < 0.62 * (on_screen + r2):
                return False
        return not any(g != group and blocks(box, self.view.eye, center) for box, g in self.solid)

    def group_of(self, center: Vector) -> int:
        """Return the group of the object placed at `center`."""
        return next(g for c, _, _, g in self._centers if c == center)

    def add(self, box: Box, group: int) -> None:
        """Take the space of a structure."""
        self.solid.append((box, group))

    def add_object(self, box: Box, center: Vector, radius: float, group: int) -> None:
        """Take the space of an object and protect its place in the picture."""
        projected = self.view.project(center)
        self._centers.append((center, projected, radius / (projected[2] * self.view.tangent), group))
        self.solid.append((box, group))

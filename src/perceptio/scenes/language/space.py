"""Relations of two things in space, by their upright boxes; None where a person might say yes or no."""

from __future__ import annotations

import math
from collections.abc import Sequence

from perceptio.scenes.language.entities import Entity

NEXT = (0.4, 0.8)  # metres between boxes, measured on the floor: so near is next to each other, so far is not
UNDER = (0.3, 1.0)  # metres between two things against the same wall, and between two that are not
OVERLAP = 0.5  # of the narrower one's width that lies below the other
TOUCHING = 0.05  # metres that boxes may run into each other
CLEARLY_NEARER = (0.2, 1.3)  # metres, and a factor, by which the second nearest is farther than the nearest


def is_on(a: Entity, b: Entity, things: Sequence[Entity]) -> bool | None:
    """Whether `a` stands on `b`; None if something lies between them."""
    if a.on == b.index:
        return True
    carriers = {thing.index: thing.on for thing in things}
    below, seen = a.on, {a.index}
    while below is not None and below not in seen:
        seen.add(below)
        below = carriers.get(below)
        if below == b.index:
            return None
    return False


def is_under(a: Entity, b: Entity) -> bool | None:
    """Whether `a` is below `b`: against the same wall as a window or a picture, or beneath what hangs there."""
    along = 0 if b.extent[0] >= b.extent[1] else 1
    across = 1 - along
    overlap = -_gap(a, b, along)
    away = _gap(a, b, across)
    if overlap <= 0 or away > UNDER[1] or _top(a) > b.center[2]:
        return False
    enough = overlap >= OVERLAP * min(a.extent[along], b.extent[along])
    return True if enough and away <= UNDER[0] and _top(a) <= _foot(b) + TOUCHING else None


def is_next_to(a: Entity, b: Entity) -> bool | None:
    """Whether `a` and `b` stand side by side; never where one carries the other, or one is above the other."""
    if b.index == a.on or a.index == b.on or _gap(a, b, 2) > 0:
        return False
    apart = math.hypot(max(_gap(a, b, 0), 0.0), max(_gap(a, b, 1), 0.0))
    if apart == 0.0:
        return None  # one stands in the other's box: a chair at a table
    return True if apart <= NEXT[0] else None if apart <= NEXT[1] else False


def nearest_to(group: Sequence[Entity], b: Entity) -> list[bool | None]:
    """Which of several things is nearest to `b`; all None if it is not clear."""
    gaps = [distance(thing, b) for thing in group]
    first, second, *_ = (*sorted(gaps), math.inf, math.inf)
    if not clearly_nearer(first, second):
        return [None] * len(group)
    return [gap == first for gap in gaps]


def clearly_nearer(first: float, second: float) -> bool:
    """Whether one distance in metres is so much shorter that a person sees it."""
    return second >= CLEARLY_NEARER[1] * first + CLEARLY_NEARER[0]


def distance(a: Entity, b: Entity) -> float:
    """Metres between two boxes; 0 where they meet."""
    return math.hypot(*(max(_gap(a, b, axis), 0.0) for axis in range(3)))


def share_height(a: Entity, b: Entity) -> bool:
    """Whether two boxes lie at one height in some part."""
    return _gap(a, b, 2) < 0


def _gap(a: Entity, b: Entity, axis: int) -> float:
    """Metres between two boxes along an axis; negative: how far they overlap."""
    return abs(a.center[axis] - b.center[axis]) - (a.extent[axis] + b.extent[axis]) / 2


def _top(thing: Entity) -> float:
    return thing.center[2] + thing.extent[2] / 2


def _foot(thing: Entity) -> float:
    return thing.center[2] - thing.extent[2] / 2

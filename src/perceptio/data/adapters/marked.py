"""Pictures with depth -> HardBLINK's question: which of the marked points is the closest to the camera?

The folder is that of `depth`. Points follow AURORA's rules (2412.03548) as `data.marks` has them: at least 20 px
apart in a picture of 336 px, and the nearest at least 20 of 255 steps nearer than the next; never where depth
changes within two pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from perceptio.data.adapters.depth import COLLECTIONS, Collection, depth_pictures, depth_sample
from perceptio.data.adapters.source import Source
from perceptio.data.marks import LETTERS, MARKED_SIZE, choose_points, marked_turn
from perceptio.data.schema import Sample
from perceptio.depth.normalization import resize_nearest

FEWEST = 2  # points in a picture


def marked(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each picture that has points of clear order; the points are drawn when it is read.

    Raises:
        DataError: as `depth_pictures`.
    """
    rng = np.random.default_rng(0)
    for each in depth_pictures(source):
        nearness = resize_nearest(each.nearness, MARKED_SIZE)
        count = int(rng.integers(FEWEST, len(LETTERS) + 1))
        marks = choose_points(nearness, np.zeros(nearness.shape, np.uint8), count, rng)
        if not marks:
            source.leave_out("pictures without points whose order is clear")
            continue
        width, height = each.size
        placed = tuple(replace(mark, x=_stretched(mark.x, width), y=_stretched(mark.y, height)) for mark in marks)
        yield replace(depth_sample(collection, source, each, marked_turn(marks)), marks=placed)


def _stretched(place: int, side: int) -> int:
    """A place in a picture of 336 px, in one of another size."""
    return min(round(place * side / MARKED_SIZE), side - 1)


READERS = {name.replace("depth", "marks"): partial(marked, collection) for name, collection in COLLECTIONS.items()}

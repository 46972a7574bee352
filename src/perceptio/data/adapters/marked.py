"""Pictures with depth -> HardBLINK's question: which of the marked points is the closest to the camera?

The folder is that of `depth`; points are those of `data.marked_samples`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from perceptio.data.adapters.depth import COLLECTIONS, Collection, depth_pictures, depth_sample
from perceptio.data.adapters.source import Source
from perceptio.data.marked_samples import MarkPlan, marked
from perceptio.data.schema import Sample


def pictures_with_marks(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each picture that has points of clear order; the points are drawn when it is read.

    Raises:
        DataError: as `depth_pictures`.
    """
    rng = np.random.default_rng(0)
    for each in depth_pictures(source):
        found = marked(depth_sample(collection, source, each), each.nearness, each.size, MarkPlan(), rng)
        if not found:
            source.leave_out("pictures without points whose order is clear")
        yield from found


READERS = {
    name.replace("depth", "marks"): partial(pictures_with_marks, collection) for name, collection in COLLECTIONS.items()
}

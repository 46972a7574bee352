"""Metric depth or inverse depth? In photographs what is low is nearer: maps that say the opposite are the other kind.

One picture proves nothing (an object on a shelf, a view out of a cave), dozens of them do.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FEWEST = 20  # maps with a direction that are needed to say anything
SHARE = 0.9  # of these that say the opposite of photographs
_CLEAR = 0.65  # share of pairs of a low and a high pixel whose order is the same, in a map that has a direction
_PIXELS = 1000  # looked at in each third


def direction(nearness: np.ndarray) -> int:
    """1 if the lower third of a picture is nearer than the upper, -1 if it is farther, 0 if that is not clear.

    Only the order of values counts (the Mann-Whitney statistic), which no scale and no outlier changes.

    Args:
        nearness: (h, w) float, larger is nearer.
    """
    third = max(len(nearness) // 3, 1)
    high, low = (part.ravel() for part in (nearness[:third], nearness[-third:]))
    high, low = (part[:: max(len(part) // _PIXELS, 1)] for part in (high, low))
    high = np.sort(high)
    farther = np.searchsorted(high, low, "left").mean() / len(high)
    nearer_or_even = np.searchsorted(high, low, "right").mean() / len(high)
    share = (farther + nearer_or_even) / 2  # of pairs in which the low pixel is nearer; a tie is half of one
    return int(share > _CLEAR) - int(share < 1 - _CLEAR)


def look_inverse(directions: Iterable[int]) -> str | None:
    """Why maps that are declared as metric are taken for inverse depth, if they are.

    Args:
        directions: of each map.
    """
    clear = [each for each in directions if each]
    against = clear.count(-1)
    if len(clear) < FEWEST or against < SHARE * len(clear):
        return None
    return (
        f"in {against} of the {len(clear)} metric maps of this file with a clear order the lower third is farther than "
        "the upper, as if they were inverse depth: set depth_kind to inverse, or if they are metres, look whether they "
        "are upside down"
    )

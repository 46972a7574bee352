"""A small map at the size of a picture: bilinear, part by part where the picture is large.

Shapes: h, w the map's, H, W the picture's.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

_WHOLE = 25_000_000  # pixels up to which there is one part
_PART = 4_000_000  # pixels of a part otherwise


def upsampled_parts(values_hw: Tensor, height: int, width: int) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """The map at a picture's size, part by part: its rows and columns, and their values in float32.

    Together they are `F.interpolate`'s bilinear result, to float32's precision where there are several: the whole of a
    large picture in float32, and what is made of it, would fill the memory.

    Args:
        values_hw: (h, w) float.
        height: H.
        width: W.
    """
    values_hw = values_hw.float()
    if height * width <= _WHOLE:
        whole = F.interpolate(values_hw[None, None], (height, width), mode="bilinear")[0, 0]
        yield (slice(0, height), slice(0, width)), whole
        return
    rows, columns = max(_PART // width, 1), min(width, _PART)
    for top in range(0, height, rows):
        y = slice(top, min(top + rows, height))
        above, below, down = _neighbours(y, height, values_hw.shape[0])
        strip = torch.lerp(values_hw[above], values_hw[below], down[:, None])
        for begin in range(0, width, columns):
            x = slice(begin, min(begin + columns, width))
            left, right, across = _neighbours(x, width, values_hw.shape[1])
            yield (y, x), torch.lerp(strip[:, left], strip[:, right], across)


def _neighbours(part: slice, size: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """For pixels in a part of `size` the two of `length` values each lies between, and how far from the first, 0 to 1.

    In float32, as torch's own.
    """
    place = ((torch.arange(part.start, part.stop) + 0.5) * (length / size) - 0.5).clamp(min=0)
    first = place.long().clamp(max=length - 1)
    return first, (first + 1).clamp(max=length - 1), (place - first).clamp(max=1)

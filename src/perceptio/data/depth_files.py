"""A person's depth map -> relative inverse depth, the scale that the model is taught."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data.errors import DataError
from perceptio.data.npy import npy_header, npy_rows
from perceptio.data.schema import DepthKind
from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth
from perceptio.images import MAX_PIXELS, WORKING_PIXELS, ImageError, open_image

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_STRIP = 4_000_000  # pixels looked at at a time


@dataclass(frozen=True, eq=False)
class DepthMap:
    """A depth map as the tokenizer gets it."""

    nearness: np.ndarray  # (h, w) float32 in [-1, 1], larger is nearer; of a map of more than `WORKING_PIXELS`,
    # one pixel in every few along each side
    size: tuple[int, int]  # (width, height) px of the file


def read_depth(path: Path, kind: DepthKind, scale: float) -> DepthMap:
    """Read a depth map.

    Args:
        path: of a PNG with one channel of 16 bits (8 bits too if inverse), a TIFF of floats, or a .npy array (H, W).
        kind: metres, or inverse depth of any scale and shift, larger is nearer.
        scale: a PNG's values per metre.

    Raises:
        DataError: if it cannot be read, is not one channel, has too many pixels, holds values that are not finite or,
            as metric depth, not above zero, or is the same everywhere.
    """
    metric = kind == "metric"
    if path.suffix == ".npy":
        values, size = _read_array(path, metric)
    else:
        values, size = _read_picture(path, metric, scale)
    if values.min() == values.max():
        raise DataError(f"{path} is the same everywhere ({values.min()}): it shows no depth")
    try:
        with np.errstate(all="ignore"):  # what comes of it is looked at
            nearness = inverse_depth_from_metric(values) if metric else normalize_inverse_depth(values)
    except ValueError as error:
        raise DataError(f"{path} cannot be used: {error}") from error
    if not nearness.any():
        raise DataError(f"{path} is the same nearly everywhere: it shows no depth")
    return DepthMap(nearness, size)


def read_metres(path: Path, scale: float) -> np.ndarray:
    """Metric depth (h, w) in metres, of the pixels that `read_depth` looks at.

    Args:
        path: as of `read_depth`.
        scale: a PNG's values per metre.

    Raises:
        DataError: as `read_depth`, but for maps that are the same everywhere.
    """
    values, _ = _read_array(path, True) if path.suffix == ".npy" else _read_picture(path, True, scale)
    return values


def _read_array(path: Path, metric: bool) -> tuple[np.ndarray, tuple[int, int]]:
    header = npy_header(path)
    shape = header.shape
    if len(shape) != 2 or header.dtype.kind not in "fiu" or 0 in shape:
        raise DataError(f"{path} must hold numbers of the shape (height, width), not {header.dtype} {shape}")
    if math.prod(shape) > MAX_PIXELS:
        raise DataError(f"{path} has {math.prod(shape)} pixels; the limit is {MAX_PIXELS}: make it smaller first")
    sides = shape[::-1] if header.fortran else shape
    values = _gather(path, npy_rows(path, header, _rows(*sides)), *sides, metric)
    return values.T if header.fortran else values, (shape[1], shape[0])


def _read_picture(path: Path, metric: bool, scale: float) -> tuple[np.ndarray, tuple[int, int]]:
    try:
        with open_image(path) as image:
            if image.mode not in (*_SIXTEEN_BIT, "F") and (image.mode != "L" or metric):
                raise DataError(f"{path} is of mode {image.mode}: depth is one channel of 16 bits")
            values = _gather(path, _image_rows(image, _rows(image.height, image.width)), *image.size[::-1], metric)
            return values / scale if image.mode in _SIXTEEN_BIT else values, image.size
    except ImageError as error:
        raise DataError(str(error)) from error


def _rows(height: int, width: int) -> int:
    """Of a strip: as many as are kept whole when the map is thinned out."""
    return max(_STRIP // width, 1) * _factor(height, width)


def _factor(height: int, width: int) -> int:
    return math.ceil(math.sqrt(max(height * width / WORKING_PIXELS, 1)))


def _image_rows(image: Image.Image, rows: int) -> Iterator[np.ndarray]:
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))


def _gather(path: Path, strips: Iterable[np.ndarray], height: int, width: int, metric: bool) -> np.ndarray:
    """The values of a map, thinned out if it is large; every one of them is looked at."""
    factor = _factor(height, width)
    kept: np.ndarray | None = None
    row = infinite = empty = 0
    for strip in strips:
        infinite += strip.size - int(np.isfinite(strip).sum())
        empty += int((strip <= 0).sum()) if metric else 0
        thinned = strip[::factor, ::factor]
        if kept is None:
            kept = np.empty((-(-height // factor), thinned.shape[1]), strip.dtype)
        kept[row : row + len(thinned)] = thinned
        row += len(thinned)
    if infinite:
        raise DataError(f"{path} holds {infinite} values that are NaN or infinite: fill these holes first")
    if empty:
        raise DataError(
            f"{path} holds {empty} values that are zero or less, which is no depth: fill these holes first, or say "
            "that the map is inverse"
        )
    assert kept is not None
    return kept

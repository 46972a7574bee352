"""A person's depth map -> relative inverse depth, the scale that the model is taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data.errors import DataError
from perceptio.data.schema import DepthKind
from perceptio.depth.normalization import inverse_depth_from_metric, normalize_inverse_depth

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_inverse_depth(path: Path, kind: DepthKind, scale: float) -> np.ndarray:
    """Read a depth map.

    Args:
        path: of a PNG with one channel of 16 bits (8 bits too if inverse), a TIFF of floats, or a .npy array (H, W).
        kind: metres, or inverse depth of any scale and shift, larger is nearer.
        scale: a PNG's values per metre.

    Returns:
        (H, W) float32 in [-1, 1], larger is nearer.

    Raises:
        DataError: if it cannot be read, is not one channel, holds values that are not finite or, as metric depth, not
            above zero, or is the same everywhere.
    """
    values = _read_array(path) if path.suffix == ".npy" else _read_picture(path, kind, scale)
    if values.ndim != 2 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise DataError(f"{path} must hold numbers of the shape (height, width), not {values.dtype} {values.shape}")
    infinite = int((~np.isfinite(values)).sum())
    if infinite:
        raise DataError(f"{path} holds {infinite} values that are NaN or infinite: fill these holes first")
    empty = int((values <= 0).sum()) if kind == "metric" else 0
    if empty:
        raise DataError(
            f"{path} holds {empty} values that are zero or less, which is no depth: fill these holes first, or say "
            "that the map is inverse"
        )
    if values.min() == values.max():
        raise DataError(f"{path} is the same everywhere ({values.min()}): it shows no depth")
    return inverse_depth_from_metric(values) if kind == "metric" else normalize_inverse_depth(values)


def _read_array(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is no array of numpy, or damaged: {error}") from error


def _read_picture(path: Path, kind: DepthKind, scale: float) -> np.ndarray:
    try:
        with Image.open(path) as image:
            image.load()
            mode, values = image.mode, np.asarray(image)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except Exception as error:  # decoders fail in many ways on damaged files
        raise DataError(f"{path} cannot be read as a depth map: {error}") from error
    if mode == "F" or (mode == "L" and kind == "inverse"):
        return values
    if mode not in _SIXTEEN_BIT:
        raise DataError(f"{path} is of mode {mode}: depth is one channel of 16 bits")
    return values / scale

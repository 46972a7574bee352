"""Arrays in numpy's files, whose header is not trusted: what it claims is compared with the size of the file first."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perceptio.data.errors import DataError


@dataclass(frozen=True)
class NpyHeader:
    """What a .npy file says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool  # whether the first index runs fastest
    offset: int  # bytes before the values


def npy_header(path: Path) -> NpyHeader:
    """The header of a .npy file that holds all that it claims.

    Raises:
        DataError: if there is no such file, it is no array of numbers, or cut short.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise DataError(f"{path} is a {'folder' if path.is_dir() else 'pipe or a device'}, not a file")
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            # the third version is for names of fields in other scripts: those are no numbers
            first = version == (1, 0)
            read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # a header is Python's own notation: parsing fails in many ways
        raise DataError(f"{path} is no array of numpy, or damaged: {' '.join(str(error).split())[:200]}") from error
    if dtype.hasobject or min(shape, default=0) < 0:
        raise DataError(f"{path} is no array of numbers but of {dtype} {shape}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > size - offset:
        raise DataError(f"{path} is damaged or cut short: {dtype} {shape} is {claimed} bytes, it holds {size - offset}")
    return NpyHeader(shape, dtype, fortran, offset)


def npy_rows(path: Path, header: NpyHeader, rows: int) -> Iterator[np.ndarray]:
    """A file of a matrix as strips of rows; of columns, turned to rows, where the first index runs fastest.

    Args:
        path: of the file.
        header: of the file; of two dimensions.
        rows: of a strip.
    """
    height, width = header.shape[::-1] if header.fortran else header.shape
    with path.open("rb") as file:
        file.seek(header.offset)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            yield np.fromfile(file, header.dtype, count * width).reshape(count, width)

"""Headers of numpy's files, which may claim anything."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.errors import DataError
from perceptio.data.npy import npy_header, npy_rows


def write(path: Path, shape: str, dtype: str = "<f8", values: int = 6, version: int = 1) -> Path:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    path.write_bytes(b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(8 * values))
    return path


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_come_strip_by_strip(tmp_path: Path, order: str) -> None:
    values = np.arange(77, dtype=">i4").reshape(7, 11)
    np.save(tmp_path / "a.npy", np.asarray(values, order=order))  # type: ignore[call-overload]
    header = npy_header(tmp_path / "a.npy")
    assert (header.shape, header.fortran) == ((7, 11), order == "F")
    strips = list(npy_rows(tmp_path / "a.npy", header, 3))
    assert [len(strip) for strip in strips] == ([3, 3, 1] if order == "C" else [3, 3, 3, 2])
    whole = np.concatenate(strips)
    np.testing.assert_array_equal(whole.T if order == "F" else whole, values)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ("(100000, 100000)", "<f8", r"cut short: float64 \(100000, 100000\) is 80000000000 bytes, it holds 48"),
        ("(9999999999, 9999999999)", "<f8", "cut short"),
        ("(-2, -3)", "<f8", "no array of numbers"),
        ("(2, 3)", "|O", "no array of numbers but of object"),
        ("(2, 3.0)", "<f8", "is no array of numpy"),
        ("__import__('os')", "<f8", "is no array of numpy"),
        ("(" * 300, "<f8", "is no array of numpy"),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_what_a_header_claims_is_compared_with_the_file(
    tmp_path: Path, shape: str, dtype: str, message: str, version: int
) -> None:
    path = write(tmp_path / "a.npy", shape, dtype, version=version)
    with pytest.raises(DataError, match=rf"a\.npy .*{message}"):
        npy_header(path)


def test_what_is_no_file_of_numpy_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    for name, message in {
        "text": "is no array",
        "empty": "is no array",
        "folder": "is a folder",
        "pipe": "is a pipe",
        "none": "there is no file",
    }.items():
        with pytest.raises(DataError, match=message):
            npy_header(tmp_path / f"{name}.npy")

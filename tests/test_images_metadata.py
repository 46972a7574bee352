"""Orientation, and metadata that does not parse: pixels decide."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perceptio.images import load_image, open_image, upright_size

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def values(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


# what a viewer does with each orientation of the EXIF standard
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(values(load_image(tmp_path / "a.png")), UPRIGHT[orientation](PIXELS))


def jpeg_with_orientation(kind: int, data: bytes) -> bytes:
    """A JPEG whose EXIF has one tag, the orientation, of a type of the TIFF standard."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG")
    content = buffer.getvalue()
    tag = struct.pack("<HHI", 0x0112, kind, max(len(data) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8}[kind], 1))
    value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", 26) + bytes(4) + data
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag + value
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


@pytest.mark.parametrize(
    ("kind", "data", "turned"),
    [
        (3, struct.pack("<H", 6), True),
        (4, struct.pack("<I", 6), True),
        (2, b"6\0", False),
        (1, b"\x06", False),
        (7, b"\x06", False),
        (3, struct.pack("<H", 0), False),
        (3, struct.pack("<H", 9), False),
        (3, struct.pack("<H", 255), False),
        (5, struct.pack("<II", 6, 0), False),
        (12, struct.pack("<d", float("nan")), False),
    ],
)
def test_an_orientation_that_is_no_number_of_the_standard_is_ignored(
    tmp_path: Path, kind: int, data: bytes, turned: bool
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with_orientation(kind, data))
    assert load_image(path).size == upright_size(path) == ((20, 30) if turned else (30, 20))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("orientation", range(10))
def test_a_tiff_is_turned_once(tmp_path: Path, orientation: int, grey: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.tif"
    Image.fromarray(PIXELS[:, :, 0] if grey else PIXELS).save(path, exif=exif)
    stored = PIXELS[:, :, [0, 0, 0]] if grey else PIXELS
    np.testing.assert_array_equal(values(load_image(path)), UPRIGHT.get(orientation, UPRIGHT[1])(stored))
    assert load_image(path).size == upright_size(path)


def png_with(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk behind its header."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    content = buffer.getvalue()
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content[:33] + chunk + content[33:]


def with_broken_exif(extension: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, extension, lossless=True, quality=100, exif=b"\0\x08\0\x02\x01\x12\0\x03")
    return buffer.getvalue()


def tiff_with_broken_exif() -> bytes:
    """A TIFF whose EXIF is said to lie far behind its end."""
    height, width, _ = PIXELS.shape
    tags = {
        256: width,
        257: height,
        258: 8,
        259: 1,
        262: 2,
        273: 8,
        277: 3,
        278: height,
        279: PIXELS.size,
        0x8769: 1 << 30,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (
        struct.pack("<2sHI", b"II", 42, 8 + PIXELS.size)
        + PIXELS.tobytes()
        + struct.pack("<H", len(tags))
        + entries
        + bytes(4)
    )


@pytest.mark.filterwarnings("ignore:(Truncated File Read|Corrupt EXIF data)")
@pytest.mark.parametrize(
    "content",
    [
        png_with(b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03"),
        png_with(b"eXIf", b""),
        png_with(b"tEXt", b"Raw profile type exif\0\nexif\n      10\nzzzzzz"),
        png_with(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="x">'),
        with_broken_exif("WEBP"),
        tiff_with_broken_exif(),
    ],
    ids=["exif", "empty exif", "profile", "xmp", "webp", "tiff"],
)
def test_metadata_that_does_not_parse_is_ignored(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    np.testing.assert_array_equal(values(load_image(path)), PIXELS)
    assert upright_size(path) == (30, 20)
    with open_image(path) as stored:
        np.testing.assert_array_equal(np.asarray(stored), PIXELS)


def test_a_photo_on_its_side_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "a.jpg", exif=exif)
    assert load_image(tmp_path / "a.jpg").size == (20, 30)

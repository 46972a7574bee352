"""A Qt resource file made of bytes, and a small set of photographs in folders of packages."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from perceptio.evaluation.photos.annotations import PhotoOrder, read_photo_order

WIDTH, HEIGHT = 60, 40
COMPRESSED, DIRECTORY = 1, 2


def made_resources(files: dict[str, bytes], version: int = 3, flags: int = COMPRESSED) -> bytes:
    """A resource file with all files in its folder "pictures", as Qt's rcc lays them out; flags are those of data."""
    names, data, nodes = b"", b"", []

    def named(text: str) -> int:
        nonlocal names
        offset = len(names)
        names += struct.pack(">HI", len(text), 0) + text.encode("utf-16-be")
        return offset

    time = b"" if version == 1 else bytes(8)
    nodes.append(struct.pack(">IHII", 0, DIRECTORY, 1, 1) + time)
    nodes.append(struct.pack(">IHII", named("pictures"), DIRECTORY, len(files), 2) + time)
    for name, content in files.items():
        packed = struct.pack(">I", len(content)) + zlib.compress(content) if flags & COMPRESSED else content
        nodes.append(struct.pack(">IHHHI", named(name), flags, 0, 0, len(data)) + time)
        data += struct.pack(">I", len(packed)) + packed
    tree = b"".join(nodes)
    extra = struct.pack(">I", 0) if version >= 3 else b""
    start = 20 + len(extra)
    header = struct.pack(">4sIIII", b"qres", version, start, start + len(tree), start + len(tree) + len(data))
    return header + extra + tree + data + names


def picture(seed: int, kind: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def resources() -> Callable[..., bytes]:
    """Makes a resource file."""
    return made_resources


@pytest.fixture
def photo_order(tmp_path: Path) -> PhotoOrder:
    """Three photographs of two packages, in the JSON of the real set: a file with disparity, a file, and a member."""
    rows = np.arange(HEIGHT, dtype=np.float32)
    disparity = np.repeat(rows[:, None] + 1, WIDTH, axis=1)  # the lower, the nearer
    disparity[0, 0] = np.inf
    buffer = io.BytesIO()
    np.savez(buffer, disparity)
    contents = {
        "garden/usr/cat.png": picture(0, "PNG"),
        "garden/usr/cat.npz": buffer.getvalue(),
        "garden/usr/tree.jpg": picture(1, "JPEG"),
        "toys/usr/toys.rcc": made_resources({"bear.webp": picture(2, "WEBP")}),
    }
    for path, content in contents.items():
        place = tmp_path / "packages" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    size: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
    photographs = [
        {
            "name": "cat",
            "package": "garden",
            "file": "usr/cat.png",
            "sha256": digest(contents["garden/usr/cat.png"]),
            **size,
            "pairs": [[[0.5, 0.9], [0.5, 0.1]], [[0.2, 0.2], [0.7, 0.7]]],
            "groups": [[[0.5, 0.9], [0.2, 0.5], [0.8, 0.2]]],
            "boxes": [{"name": "The cat.", "box": [0.25, 0.5, 0.75, 1]}],
            "disparity": {"file": "usr/cat.npz", "sha256": digest(contents["garden/usr/cat.npz"])},
        },
        {
            "name": "tree",
            "package": "garden",
            "file": "usr/tree.jpg",
            "sha256": digest(contents["garden/usr/tree.jpg"]),
            **size,
            "pairs": [[[0.1, 0.3], [0.9, 0.3]]],
            "groups": [],
            "boxes": [],
        },
        {
            "name": "bear",
            "package": "toys",
            "file": "usr/toys.rcc!pictures/bear.webp",
            "sha256": digest(picture(2, "WEBP")),
            **size,
            "pairs": [[[0.5, 0.8], [0.5, 0.3]]],
            "groups": [[[0.5, 0.3], [0.2, 0.8], [0.8, 0.6], [0.2, 0.2]]],
            "boxes": [{"name": "the bear", "box": [0, 0, 0.5, 0.5]}, {"name": "the box", "box": [0, 0, 1, 1]}],
        },
    ]
    file = tmp_path / "order.json"
    file.write_text(json.dumps({"packages": {"garden": "Debian 1", "toys": "Debian 2"}, "photographs": photographs}))
    return read_photo_order(file)


@pytest.fixture
def packages(photo_order: PhotoOrder, tmp_path: Path) -> Path:
    """The folder with the packages of `photo_order`."""
    return tmp_path / "packages"

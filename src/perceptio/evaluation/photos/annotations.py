"""What was judged by eye on each photograph: which point is nearer, which is nearest, where a named thing is.

`photo_order.json` holds it, with the hash of each file instead of the file: pictures come from packages. Places are
shares of the upright picture's width and height.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from perceptio.files import read_json

PHOTO_ORDER = Path(__file__).with_name("photo_order.json")

Point: TypeAlias = tuple[float, float]  # x, y in [0, 1)


@dataclass(frozen=True)
class PackageFile:
    """One file of a package."""

    package: str
    path: str  # from the package's root; "FILE.rcc!MEMBER" for a file inside a Qt resource file
    sha256: str


@dataclass(frozen=True)
class PointPair:
    """Two points whose order is beyond doubt."""

    nearer: Point
    farther: Point


@dataclass(frozen=True)
class NamedThing:
    """Something that its name alone picks out in the picture."""

    name: str
    box: tuple[float, float, float, float]  # left, top, right, bottom in [0, 1]


@dataclass(frozen=True)
class Photograph:
    """One photograph and all that was judged on it."""

    name: str  # another one for each photograph
    file: PackageFile
    size: tuple[int, int]  # (width, height) px
    pairs: tuple[PointPair, ...]
    groups: tuple[tuple[Point, ...], ...]  # 3 to 5 points each, the first of them the nearest
    things: tuple[NamedThing, ...]
    disparity: PackageFile | None = None  # .npz of (H, W) measured disparity in px: inverse depth, up to a line


@dataclass(frozen=True)
class PhotoOrder:
    """The whole set."""

    packages: dict[str, str]  # by name: where a package is from, and its version
    photographs: tuple[Photograph, ...]
    digest: str  # SHA-256 of the file


def read_photo_order(path: Path = PHOTO_ORDER) -> PhotoOrder:
    """Read the set.

    Raises:
        ValueError: if the file is damaged.
    """
    content = read_json(path)
    photographs = tuple(_photograph(record) for record in content["photographs"])
    return PhotoOrder(content["packages"], photographs, hashlib.sha256(path.read_bytes()).hexdigest())


def _photograph(record: dict[str, Any]) -> Photograph:
    package, disparity = record["package"], record.get("disparity")
    return Photograph(
        record["name"],
        PackageFile(package, record["file"], record["sha256"]),
        (record["width"], record["height"]),
        tuple(PointPair(*_points(pair)) for pair in record["pairs"]),
        tuple(_points(group) for group in record["groups"]),
        tuple(NamedThing(thing["name"], tuple(thing["box"])) for thing in record["boxes"]),
        PackageFile(package, disparity["file"], disparity["sha256"]) if disparity else None,
    )


def _points(places: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    return tuple((x, y) for x, y in places)

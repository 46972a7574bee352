"""A folder of pictures with depth maps, ADE20K's or one's own -> samples that ask for the depth map.

FOLDER/images/[SPLIT/]NAME.jpg (or another of `images.IMAGE_SUFFIXES`)
FOLDER/depth/[SPLIT/]NAME.png      16 bits, metres = value / scale (1000 for NYU, 256 for KITTI), or
                     NAME.npy      (H, W) metres; or, instead of depth/,
FOLDER/inverse/[SPLIT/]NAME.png    8 or 16 bits, relative inverse depth, larger is nearer (a teacher's output), or
                       NAME.npy    likewise

Maps have no holes: samples cannot say where depth is unknown. ADE20K has no depth of its own: AURORA (2412.03548) makes
8-bit grey maps with Depth Anything's run.py (--pred-only --grayscale), named as the pictures; they go to
inverse/training.

Sources: README.md of github.com/mahtabbigverdi/Aurora-perception; run.py of github.com/DepthAnything/Depth-Anything-V2,
which saves grey maps as three equal channels.
Licences: ADE20K's pictures have their owners' terms. The weights of Depth Anything V2 that make maps are Apache-2.0
(Small) or CC BY-NC 4.0 (Base, Large).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from perceptio.data import templates
from perceptio.data.adapters.source import Source, picture_size
from perceptio.data.depth_files import read_depth
from perceptio.data.errors import DataError
from perceptio.data.schema import DepthKind, Sample, Turn
from perceptio.images import IMAGE_SUFFIXES, ImageError, open_image

FOLDERS: dict[DepthKind, str] = {"metric": "depth", "inverse": "inverse"}


@dataclass(frozen=True)
class Collection:
    """What is known of a folder before it is read."""

    title: str  # "": the folder's name
    licence: str


@dataclass(frozen=True)
class DepthPicture:
    """One picture with its depth."""

    picture: Path
    depth: Path
    kind: DepthKind
    nearness: np.ndarray  # (h, w) float32 in [-1, 1], larger is nearer
    size: tuple[int, int]  # (width, height) of the picture, px


def depth(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each picture, with one request for its depth map.

    Raises:
        DataError: as `depth_pictures`.
    """
    rng = np.random.default_rng(0)
    for each in depth_pictures(source):
        question, answer = (templates.pick(choice, rng) for choice in (templates.DEPTH, templates.DEPTH_ANSWERS))
        yield replace(depth_sample(collection, source, each), turns=(Turn(question, answer, "depth", depth=True),))


def depth_sample(collection: Collection, source: Source, each: DepthPicture) -> Sample:
    """A sample about a picture with depth, without turns."""
    title = collection.title or source.folder.resolve().name
    return Sample(
        key="/".join(filter(None, (title, source.split, each.picture.stem))),
        image=source.relative(each.picture),
        turns=(),
        depth=source.relative(each.depth),
        depth_kind=each.kind,
        depth_scale=source.scale,
        source=title,
        licence=collection.licence,
    )


def depth_pictures(source: Source) -> Iterator[DepthPicture]:
    """Every picture of a folder with its depth, which is read and checked.

    Raises:
        DataError: if folders or files are missing. Maps that cannot be used, or are not of their picture's size, are
            left out and counted.
    """
    kinds = [kind for kind, folder in FOLDERS.items() if (source.folder / folder / source.split).is_dir()]
    if len(kinds) != 1:
        found = "both of" if kinds else "neither of"
        names = " and ".join(str(Path(folder) / source.split) for folder in FOLDERS.values())
        raise DataError(f"{source.folder} holds {found} {names}: depth maps go into one of them")
    (kind,) = kinds
    pictures = source.files(f"images/{source.split}", IMAGE_SUFFIXES)
    maps = source.files(f"{FOLDERS[kind]}/{source.split}", (".png", ".npy"))
    place = source.folder / FOLDERS[kind] / source.split
    there = source.find("depth maps", {stem: [maps.get(stem, place / f"{stem}.png")] for stem in pictures})
    source.leave_out("depth maps without a picture", len(maps.keys() - pictures.keys()))
    for stem, path in there.items():
        try:
            each = _opened(pictures[stem], path, kind, source)
        except DataError as error:
            source.leave_out("depth maps that cannot be used", where=str(error))
            continue
        yield each


def _opened(picture: Path, path: Path, kind: DepthKind, source: Source) -> DepthPicture:
    if kind == "inverse" and path.suffix == ".png":
        path = _one_channel(path, source.made)
    read = read_depth(path, kind, source.scale)
    height, width = picture_size(picture)
    if read.size != (width, height):
        raise DataError(
            f"{path} is {read.size[0]} x {read.size[1]} pixels but its picture {width} x {height}: resize it"
        )
    return DepthPicture(picture, path, kind, read.nearness, read.size)


def _one_channel(path: Path, made: Path) -> Path:
    """A grey map that was saved as three equal channels, as a file of one; any other as it is."""
    try:
        with open_image(path) as image:
            if image.mode != "RGB":
                return path
            values = np.asarray(image)
    except ImageError as error:
        raise DataError(str(error)) from error
    if not (values == values[..., :1]).all():
        raise DataError(f"{path} is in colours: save depth as grey values, not as a picture of them")
    Image.fromarray(values[..., 0]).save(made / path.name)
    return made / path.name


COLLECTIONS = {
    "depth": Collection("", ""),
    "ade20k-depth": Collection("ADE20K", "pictures: their owners' terms; depth: those of the teacher"),
}
READERS = {name: partial(depth, collection) for name, collection in COLLECTIONS.items()}

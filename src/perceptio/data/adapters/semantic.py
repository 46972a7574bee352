"""Maps of classes, ADE20K's and COCO-Stuff's -> samples that ask for the sky, the wall, the road.

    ade20k      FOLDER/images/{training,validation}/ADE_train_00000001.jpg
                FOLDER/annotations/{training,validation}/ADE_train_00000001.png    0: nothing; 1 to 150: classes
                FOLDER/objectInfo150.txt                                           their names
    coco-stuff  FOLDER/images/{train2017,val2017}/000000000009.jpg
                FOLDER/annotations/{train2017,val2017}/000000000009.png            0 to 181: classes; 255: nothing
                FOLDER/labels.txt                                                  their names, numbered from 1

Only stuff is asked for, what has no number: a map of classes does not tell one chair from the next, and the plural of
things is one mask each here.

Sources: github.com/CSAILVision/sceneparsing (README.md, objectInfo150.txt); github.com/nightrome/cocostuff (README.md,
labels.txt); which classes of ADE20K are stuff: `isthing` in Mask2Former's register_ade20k_panoptic.py.
Licences: ADE20K's annotations have the licence of its COPYRIGHT file (BSD-like), COCO-Stuff's are CC BY 4.0; pictures
have the terms of their sources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data import templates
from perceptio.data.adapters.source import Source, check_size, read_labels
from perceptio.data.errors import DataError
from perceptio.data.fields import shown
from perceptio.data.rle import json_rle, mask_rle
from perceptio.data.schema import Sample, Turn
from perceptio.files import read_lines
from perceptio.images import IMAGE_SUFFIXES

LEAST_SHARE = 0.001  # of the picture that a class must cover to be asked for, as the scenes' least referent
# Numbers of ADE20K's classes, from 1, that have no number themselves.
ADE20K_STUFF = (
    *(1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 17, 18, 22, 26, 27, 29, 30, 35, 41, 47, 49, 52, 53, 55, 60, 61, 62, 64, 69, 78),
    *(80, 85, 92, 95, 97, 100, 101, 102, 106, 107, 110, 114, 115, 118, 123, 129, 132, 141, 142, 146),
)
FIRST_STUFF = 92  # number of COCO-Stuff's first class of stuff
# COCO-Stuff's kinds of one thing, such as wall-brick, make up that thing; others (food-other) are only what is left of
# it, and are not asked for. Clouds are sky.
WHOLE = ("ceiling", "desk", "door", "floor", "mirror", "wall", "window")
SKY = ("clouds", "sky-other")


@dataclass(frozen=True)
class Collection:
    """One of the two data sets."""

    title: str
    classes: Callable[[Source], Mapping[int, str]]  # value of a pixel -> name, of what is asked for
    nothing: int  # value of pixels without a class
    licence: str


def semantic(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each picture, with a turn for each class of stuff in it.

    Raises:
        DataError: if files are missing. Maps that are no label maps, or not of their picture's size, are left out and
            counted.
    """
    names = collection.classes(source)
    maps = source.files(f"annotations/{source.split}", (".png",))
    images = source.folder / "images" / source.split
    places = {stem: [images / f"{stem}{suffix}" for suffix in (".jpg", *IMAGE_SUFFIXES)] for stem in maps}
    there = source.find("pictures", places)
    rng = np.random.default_rng(0)
    for stem, path in there.items():
        try:
            labels = read_labels(maps[stem])
            check_size(path, *labels.shape)
        except DataError as error:
            source.leave_out("maps that cannot be used, or whose picture cannot", where=str(error))
            continue
        regions = _regions(labels, names, collection.nothing, source)
        if not regions:
            source.leave_out("pictures without a class of stuff")
            continue
        turns = []
        for number, name in enumerate(regions):
            question, answer = templates.segment(f"the {name}", 1, rng)
            turns.append(Turn(question, answer, "semantic", masks=(number,)))
        yield Sample(
            key=f"{collection.title}/{source.split}/{stem}",
            image=source.relative(path),
            turns=tuple(turns),
            masks=tuple(regions.values()),
            source=collection.title,
            licence=collection.licence,
        )


def _regions(labels: np.ndarray, names: Mapping[int, str], nothing: int, source: Source) -> dict[str, dict[str, Any]]:
    """RLE of each class that is asked for, by its name."""
    values: dict[str, list[int]] = {}
    for value in np.unique(labels).tolist():
        if value in names:
            values.setdefault(names[value], []).append(value)
        elif value != nothing:
            source.leave_out("regions of classes that are things, or only a part of what they name")
    large = {}
    for name, of in values.items():
        mask = np.isin(labels, of)
        if mask.mean() >= LEAST_SHARE:
            large[name] = json_rle(mask_rle(mask))
    source.leave_out(f"regions below {LEAST_SHARE:.1%} of their picture", len(values) - len(large))
    return large


def _ade20k_classes(source: Source) -> dict[int, str]:
    """Idx and Name of objectInfo150.txt, of which the first of several names is taken."""
    path = source.folder / "objectInfo150.txt"
    lines = [line for _, line in _lines(path)]
    header = lines[0].split("\t") if lines else []
    try:
        number, name = header.index("Idx"), header.index("Name")
        rows = [line.split("\t") for line in lines[1:]]
        names = {int(row[number]): row[name].split(",")[0].strip() for row in rows}
        return {value: names[value] for value in ADE20K_STUFF}
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"{path} is not ADE20K's table of 150 classes ({error}): fetch the original file") from error


def _coco_classes(source: Source) -> dict[int, str]:
    """Lines of labels.txt, such as "92: banner"; a pixel's value is one less."""
    path = source.folder / "labels.txt"
    classes = {}
    for line, text in _lines(path):
        number, colon, name = text.partition(": ")
        if not colon or not re.fullmatch(r"\s*[0-9]{1,4}", number):
            reason = f'line {line} is {shown(text)}, not as "92: banner"'
            raise DataError(f"{path} is not COCO-Stuff's list of classes, {reason}: fetch the original file")
        kind, part, _ = name.strip().partition("-")
        if name.strip() in SKY:
            kind, part = "sky", ""
        if int(number) >= FIRST_STUFF and (not part or kind in WHOLE):
            classes[int(number) - 1] = kind
    return classes


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbers and texts of a file's lines."""
    if not path.exists():
        raise DataError(f"{path} is missing: it names the classes and comes with the data set")
    return list(read_lines(path))


COLLECTIONS = {
    "ade20k": Collection("ADE20K", _ade20k_classes, 0, "annotations: BSD-like; pictures: their owners' terms"),
    "coco-stuff": Collection("COCO-Stuff", _coco_classes, 255, "annotations: CC BY 4.0; pictures: Flickr's terms"),
}
READERS = {name: partial(semantic, collection) for name, collection in COLLECTIONS.items()}

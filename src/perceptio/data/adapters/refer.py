"""RefCOCO, RefCOCO+, RefCOCOg, gRefCOCO and RefCOCO-M -> samples: a picture, and a turn for each expression.

FOLDER/refcoco/refs(unc).p, instances.json   and so on: see `perceptio.data.refer`
FOLDER/train2014/COCO_train2014_*.jpg        COCO's pictures; also images/train2014, coco/train2014, and
                                             images/mscoco/images/train2014, where REFER's own loader has them
FOLDER/data/validation-*.parquet             RefCOCO-M, pictures included: see `perceptio.data.refcoco_m`

Licences: the expressions come without one in their archives; COCO's annotations are CC BY 4.0, its pictures have the
terms of Flickr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from perceptio.data import refcoco_m, templates
from perceptio.data.adapters.source import Source, check_size
from perceptio.data.errors import DataError
from perceptio.data.refer import COLLECTIONS, ReferredImage, from_refcoco_m, read_refer
from perceptio.data.rle import json_rle
from perceptio.data.schema import ABSENT, Sample, Turn

PICTURES = ("train2014", "images/train2014", "coco/train2014", "images/mscoco/images/train2014")
LICENCE = "expressions: none stated; COCO annotations: CC BY 4.0; pictures: Flickr's terms"
LICENCES = {refcoco_m.NAME: "expressions and masks: MIT; pictures: Flickr's terms"}


def refer(dataset: str, source: Source) -> Iterator[Sample]:
    """A sample for each picture of a split.

    An expression that fits several objects of gRefCOCO gets a [SEG] for each of them, from left to right; one that
    fits none, none. References that are damaged, and pictures that are or have another size than their annotations, are
    left out and counted.

    Args:
        dataset: a name in `COLLECTIONS`.
        source: the user's folder.

    Raises:
        DataError: as `read_refer`, or if pictures are missing.
    """
    rng = np.random.default_rng(0)
    images = read_refer(source.folder, dataset, source.split, leave_out=partial(_damaged, source)).images
    if not images:
        return
    places = {image.file_name: [source.folder / folder / image.file_name for folder in PICTURES] for image in images}
    there = source.find("pictures", places)
    for image in images:
        path = there.get(image.file_name)
        if path is None:
            source.leave_out("expressions whose picture is missing", image.expressions)
            continue
        try:
            check_size(path, image.height, image.width)
        except DataError as error:
            source.leave_out("expressions whose picture cannot be used", image.expressions, str(error))
            continue
        yield from _samples(dataset, source, image, path, rng)


def refer_with_pictures(source: Source) -> Iterator[Sample]:
    """A sample for each picture of RefCOCO-M, whose own pictures are written to files.

    Raises:
        DataError: as `read_refcoco_m`.
    """
    rng = np.random.default_rng(0)
    for picture in refcoco_m.read_refcoco_m(source.folder, leave_out=partial(_damaged, source)):
        image, path = from_refcoco_m(picture), source.made / picture.file_name
        path.write_bytes(picture.content)
        try:
            check_size(path, image.height, image.width)
        except DataError as error:
            source.leave_out("expressions whose picture cannot be used", image.expressions, str(error))
            path.unlink()
            continue
        yield from _samples(refcoco_m.NAME, source, image, path, rng)


def _damaged(source: Source, reason: str, expressions: int) -> None:
    source.leave_out("expressions whose reference is damaged", expressions, reason)


def _samples(
    dataset: str, source: Source, image: ReferredImage, path: Path, rng: np.random.Generator
) -> Iterator[Sample]:
    """The sample of a picture; none if nothing that is said of it can be used."""
    masks: dict[str, int] = {}  # the counts of each code, by its place: several expressions share an object
    turns: list[Turn] = []
    for reference in image.references:
        codes = [json_rle(code)["counts"] for code in sorted(reference.objects, key=_middle) if coco.area(code)]
        if reference.rle is not None and not codes:
            source.leave_out("expressions for objects without a pixel", len(reference.expressions))
            continue
        objects = tuple(masks.setdefault(code, len(masks)) for code in codes)
        turns += [_turn(expression, objects, rng) for expression in reference.expressions]
    if turns:
        yield Sample(
            key=f"{dataset}/{source.split}/{path.stem}",
            image=source.relative(path),
            turns=tuple(turns),
            masks=tuple({"size": [image.height, image.width], "counts": counts} for counts in masks),
            source=COLLECTIONS[dataset].title,
            licence=LICENCES.get(dataset, LICENCE),
        )


READERS: dict[str, Callable[[Source], Iterator[Sample]]] = {
    **{name: partial(refer, name) for name in COLLECTIONS},
    refcoco_m.NAME: refer_with_pictures,
}


def _turn(expression: str, masks: tuple[int, ...], rng: np.random.Generator) -> Turn:
    question, answer = templates.segment(expression.strip().lower().rstrip(". "), len(masks), rng)
    task = "absent" if not masks else "referring" if len(masks) == 1 else "plural"
    return Turn(question=question, answer=answer, task=task, masks=masks or (ABSENT,))


def _middle(code: dict[str, bytes]) -> float:
    """x of the middle of a mask's box, px."""
    left, _, width, _ = coco.toBbox(code)
    return float(left + width / 2)

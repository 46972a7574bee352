"""Reading RefCOCO, RefCOCO+, RefCOCOg, gRefCOCO and RefCOCO-M from their original annotation files.

ROOT/refcoco/refs(unc).p        pickled list of references: ref_id, ann_id, image_id, split, sentences
ROOT/refcoco+/refs(unc).p       likewise
ROOT/refcocog/refs(umd).p       likewise, the split by UMD, whose images do not overlap
ROOT/grefcoco/grefs(unc).json   likewise as JSON; `ann_id` is a list, [-1] where nothing fits the expression
ROOT/*/instances.json           COCO's annotations and images that the references point to
ROOT/refcoco-m/                 as `data.refcoco_m` reads it

Sources: the layout is that of github.com/lichengunc/refer and github.com/henghuiding/ReLA, read in their loaders.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from perceptio.data import refcoco_m
from perceptio.data.entries import entry, given, listed, text, whole
from perceptio.data.errors import DataError
from perceptio.data.fields import kind, shown
from perceptio.data.plain_pickle import RefusedClassError, read_plain_pickle
from perceptio.data.rle import check_sides, segmentation_rles, union_rle
from perceptio.files import parse_json

INSTANCES = "instances.json"
NO_TARGET = -1  # stands for an annotation in gRefCOCO


@dataclass(frozen=True)
class Collection:
    """One of the datasets of referring expressions."""

    title: str
    references: str  # name of the file of references
    splits: tuple[str, ...]  # the first is for training, where there is one
    generalized: bool = False  # an expression may fit several objects, or none


COLLECTIONS = {
    "refcoco": Collection("RefCOCO", "refs(unc).p", ("train", "val", "testA", "testB")),
    "refcoco+": Collection("RefCOCO+", "refs(unc).p", ("train", "val", "testA", "testB")),
    "refcocog": Collection("RefCOCOg UMD", "refs(umd).p", ("train", "val", "test")),
    "grefcoco": Collection("gRefCOCO", "grefs(unc).json", ("train", "val", "testA", "testB"), generalized=True),
    refcoco_m.NAME: Collection("RefCOCO-M", refcoco_m.FILES, ("val",)),
}


@dataclass(frozen=True, eq=False)
class Reference:
    """What several people said of the same object or objects."""

    row: int  # place in the file of references (of RefCOCO-M among all objects), counted from 0
    expressions: tuple[str, ...]  # as written in the file
    rle: dict[str, Any] | None  # COCO RLE of all that is meant, of the size of the image; None if nothing is
    objects: tuple[dict[str, Any], ...] = ()  # one RLE for each annotation of `rle`, in the order of the file


@dataclass(frozen=True, eq=False)
class ReferredImage:
    """One picture and all that is said of it in a split."""

    file_name: str
    height: int
    width: int
    references: tuple[Reference, ...]

    @property
    def expressions(self) -> int:
        """How many."""
        return sum(len(reference.expressions) for reference in self.references)


@dataclass(frozen=True, eq=False)
class ReferSplit:
    """One split of one dataset."""

    dataset: str
    split: str
    images: tuple[ReferredImage, ...]  # in the order in which the file of references first names them
    hashes: dict[str, str]  # first 16 hex digits of the SHA-256 of each annotation file, by its name


def read_refer(
    root: str | Path, dataset: str, split: str, *, leave_out: Callable[[str, int], None] | None = None
) -> ReferSplit:
    """Read one split and draw the targets of its references.

    Args:
        root: the folder that holds one folder for each dataset.
        dataset: a name in `COLLECTIONS`.
        split: one of the dataset's.
        leave_out: is told why a reference cannot be used, and its number of expressions; by default that is an error.

    Raises:
        DataError: if there is no such dataset or split, a file is missing or damaged, or a reference points to
            an image or annotation that `instances.json` does not hold.
    """
    if dataset not in COLLECTIONS:
        raise DataError(f"there is no dataset {dataset!r}: give one of {', '.join(COLLECTIONS)}")
    collection = COLLECTIONS[dataset]
    if split not in collection.splits:
        raise DataError(f"{dataset} has no split {split!r}: give one of {', '.join(collection.splits)}")
    if dataset == refcoco_m.NAME:
        folder = Path(root) / dataset
        pictures = refcoco_m.read_refcoco_m(folder, leave_out=leave_out)
        found = tuple(from_refcoco_m(picture) for picture in pictures)
        return ReferSplit(dataset, split, found, refcoco_m.file_hashes(folder))
    paths = [Path(root) / dataset / name for name in (collection.references, INSTANCES)]
    contents = [_read(path, dataset) for path in paths]
    references, instances = (_parsed(path, content) for path, content in zip(paths, contents, strict=True))
    hashes = {
        path.name: hashlib.sha256(content).hexdigest()[:16] for path, content in zip(paths, contents, strict=True)
    }
    rows = _of_split(references, split, paths[0])
    images = _images(rows, _Instances(instances, paths[1]), collection, paths[0], leave_out)
    return ReferSplit(dataset, split, images, hashes)


def from_refcoco_m(picture: refcoco_m.ReferredPicture) -> ReferredImage:
    """A picture of RefCOCO-M: each of its objects is what some expressions mean."""
    said = tuple(Reference(each.place, each.expressions, each.rle, (each.rle,)) for each in picture.objects)
    return ReferredImage(picture.file_name, picture.height, picture.width, said)


def _read(path: Path, dataset: str) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise DataError(f"{path} is not a file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: put the original annotation files of {dataset} there") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _parsed(path: Path, content: bytes) -> Any:
    if path.suffix == ".json":
        try:
            return parse_json(content, str(path))
        except ValueError as error:
            raise DataError(f"{error}: fetch it again") from error
    try:
        return read_plain_pickle(content)
    except RefusedClassError as error:
        raise DataError(
            f"{path} asks for the Python object {error}, which a list of references never needs: it was refused; "
            "fetch the original file"
        ) from error
    except UnpicklingError as error:
        raise DataError(f"{path} is damaged or cut short ({error}): fetch it again") from error


class _Instances:
    """COCO's annotations and images by their numbers; each is looked at when a reference points to it."""

    def __init__(self, content: Any, path: Path) -> None:
        self.path = path
        self._images = self._by_number(content, "images")
        self._annotations = self._by_number(content, "annotations")

    def _by_number(self, content: Any, name: str) -> dict[int, dict[str, Any]]:
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise DataError(
                f"{self.path} is not of the REFER format, it has no list of {name}: fetch the original file"
            )
        found = {}
        for place, each in enumerate(entries):
            try:
                found[whole(entry(each), "id")] = each
            except ValueError as error:
                reason = f"entry {place} of its {name} is damaged ({error})"
                raise DataError(f"{self.path} is not of the REFER format, {reason}: fetch the original file") from error
        return found

    def picture(self, number: int) -> ReferredImage:
        """An image, without its references."""
        if number not in self._images:
            raise ValueError(f"its image {number} is not in {self.path}")
        image = self._images[number]
        try:
            height, width = whole(image, "height"), whole(image, "width")
            check_sides(height, width)
            # of the name only the last part: an annotation file shall not lead out of the folder of images
            return ReferredImage(Path(text(image, "file_name")).name, height, width, ())
        except ValueError as error:
            raise ValueError(f"its image {number} is damaged in {self.path}: {error}") from error

    def object(self, number: int, owner: int, image: ReferredImage, *, crowds: bool) -> dict[str, Any] | None:
        """RLE of an annotation that belongs to the image of the number `owner`; None for a crowd, if unwanted."""
        if number not in self._annotations:
            raise ValueError(f"its annotation {number} is not in {INSTANCES}")
        annotation = self._annotations[number]
        if annotation.get("image_id") != owner:
            raise ValueError(f"its annotation {number} belongs to the image {shown(annotation.get('image_id'))}")
        if not crowds and annotation.get("iscrowd"):
            return None
        try:
            parts = segmentation_rles(given(annotation, "segmentation"), image.height, image.width)
        except ValueError as error:
            raise ValueError(f"its annotation {number} is damaged: {error}") from error
        return union_rle(parts, image.height, image.width)


def _of_split(references: Any, split: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Rows of the file with their references."""
    if not isinstance(references, list) or not all(isinstance(each, dict) and "split" in each for each in references):
        raise DataError(f"{path} is not of the REFER format, a list of references: fetch the original file")
    rows = [(row, reference) for row, reference in enumerate(references) if reference["split"] == split]
    if not rows:
        raise DataError(f"{path} holds no references of the split {split}: fetch the complete file")
    return rows


def _images(
    rows: Sequence[tuple[int, dict[str, Any]]],
    instances: _Instances,
    collection: Collection,
    path: Path,
    leave_out: Callable[[str, int], None] | None,
) -> tuple[ReferredImage, ...]:
    pictures: dict[int, ReferredImage] = {}
    found: dict[int, list[Reference]] = {}
    for row, reference in rows:
        try:
            number = whole(reference, "image_id")
            picture = pictures.get(number) or instances.picture(number)
            said = _reference(row, reference, instances, picture, collection.generalized)
        except ValueError as error:
            reason = f"reference {row} of {path} cannot be used: {error}"
            if leave_out is None:
                raise DataError(reason) from error
            sentences = reference.get("sentences")
            leave_out(reason, len(sentences) if isinstance(sentences, list) else 1)
            continue
        pictures[number] = picture
        found.setdefault(number, []).append(said)
    return tuple(replace(pictures[number], references=tuple(said)) for number, said in found.items())


def _reference(
    row: int, reference: Mapping[str, Any], instances: _Instances, image: ReferredImage, generalized: bool
) -> Reference:
    expressions = tuple(text(entry(sentence), "sent") for sentence in listed(reference, "sentences"))
    ids = _objects(reference, generalized)
    if ids is None:
        return Reference(row, expressions, None)
    owner = whole(reference, "image_id")
    drawn = [instances.object(number, owner, image, crowds=not generalized) for number in ids]
    objects = tuple(each for each in drawn if each is not None)  # without crowds, as in ReLA's loader
    return Reference(row, expressions, union_rle(objects, image.height, image.width), objects)


def _objects(reference: Mapping[str, Any], generalized: bool) -> list[int] | None:
    """Numbers of the annotations that a reference means, None if it means nothing."""
    if not generalized:
        return [whole(reference, "ann_id")]
    ids = given(reference, "ann_id")
    if not isinstance(ids, list) or not all(type(number) is int for number in ids):
        raise ValueError(f"its ann_id is no list of whole numbers but {kind(ids)}")
    nothing = ids in ([], [NO_TARGET])
    if bool(reference.get("no_target", nothing)) != nothing:
        raise ValueError(f"no_target is {shown(reference['no_target'])} but ann_id is {ids[:3]}")
    return None if nothing else ids

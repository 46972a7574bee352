"""Reading RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO from their original annotation files.

ROOT/refcoco/refs(unc).p        pickled list of references: ref_id, ann_id, image_id, split, sentences
ROOT/refcoco+/refs(unc).p       likewise
ROOT/refcocog/refs(umd).p       likewise, the split by UMD, whose images do not overlap
ROOT/grefcoco/grefs(unc).json   likewise as JSON; `ann_id` is a list, [-1] where nothing fits the expression
ROOT/*/instances.json           COCO's annotations and images that the references point to

Sources: the layout is that of github.com/lichengunc/refer and github.com/henghuiding/ReLA, read in their loaders.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perceptio.data.errors import DataError
from perceptio.data.rle import segmentation_rles, union_rle

INSTANCES = "instances.json"
NO_TARGET = -1  # stands for an annotation in gRefCOCO


@dataclass(frozen=True)
class Collection:
    """One of the datasets of referring expressions."""

    title: str
    references: str  # name of the file of references
    splits: tuple[str, ...]  # the first is for training
    generalized: bool = False  # an expression may fit several objects, or none


COLLECTIONS = {
    "refcoco": Collection("RefCOCO", "refs(unc).p", ("train", "val", "testA", "testB")),
    "refcoco+": Collection("RefCOCO+", "refs(unc).p", ("train", "val", "testA", "testB")),
    "refcocog": Collection("RefCOCOg UMD", "refs(umd).p", ("train", "val", "test")),
    "grefcoco": Collection("gRefCOCO", "grefs(unc).json", ("train", "val", "testA", "testB"), generalized=True),
}


@dataclass(frozen=True, eq=False)
class Reference:
    """What several people said of the same object or objects."""

    row: int  # place in the file of references, counted from 0
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


def read_refer(root: str | Path, dataset: str, split: str) -> ReferSplit:
    """Read one split and draw the targets of its references.

    Args:
        root: the folder that holds one folder for each dataset.
        dataset: a name in `COLLECTIONS`.
        split: one of the dataset's.

    Raises:
        DataError: if there is no such dataset or split, a file is missing or damaged, or a reference points to
            an image or annotation that `instances.json` does not hold.
    """
    if dataset not in COLLECTIONS:
        raise DataError(f"there is no dataset {dataset!r}: give one of {', '.join(COLLECTIONS)}")
    collection = COLLECTIONS[dataset]
    if split not in collection.splits:
        raise DataError(f"{dataset} has no split {split!r}: give one of {', '.join(collection.splits)}")
    paths = [Path(root) / dataset / name for name in (collection.references, INSTANCES)]
    contents = [_read(path, dataset) for path in paths]
    references = _parsed(paths[0], contents[0], _json if paths[0].suffix == ".json" else _plain_pickle)
    instances = _parsed(paths[1], contents[1], _json)
    hashes = {
        path.name: hashlib.sha256(content).hexdigest()[:16] for path, content in zip(paths, contents, strict=True)
    }
    images = _images(references, instances, split, collection, paths)
    return ReferSplit(dataset, split, images, hashes)


def _read(path: Path, dataset: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: put the original annotation files of {dataset} there") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _parsed(path: Path, content: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(content)
    except _RefusedClassError as error:
        raise DataError(
            f"{path} asks for the Python object {error}, which a list of references never needs: it was refused; "
            "fetch the original file"
        ) from error
    except Exception as error:  # what damaged bytes set off in pickle has no common type
        raise DataError(f"{path} is damaged or cut short ({error}): fetch it again") from error


def _json(content: bytes) -> Any:
    return json.loads(content)


class _RefusedClassError(pickle.UnpicklingError):
    """The message is the refused object."""


class _PlainUnpickler(pickle.Unpickler):
    """Lists, dicts, strings and numbers need no class; anything else could run code of the file's choice."""

    def find_class(self, module: str, name: str) -> Any:
        raise _RefusedClassError(f"{module}.{name}")


def _plain_pickle(content: bytes) -> Any:
    # Python 2 wrote these files: its byte strings must become text. The loaders of the field read them as ASCII, the
    # default, which UTF-8 contains.
    return _PlainUnpickler(io.BytesIO(content), encoding="utf-8").load()


def _images(
    references: Any, instances: Any, split: str, collection: Collection, paths: Sequence[Path]
) -> tuple[ReferredImage, ...]:
    try:
        rows = [(row, reference) for row, reference in enumerate(references) if reference["split"] == split]
        pictures = {
            # of the name only the last part: an annotation file shall not lead out of the folder of images
            picture["id"]: ReferredImage(Path(picture["file_name"]).name, picture["height"], picture["width"], ())
            for picture in instances["images"]
        }
        annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{paths[0]} or {paths[1]} is not of the REFER format ({type(error).__name__}: {error}): "
            "fetch the original files"
        ) from error
    if not rows:
        raise DataError(f"{paths[0]} holds no references of the split {split}: fetch the complete file")
    found: dict[int, list[Reference]] = {}
    for row, reference in rows:
        try:
            image_id = reference["image_id"]
            if image_id not in pictures:
                raise ValueError(f"its image {image_id} is not in {paths[1]}")
            picture = pictures[image_id]
            objects = _objects(reference, annotations, picture, collection.generalized)
            rle = None if objects is None else union_rle(objects, picture.height, picture.width)
            expressions = tuple(str(sentence["sent"]) for sentence in reference["sentences"])
            found.setdefault(image_id, []).append(Reference(row, expressions, rle, tuple(objects or ())))
        except KeyError as error:
            raise DataError(f"reference {row} of {paths[0]} cannot be used: {error} is missing") from error
        except Exception as error:  # pycocotools raises Exception itself
            raise DataError(f"reference {row} of {paths[0]} cannot be used: {error}") from error
    return tuple(replace(pictures[image_id], references=tuple(said)) for image_id, said in found.items())


def _objects(
    reference: dict[str, Any], annotations: dict[int, dict[str, Any]], image: ReferredImage, generalized: bool
) -> list[dict[str, Any]] | None:
    """RLE of each object that a reference means, None if it means nothing."""
    ids = reference["ann_id"] if generalized else [reference["ann_id"]]
    if generalized:
        nothing = ids in ([], [NO_TARGET])
        if bool(reference.get("no_target", nothing)) != nothing:
            raise ValueError(f"no_target is {reference['no_target']} but ann_id is {ids}")
        if nothing:
            return None
    objects = []
    for number in ids:
        if number not in annotations:
            raise ValueError(f"its annotation {number} is not in {INSTANCES}")
        annotation = annotations[number]
        if annotation["image_id"] != reference["image_id"]:
            raise ValueError(f"its annotation {number} belongs to the image {annotation['image_id']}")
        if generalized and annotation.get("iscrowd"):
            continue  # as in ReLA's loader
        try:
            parts = segmentation_rles(annotation["segmentation"], image.height, image.width)
        except ValueError as error:
            raise ValueError(f"its annotation {number} is damaged: {error}") from error
        objects.append(union_rle(parts, image.height, image.width))
    return objects

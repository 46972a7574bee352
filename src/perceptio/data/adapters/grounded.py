"""Captions whose phrases have masks, as GLaMM (2311.03356) publishes them -> samples of one turn.

FOLDER/GranDf/annotations/train/GranDf_HA_GCG_train.json         GranD-f, written by people; no val
                                OpenPsgGCG_{train,val}.json
                                RefCOCOg_GCG_{train,val}.json
                                flickr_mergedGT_GCG_{train,val}.json
FOLDER/GranDf_HA_images/train/*.jpg (or GranDf/GranDf_HA_images/train), coco_2017/train2017/*.jpg,
       coco_2014/train2014/*.jpg, flikcr_30k/train/*.jpg

Sources: the folders are those of GLaMM's docs/datasets.md, the fields those that its dataset/gcg_datasets/
GranDf_gcg_ds.py reads (github.com/mbzuai-oryx/groundingLMM).
Licences: none was found for the annotations; COCO's annotations are CC BY 4.0; pictures have those of SA-1B, COCO and
Flickr.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from perceptio.data import templates
from perceptio.data.adapters.source import Source, check_size, picture_size
from perceptio.data.errors import DataError
from perceptio.data.rle import json_rle, segmentation_rles, union_rle
from perceptio.data.schema import Sample, Turn

ANNOTATIONS = "GranDf/annotations/train"
LEAST_WORDS, LEAST_SIDE = 3, 32  # of Flickr30k's captions and pictures, as in GLaMM's loader


@dataclass(frozen=True)
class Grounding:
    """A phrase and where its object is."""

    phrase: str
    span: Sequence[int]  # first character of the phrase in the caption, and the one after its last; may be wrong
    segmentations: Sequence[Any]  # COCO's, of any kind; together they are one mask


@dataclass(frozen=True)
class Captioned:
    """One picture with its caption."""

    key: str
    file_name: str
    caption: str
    groundings: tuple[Grounding, ...]
    size: tuple[int, int] | None = None  # height and width, where the file says them


@dataclass(frozen=True)
class Collection:
    """One of the four data sets."""

    title: str
    file: str  # of annotations, by split
    pictures: tuple[str, ...]  # folders that may hold them
    read: Callable[[Any, Source], Iterator[Captioned]]


def grounded(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each caption, with one [SEG] for each phrase, whose mask is all that the phrase names.

    A phrase that does not stand where the file says is looked for in the whole caption; one that is not there, or
    inside another, is left out and counted.

    Raises:
        DataError: if the annotations are missing or damaged, pictures are missing, or one is of another size.
    """
    name = f"{ANNOTATIONS}/{collection.file.format(split=source.split)}"
    content = source.json(name)
    try:
        captions = list(collection.read(content, source))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration) as error:
        raise DataError(
            f"{source.folder / name} is not of the expected format ({type(error).__name__}: {error}): "
            "fetch the original file"
        ) from error
    places = {each.file_name: _places(source.folder, collection.pictures, each.file_name) for each in captions}
    there = source.find("pictures", places)
    rng = np.random.default_rng(0)
    for each in captions:
        path = there.get(each.file_name)
        if path is None:
            source.leave_out("captions whose picture is missing")
            continue
        if each.size is not None:
            check_size(path, *each.size)
        sample = _sample(each, path, collection, source, rng)
        if sample is not None:
            yield sample


def tag(caption: str, groundings: Sequence[Grounding], source: Source) -> tuple[str, list[list[Any]]]:
    """The caption with its phrases in <p>...</p>, and the segmentations of each, in order of mention."""
    found: dict[tuple[int, int], list[Any]] = {}
    for grounding in groundings:
        span = _locate(caption, grounding)
        if span is None:
            source.leave_out("phrases that are not in their caption")
        else:
            found.setdefault(span, []).extend(grounding.segmentations)
    text, end, kept = "", 0, []
    for (start, stop), segmentations in sorted(found.items(), key=lambda item: (item[0][0], -item[0][1])):
        if start < end:
            source.leave_out("phrases inside another")
            continue
        text += f"{caption[end:start]}<p>{caption[start:stop]}</p>"
        end = stop
        kept.append(segmentations)
    return text + caption[end:], kept


def _sample(
    each: Captioned, path: Path, collection: Collection, source: Source, rng: np.random.Generator
) -> Sample | None:
    height, width = each.size or picture_size(path)
    drawn = []
    for grounding in each.groundings:
        try:
            rles = [rle for part in grounding.segmentations for rle in segmentation_rles(part, height, width)]
        except Exception as error:  # pycocotools raises Exception itself
            raise DataError(f"caption {each.key} of {collection.title} cannot be used: {error}") from error
        if any(coco.area(rle) for rle in rles):
            drawn.append(replace(grounding, segmentations=rles))
    source.leave_out("phrases whose mask is empty", len(each.groundings) - len(drawn))
    text, segmentations = tag(each.caption, drawn, source)
    if not segmentations:
        source.leave_out("captions without a phrase")
        return None
    return Sample(
        key=f"{collection.title}/{source.split}/{each.key}",
        image=source.relative(path),
        turns=(Turn(templates.caption(rng), text, "caption", masks=tuple(range(len(segmentations)))),),
        masks=tuple(json_rle(union_rle(rles, height, width)) for rles in segmentations),
        source=collection.title,
        licence="annotations: none stated; pictures: SA-1B's, COCO's or Flickr's terms",
    )


def _locate(caption: str, grounding: Grounding) -> tuple[int, int] | None:
    phrase = grounding.phrase.lower()
    start, stop = (int(place) for place in grounding.span)
    if not phrase:
        return (start, stop) if 0 <= start < stop <= len(caption) else None
    if start < 0 or caption[start:stop].lower() != phrase:
        start = caption.lower().find(phrase)
        stop = start + len(phrase)
    return (start, stop) if start >= 0 else None


def _places(folder: Path, folders: Sequence[str], name: str) -> list[Path]:
    """Where a picture may lie; its name may begin with its folder, but must not lead out of ours."""
    last = Path(name).name
    return [folder / place / file for place in folders for file in (last, last.rpartition("_")[2])]


def _grandf(content: Any, source: Source) -> Iterator[Captioned]:
    """GranD-f and OpenPSG: a list of {file_name, height, width, image_id, caption, groundings: {phrase: ...}}."""
    for each in content:
        groundings = tuple(
            Grounding(phrase, found["token_positives"], found["rle_masks"])
            for phrase, found in each["groundings"].items()
            if found is not None
        )
        source.leave_out("phrases without masks", len(each["groundings"]) - len(groundings))
        yield Captioned(
            str(each["image_id"]),
            each["file_name"],
            each["caption"].strip('"').strip(),
            groundings,
            (int(each["height"]), int(each["width"])),
        )


def _refcocog(content: Any, source: Source) -> Iterator[Captioned]:
    """A list of {id: {img_file_name, caption, refs: [{sentence, segmentation}]}}; phrases have no places."""
    for each in content:
        (key, value), *_ = each.items()
        groundings = tuple(Grounding(ref["sentence"], (-1, -1), [ref["segmentation"]]) for ref in value["refs"])
        yield Captioned(str(key), value["img_file_name"], value["caption"].strip('"').strip(), groundings)


def _flickr(content: Any, source: Source) -> Iterator[Captioned]:
    """COCO's format: images with a caption, annotations with tokens_positive (spans) and sam_mask (RLE)."""
    annotations: dict[Any, list[Any]] = {}
    for annotation in content["annotations"]:
        annotations.setdefault(annotation["image_id"], []).append(annotation)
    for image in content["images"]:
        size = int(image["height"]), int(image["width"])
        if len(image["caption"].split(" ")) < LEAST_WORDS or min(size) < LEAST_SIDE:
            source.leave_out(f"captions of fewer than {LEAST_WORDS} words, or of tiny pictures")
            continue
        groundings = []
        for annotation in annotations.get(image["id"], []):
            if annotation.get("ignore") or annotation.get("area", 1) <= 0:
                source.leave_out("phrases that the file says to ignore")
                continue
            groundings.append(Grounding("", annotation["tokens_positive"][0], [annotation["sam_mask"]]))
        yield Captioned(str(image["id"]), image["file_name"], image["caption"], tuple(groundings), size)


COLLECTIONS = {
    "grandf": Collection(
        "GranD-f",
        "GranDf_HA_GCG_{split}.json",
        ("GranDf_HA_images/train", "GranDf/GranDf_HA_images/train"),
        _grandf,
    ),
    "openpsg-gcg": Collection(
        "OpenPSG-GCG", "OpenPsgGCG_{split}.json", ("coco_2017/train2017", "coco_2017/val2017"), _grandf
    ),
    "refcocog-gcg": Collection("RefCOCOg-GCG", "RefCOCOg_GCG_{split}.json", ("coco_2014/train2014",), _refcocog),
    "flickr30k-gcg": Collection("Flickr30k-GCG", "flickr_mergedGT_GCG_{split}.json", ("flikcr_30k/train",), _flickr),
}
READERS = {name: partial(grounded, collection) for name, collection in COLLECTIONS.items()}

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

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from perceptio.data import templates
from perceptio.data.adapters.source import Source, check_size, picture_size
from perceptio.data.entries import entry, given, listed, name_of, text, whole
from perceptio.data.errors import DataError
from perceptio.data.fields import LARGEST, kind
from perceptio.data.rle import json_rle, segmentation_rles, union_rle
from perceptio.data.schema import Sample, Turn

ANNOTATIONS = "GranDf/annotations/train"
LEAST_WORDS, LEAST_SIDE = 3, 32  # of Flickr30k's captions and pictures, as in GLaMM's loader


@dataclass(frozen=True)
class Grounding:
    """A phrase and where its object is."""

    phrase: str
    span: tuple[int, int]  # first character of the phrase in the caption, and the one after its last; may be wrong
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
    read: Callable[[Any, Source], Captioned | None]  # an entry; None: counted as left out
    entries: Callable[[Any], list[Any]]  # of the file's content


def grounded(collection: Collection, source: Source) -> Iterator[Sample]:
    """A sample for each caption, with one [SEG] for each phrase, whose mask is all that the phrase names.

    A phrase that does not stand where the file says is looked for in the whole caption; one that is not there, or
    inside another, is left out and counted.

    Captions that are damaged, or whose picture cannot be used or is of another size, are left out and counted too.

    Raises:
        DataError: if the annotations are missing or damaged as a whole, or pictures are missing.
    """
    name = f"{ANNOTATIONS}/{collection.file.format(split=source.split)}"
    captions = list(_captions(source.json(name), collection, source, source.folder / name))
    places = {each.file_name: _places(source.folder, collection.pictures, each.file_name) for each in captions}
    there = source.find("pictures", places) if captions else {}
    rng = np.random.default_rng(0)
    for each in captions:
        path = there.get(each.file_name)
        if path is None:
            source.leave_out("captions whose picture is missing")
            continue
        try:
            size = each.size or picture_size(path)
            if each.size is not None:
                check_size(path, *size)
        except DataError as error:
            source.leave_out("captions whose picture cannot be used", where=str(error))
            continue
        try:
            drawn = [replace(part, segmentations=_drawn(part, size)) for part in each.groundings]
        except ValueError as error:
            reason = f"caption {each.key} of {collection.title} cannot be used: {error}"
            source.leave_out("captions with damaged masks", where=reason)
            continue
        sample = _sample(replace(each, groundings=tuple(drawn)), size, path, collection, source, rng)
        if sample is not None:
            yield sample


def _captions(content: Any, collection: Collection, source: Source, path: Path) -> Iterator[Captioned]:
    """The captions of a file; those that are damaged are left out and counted."""
    try:
        entries = collection.entries(content)
    except ValueError as error:
        raise DataError(f"{path} is not of the expected format: {error}; fetch the original file") from error
    for number, each in enumerate(entries):
        try:
            caption = collection.read(each, source)
        except ValueError as error:
            source.leave_out("captions that are damaged", where=f"entry {number} of {path}: {error}")
            continue
        if caption is not None:
            yield caption


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


def _drawn(grounding: Grounding, size: tuple[int, int]) -> list[dict[str, Any]]:
    """One RLE for each part of a phrase's mask."""
    return [rle for part in grounding.segmentations for rle in segmentation_rles(part, *size)]


def _sample(
    each: Captioned,
    size: tuple[int, int],
    path: Path,
    collection: Collection,
    source: Source,
    rng: np.random.Generator,
) -> Sample | None:
    """The sample of a caption whose masks are run-length codes."""
    there = [part for part in each.groundings if any(coco.area(rle) for rle in part.segmentations)]
    source.leave_out("phrases whose mask is empty", len(each.groundings) - len(there))
    answer, segmentations = tag(each.caption, there, source)
    if not segmentations:
        source.leave_out("captions without a phrase")
        return None
    return Sample(
        key=f"{collection.title}/{source.split}/{each.key}",
        image=source.relative(path),
        turns=(Turn(templates.caption(rng), answer, "caption", masks=tuple(range(len(segmentations)))),),
        masks=tuple(json_rle(union_rle(rles, *size)) for rles in segmentations),
        source=collection.title,
        licence="annotations: none stated; pictures: SA-1B's, COCO's or Flickr's terms",
    )


def _locate(caption: str, grounding: Grounding) -> tuple[int, int] | None:
    phrase = grounding.phrase.lower()
    start, stop = grounding.span
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


def _listed(content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError(f"it holds {kind(content)}, not a list")
    return content


def _grandf(content: Any, source: Source) -> Captioned:
    """GranD-f and OpenPSG: a list of {file_name, height, width, image_id, caption, groundings: {phrase: ...}}."""
    fields = entry(content)
    phrases = entry(given(fields, "groundings"))
    groundings = tuple(
        Grounding(phrase, _span(given(entry(found), "token_positives")), listed(found, "rle_masks"))
        for phrase, found in phrases.items()
        if found is not None
    )
    caption = Captioned(
        name_of(fields, "image_id"),
        text(fields, "file_name"),
        text(fields, "caption").strip('"').strip(),
        groundings,
        (whole(fields, "height"), whole(fields, "width")),
    )
    source.leave_out("phrases without masks", len(phrases) - len(groundings))
    return caption


def _refcocog(content: Any, source: Source) -> Captioned:
    """A list of {id: {img_file_name, caption, refs: [{sentence, segmentation}]}}; phrases have no places."""
    if not entry(content):
        raise ValueError("it is empty")
    key, value = next(iter(content.items()))
    fields = entry(value)
    groundings = tuple(
        Grounding(text(entry(ref), "sentence"), (-1, -1), [given(ref, "segmentation")])
        for ref in listed(fields, "refs")
    )
    return Captioned(key, text(fields, "img_file_name"), text(fields, "caption").strip('"').strip(), groundings)


def _flickr(content: Any, source: Source) -> Captioned | None:
    """COCO's format: images with a caption, annotations with tokens_positive (spans) and sam_mask (RLE)."""
    image, annotations = content
    fields = entry(image)
    caption = text(fields, "caption")
    height, width = (_side(fields, name) for name in ("height", "width"))
    if len(caption.split(" ")) < LEAST_WORDS or min(height, width) < LEAST_SIDE:
        source.leave_out(f"captions of fewer than {LEAST_WORDS} words, or of tiny pictures")
        return None
    groundings, ignored = [], 0
    for annotation in annotations:
        area = annotation.get("area", 1)
        if annotation.get("ignore") or not isinstance(area, (int, float)) or area <= 0:
            ignored += 1
            continue
        spans = listed(annotation, "tokens_positive")
        if not spans:
            raise ValueError("its tokens_positive is empty")
        groundings.append(Grounding("", _span(spans[0]), [given(annotation, "sam_mask")]))
    captioned = Captioned(name_of(fields, "id"), text(fields, "file_name"), caption, tuple(groundings), (height, width))
    source.leave_out("phrases that the file says to ignore", ignored)
    return captioned


def _flickr_entries(content: Any) -> list[Any]:
    """Each image with its annotations."""
    annotations: dict[str, list[Any]] = {}
    for number, annotation in enumerate(listed(entry(content), "annotations")):
        try:
            annotations.setdefault(name_of(entry(annotation), "image_id"), []).append(annotation)
        except ValueError as error:
            raise ValueError(f"annotation {number} is damaged ({error})") from error
    images = listed(content, "images")
    return [(image, annotations.get(str(image.get("id")), []) if isinstance(image, dict) else []) for image in images]


def _side(fields: Mapping[str, Any], name: str) -> int:
    """A side of a picture, which the file writes as text."""
    value = given(fields, name)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else whole(fields, name)


def _span(value: Any) -> tuple[int, int]:
    places = value if isinstance(value, list) else []
    if len(places) != 2 or not all(type(place) in (int, float) and abs(place) <= LARGEST for place in places):
        raise ValueError("a phrase's place is no pair of numbers")
    return int(places[0]), int(places[1])


COLLECTIONS = {
    "grandf": Collection(
        "GranD-f",
        "GranDf_HA_GCG_{split}.json",
        ("GranDf_HA_images/train", "GranDf/GranDf_HA_images/train"),
        _grandf,
        _listed,
    ),
    "openpsg-gcg": Collection(
        "OpenPSG-GCG", "OpenPsgGCG_{split}.json", ("coco_2017/train2017", "coco_2017/val2017"), _grandf, _listed
    ),
    "refcocog-gcg": Collection(
        "RefCOCOg-GCG", "RefCOCOg_GCG_{split}.json", ("coco_2014/train2014",), _refcocog, _listed
    ),
    "flickr30k-gcg": Collection(
        "Flickr30k-GCG", "flickr_mergedGT_GCG_{split}.json", ("flikcr_30k/train",), _flickr, _flickr_entries
    ),
}
READERS = {name: partial(grounded, collection) for name, collection in COLLECTIONS.items()}

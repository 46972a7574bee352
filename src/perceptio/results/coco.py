"""Masks as COCO's JSON for instance segmentation."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from perceptio.files import replacing
from perceptio.results.annotations import Annotated, class_of, relative
from perceptio.results.mask import Mask


def write_coco(path: str | os.PathLike[str], pictures: Iterable[Annotated], *, rle: bool = False) -> int:
    """Write `info`, `licenses`, `images`, `annotations` and `categories`; returns how many images.

    A category is a phrase ("the red cube"; "object" where a mask has none), in the order of first mention. A mask that
    covers no pixel gets no annotation. `score`, which COCO does not have, stands beside each annotation's own fields.

    Args:
        path: of the file; `file_name` is relative to its folder.
        pictures: each of which becomes an image, with masks or without.
        rle: segmentations as compressed run lengths, which pycocotools reads; polygons by default, which all do.

    Raises:
        OutputError: if the file cannot be written.
    """
    home = Path(path).parent
    images: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    count = 0
    with replacing(path) as beside, beside.open("w", encoding="ascii") as file:
        info = {"description": "masks by Perceptio", "version": "1.0"}
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"annotations": [')
        for picture in pictures:  # written as they come: the masks of a large folder need not fit into the memory
            name = relative(picture.file, home)
            images.append({"id": len(images) + 1, "file_name": name, "width": picture.width, "height": picture.height})
            for mask in picture.masks:
                if mask.bbox is None:
                    continue
                category = categories.setdefault(class_of(mask), len(categories) + 1)
                count += 1
                entry = _annotation(mask, count, len(images), category, rle)
                file.write(("\n" if count == 1 else ",\n") + json.dumps(entry, allow_nan=False))
        named = [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]
        file.write(f'],\n"images": {json.dumps(images)},\n"categories": {json.dumps(named)}}}\n')
    return len(images)


def _annotation(mask: Mask, number: int, image: int, category: int, rle: bool) -> dict[str, Any]:
    assert mask.bbox is not None
    left, top, right, bottom = mask.bbox
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": mask.rle if rle else mask.polygons,
        "area": int(mask.array.sum()),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
        "score": float(mask.score),
    }

"""InternVL's image processor: read from a folder, or made for tiles of a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import GotOcr2ImageProcessorPil

from perceptio.pretrained.fields import FLAG, Fields, check, check_fit, read_fields, whole
from perceptio.pretrained.pictures import PICTURE_FIELDS
from perceptio.segmentation.preprocess import IMAGE_MEAN, IMAGE_STD

_TILES = whole(1, 100)
_FIELDS: Fields = {**PICTURE_FIELDS, "crop_to_patches": FLAG, "min_patches": _TILES, "max_patches": _TILES}


def read_image_processor(stored: Mapping[str, Any], where: str = "", **changed: Any) -> GotOcr2ImageProcessorPil:
    """The image processor of a file.

    Args:
        stored: as it stands in the file.
        where: the section of the file, for messages.
        changed: fields to replace.

    Raises:
        ValueError: if a field is missing or holds what it may not.
    """
    fields = {**read_fields(stored, _FIELDS, where), **changed}
    least, most = fields.get("min_patches", 1), fields.get("max_patches", 12)
    check_fit(where, {"min_patches must be at most max_patches": least <= most})
    return GotOcr2ImageProcessorPil(**fields)


def make_image_processor(side: int, tiles: int) -> GotOcr2ImageProcessorPil:
    """One for tiles of `side` px; in InternVL's original format it is code, the same for all."""
    return GotOcr2ImageProcessorPil(
        size={"height": side, "width": side},
        image_mean=list(IMAGE_MEAN),
        image_std=list(IMAGE_STD),
        do_convert_rgb=True,
        **tiling(tiles),
    )


def tiling(tiles: int) -> dict[str, Any]:
    """The fields that say how many tiles an image has at the most.

    Raises:
        ValueError: if it has none.
    """
    check("tiles", tiles, _TILES)
    return {"crop_to_patches": tiles > 1, "min_patches": 1, "max_patches": tiles}

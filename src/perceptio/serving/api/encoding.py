"""Masks and depth maps as the objects that go over the wire. Slow for large pictures: call it in a thread."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np

from perceptio.results import DepthMap, Mask
from perceptio.serving.api.errors import ApiError
from perceptio.serving.api.schemas.perception import DepthForm, DepthObject, MaskForm, MaskObject, MaskPart, Perception
from perceptio.serving.api.schemas.usage import CompletionTokensDetails, Usage
from perceptio.serving.engine import Finished, StoredPicture

MOST_NUMBERS = 1_000_000  # of a depth map in JSON


def check_depth_form(perception: Perception, picture: StoredPicture, within: str = "") -> None:
    """Refuse to write a large picture's depth map in numbers.

    Args:
        perception: says in which form.
        picture: whose map it is.
        within: the field of the request that holds `perception`, with a dot; for errors.

    Raises:
        ApiError: 400.
    """
    width, height = picture.size
    if perception.depth_format == "json" and perception.depth != "off" and width * height > MOST_NUMBERS:
        raise ApiError(
            400,
            f"depth_format json is for pictures of at most {MOST_NUMBERS} pixels, and this one has {width * height}: "
            "ask for png16",
            "invalid_value",
            f"{within}depth_format",
        )


def mask_objects(masks: Sequence[Mask], form: MaskForm) -> list[MaskObject]:
    """Masks in the form that was asked for."""
    return [_mask_object(mask, form) for mask in masks]


def mask_parts(masks: Sequence[Mask], form: MaskForm, first: int = 0) -> list[MaskPart]:
    """Masks of a stream, in the form that was asked for, counted from `first`."""
    return [
        MaskPart(index=first + place, **mask.model_dump(exclude_unset=True))
        for place, mask in enumerate(mask_objects(masks, form))
    ]


def depth_object(depth: DepthMap, form: DepthForm) -> DepthObject:
    """A depth map in the form that was asked for, 1 = nearest."""
    data: str | list[list[float]]
    if form == "json":
        data = np.round(depth.unit.astype(np.float64), 4).tolist()
    else:
        data = b64encode(depth.png16() if form == "png16" else depth.png8()).decode()
    return DepthObject(format=form, data=data, codes=depth.codes.ravel().tolist(), grid=list(depth.codes.shape))


def usage_object(finished: Finished) -> Usage:
    """The tokens of an answer."""
    usage = finished.usage
    return Usage(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.prompt_tokens + usage.completion_tokens,
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=usage.perception_tokens, text_tokens=usage.completion_tokens - usage.perception_tokens
        ),
    )


def _mask_object(mask: Mask, form: MaskForm) -> MaskObject:
    box = None if mask.bbox is None else [int(side) for side in mask.bbox]
    found: dict[str, Any]
    match form:
        case "rle":
            found = {"rle": mask.rle}
        case "polygon":
            found = {"polygons": mask.polygons}
        case "png":
            found = {"png": b64encode(mask.png).decode()}
    return MaskObject(label=mask.phrase, score=round(float(mask.score), 4), bbox=box, **found)

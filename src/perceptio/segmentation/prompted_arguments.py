"""Clicks and boxes as a user gives them: arrays, tensors or lists, checked against the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perceptio.pretrained.fields import shown
from perceptio.segmentation.prompted_objects import NO_CLICK, PromptedObjects

_NESTED = 3  # levels of an argument at most: objects, clicks, x and y


def read_objects(points: Any, labels: Any, boxes: Any, size: tuple[int, int]) -> PromptedObjects:
    """Clicks and boxes on a picture of the size (width, height), px.

    Args:
        points: (P, 2), the clicks on one object, x before y; or a list of such, or (O, P, 2), for O objects, which may
            have different numbers of clicks; or None.
        labels: in the shape of `points` without its last axis: 1 for a click on the object, 0 for one beside it; None
            where all are on it.
        boxes: (4,) or (O, 4), left, top, right, bottom; or None. An object may have both clicks and a box.
        size: of the picture.

    Raises:
        TypeError: if an argument holds something other than numbers; it is named.
        ValueError: if there is neither a click nor a box for an object, shapes or numbers of objects do not fit, a
            label is neither 1 nor 0, a coordinate lies outside the picture, or a box is empty.
    """
    if points is None and boxes is None:
        raise ValueError("there is nothing to segment: give points, boxes or both")
    if points is None and labels is not None:
        raise ValueError("labels say which points lie on the object, but there are no points: give them too")
    corners = None if boxes is None else _read_boxes(boxes, size)
    clicks = [np.empty((0, 2))] * len(corners or ()) if points is None else _read_points(points, size)
    if corners is not None and len(corners) != len(clicks):
        raise ValueError(f"points speak of {len(clicks)} objects but boxes of {len(corners)}: give both for each")
    bare = next((number for number, each in enumerate(clicks, 1) if not len(each)), None)
    if corners is None and (bare is not None or not clicks):
        raise ValueError(f"object {bare or 1} has neither a point nor a box: give it one of them")
    inside = [np.ones(len(each)) for each in clicks] if labels is None else _read_labels(labels, clicks)
    most = max(map(len, clicks))
    padded = np.zeros((len(clicks), most, 2))
    kinds = np.full((len(clicks), most), NO_CLICK)
    for row, (each, told) in enumerate(zip(clicks, inside, strict=True)):
        padded[row, : len(each)], kinds[row, : len(each)] = each, told
    return PromptedObjects(
        torch.from_numpy(padded).float(),
        torch.from_numpy(kinds).long(),
        None if corners is None else torch.from_numpy(np.stack(corners)).float(),
    )


def _read_points(points: Any, size: tuple[int, int]) -> list[NDArray[Any]]:
    """The clicks (P, 2) on each object."""
    plain = _plain("points", points)
    levels = _levels(plain)
    if levels not in (2, 3):
        raise ValueError(f"points must be [[x, y], ...] for one object, or a list of such, not {shown(points)}")
    objects = []
    for number, clicks in enumerate([plain] if levels == 2 else plain, 1):
        name = "points" if levels == 2 else f"points of object {number}"
        values = _numbers(name, clicks)
        values = values.reshape(-1, 2) if not values.size else values
        if values.ndim != 2 or values.shape[1] != 2:
            raise ValueError(f"{name} must be [[x, y], ...], not of the shape {values.shape}")
        _check_inside(name, values, size)
        objects.append(values)
    return objects


def _read_labels(labels: Any, clicks: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The labels (P,) of the clicks on each object."""
    plain = _plain("labels", labels)
    levels = _levels(plain)
    objects = [plain] if levels == 1 and len(clicks) == 1 else plain
    if levels not in (1, 2) or len(objects) != len(clicks):
        raise ValueError(f"labels must be one for each point, in the same lists, not {shown(labels)}")
    found = []
    for number, (each, told) in enumerate(zip(clicks, objects, strict=True), 1):
        values = _numbers("labels", told, kinds="biuf")
        if values.shape != (len(each),):
            raise ValueError(f"object {number} has {len(each)} points but labels of the shape {values.shape}")
        wrong = values[(values != 0) & (values != 1)]
        if len(wrong):
            raise ValueError(f"labels must be 1 for a point on the object or 0 for one beside it, not {wrong[0]:g}")
        found.append(values)
    return found


def _read_boxes(boxes: Any, size: tuple[int, int]) -> list[NDArray[Any]]:
    """The box (4,) of each object."""
    values = _numbers("boxes", _plain("boxes", boxes))
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != 4 or not len(values):
        raise ValueError(f"boxes must be [x1, y1, x2, y2] or a list of such, not of the shape {values.shape}")
    _check_inside("boxes", values, size)
    for box in values:
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f"the box {box.tolist()} is empty: it must be [x1, y1, x2, y2], x1 < x2 and y1 < y2")
    return list(values)


def _check_inside(name: str, values: NDArray[Any], size: tuple[int, int]) -> None:
    """Complain of a coordinate, x and y by turns in each row, that no place in the picture has."""
    limits = np.resize(np.array(size), values.shape[1])
    outside = ~((values >= 0) & (values <= limits))  # NaN is neither
    if outside.any():
        row, column = np.argwhere(outside)[0]
        raise ValueError(
            f"{name}: {'xy'[column % 2]} = {values[row, column]:g} in {values[row].tolist()} lies outside the picture "
            f"of {size[0]} x {size[1]} pixels"
        )


def _plain(name: str, value: Any, level: int = 0) -> Any:
    """A value with arrays in place of the tensors in it."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if isinstance(value, (list, tuple)) and level < _NESTED:
        return [_plain(name, each, level + 1) for each in value]
    if level == 0 and not isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be a list, an array or a tensor of numbers, not {shown(value)}")
    return value


def _levels(value: Any) -> int:
    """How deep lists and arrays are nested in a value: 2 for [[x, y]]."""
    if isinstance(value, np.ndarray):
        return value.ndim
    return 1 + max(map(_levels, value), default=0) if isinstance(value, (list, tuple)) else 0


def _numbers(name: str, value: Any, kinds: str = "iuf") -> NDArray[np.float64]:
    """An array of numbers."""
    try:
        values = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be lists of equal length, not {shown(value)}") from error
    if values.size and values.dtype.kind not in kinds:
        raise TypeError(f"{name} must hold numbers, not {shown(value)}")
    return values.astype(np.float64)

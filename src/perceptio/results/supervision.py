"""Masks for Roboflow's `supervision`, whose annotators, filters and trackers take `Detections`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptio.results.mask import UNNAMED, Mask

if TYPE_CHECKING:
    from supervision import Detections


def detections(masks: Sequence[Mask]) -> Detections:
    """`supervision.Detections` of the masks that cover a pixel, in their order; see `fields`.

    Raises:
        ModuleNotFoundError: if supervision is not installed.
    """
    from supervision import Detections

    found = fields(masks)
    return Detections(**found) if len(found["xyxy"]) else Detections.empty()


def fields(masks: Sequence[Mask]) -> dict[str, Any]:
    """The arguments of `Detections`.

    Returns:
        xyxy: (N, 4) float32 px, right and bottom exclusive.
        mask: (N, H, W) bool.
        confidence: (N,) float32, the scores.
        class_id: (N,) int64, one for each phrase, in order of mention.
        data: class_name: (N,) text, the phrases; "object" where there is none.
    """
    shown = [(mask, mask.bbox) for mask in masks if mask.bbox is not None]
    names = [mask.phrase or UNNAMED for mask, _ in shown]
    classes = {phrase: number for number, phrase in enumerate(dict.fromkeys(names))}
    return {
        "xyxy": np.array([box for _, box in shown], np.float32).reshape(-1, 4),
        "mask": np.stack([mask.array for mask, _ in shown]) if shown else np.zeros((0, 0, 0), bool),
        "confidence": np.array([mask.score for mask, _ in shown], np.float32),
        "class_id": np.array([classes[phrase] for phrase in names], np.int64),
        "data": {"class_name": np.array(names, dtype=str)},
    }

"""What a renderer gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RenderedScene:
    """One picture of a scene with its truth."""

    rgb: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32, view-space z in metres (along the optical axis), finite everywhere
    ids: np.ndarray  # (H, W) uint8, 0 = no object
    visible: tuple[float, ...]  # per object, seen pixels / pixels of its whole silhouette, also outside the frame

"""A relative depth map in space: where each pixel lies in front of a camera, as far as it can be known.

Relative inverse depth has neither scale nor shift. Which distances its ends stand for has to be said or assumed, and
so has the camera's field of view: the shape is right only up to an unknown affine change of inverse depth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

GUESSED_FOV = 60.0
"""Degrees over the longer side, where nobody says: between a phone's main camera (70) and a 50 mm lens (40)."""

NEAR, FAR = 1.0, 4.0
"""Distances of the values 1 and -1, where nobody says: a room or a table-top seen at an angle spans about so much."""


@dataclass(frozen=True)
class Space:
    """How a depth map is laid out in front of a camera."""

    fov_degrees: float | None = None  # field of view over the picture's longer side; None: `GUESSED_FOV`
    near: float = NEAR  # distance of the value 1 along the camera's axis
    far: float = FAR  # of the value -1, in the same unit

    def __post_init__(self) -> None:
        if self.fov_degrees is not None and not 1 <= self.fov_degrees <= 170:
            raise ValueError(f"fov_degrees must be 1 to 170 degrees, not {self.fov_degrees!r}")
        if not 0 < self.near < self.far < math.inf:
            raise ValueError(f"near and far must be distances, 0 < near < far, not {self.near!r} and {self.far!r}")

    @property
    def guessed(self) -> bool:
        """Whether nobody said the field of view."""
        return self.fov_degrees is None

    @property
    def fov(self) -> float:
        """Degrees over the longer side."""
        return GUESSED_FOV if self.fov_degrees is None else self.fov_degrees

    def distances(self, unit: np.ndarray) -> np.ndarray:
        """Distance along the axis: 1 / (u / near + (1 - u) / far), for u in 0..1, 1 the nearest."""
        return 1 / (unit / self.near + (1 - unit) / self.far)

    def points(self, unit_HW: np.ndarray) -> np.ndarray:
        """(H, W, 3) float32: each pixel's centre in space, x to the right, y up, the camera at 0 looking along -z."""
        height, width = unit_HW.shape
        focal = max(height, width) / 2 / math.tan(math.radians(self.fov) / 2)
        right = (np.arange(width) + 0.5 - width / 2) / focal
        up = (height / 2 - np.arange(height) - 0.5) / focal
        away_HW = self.distances(unit_HW.astype(np.float64))
        points = np.stack([right[None] * away_HW, up[:, None] * away_HW, -away_HW], axis=-1)
        return points.astype(np.float32)

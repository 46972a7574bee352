"""Scores of masks and answers, accumulated one sample at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class MaskScore:
    """cIoU and gIoU of referring expressions; a missing mask is an empty mask, never a skipped sample."""

    intersection: int = 0
    union: int = 0
    ious: float = 0.0
    count: int = 0

    def add(self, intersection: int, union: int) -> None:
        """Count one expression: pixels in both the predicted and the target mask, and in either."""
        self.intersection += intersection
        self.union += union
        self.ious += intersection / union if union else 1.0
        self.count += 1

    @property
    def ciou(self) -> float:
        """Sum of intersections over sum of unions (LISA, 2308.00692, section 4.1); NaN without samples."""
        return self.intersection / self.union if self.union else float("nan")

    @property
    def giou(self) -> float:
        """Mean IoU of the expressions; NaN without samples."""
        return self.ious / self.count if self.count else float("nan")


@dataclass
class Share:
    """How many of how many."""

    right: int = 0
    count: int = 0

    def add(self, right: bool) -> None:
        """Count one sample."""
        self.right += bool(right)
        self.count += 1

    @property
    def value(self) -> float:
        """The share, NaN without samples."""
        return self.right / self.count if self.count else float("nan")

    @property
    def error(self) -> float:
        """Standard error of the share, sqrt(p (1 - p) / n); NaN without samples."""
        return math.sqrt(self.value * (1 - self.value) / self.count) if self.count else float("nan")


@dataclass
class Mean:
    """A running mean."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Count one value."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        """The mean, NaN without values."""
        return self.total / self.count if self.count else float("nan")

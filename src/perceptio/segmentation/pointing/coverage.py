"""Which cells of the picture the masks of an answer cover, and which each `[SEG]` may still point at.

One phrase may name several objects ("<p>all cubes</p>"), each with a `[SEG]` of its own. To find the third of them is
hard for a state, to find all of them is not: every one may point at any that no mask covers yet. So with objects that a
list tells apart by number alone ("<p>cube 1</p>, <p>cube 2</p>"). Where each object has a phrase of its own, so has
each `[SEG]`. [ours], measured in docs/experiments.md.

Shapes: M masks of (H, W), V visual tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Coverage:
    """What each `[SEG]` of a batch finds when its turn comes: by cell, the share that is covered, (M, V) float32."""

    own: Tensor  # by its own mask
    covered: Tensor  # by the masks before it in its answer
    others: Tensor  # by those after it that are interchangeable with it: it might as well have pointed there
    following: Tensor  # by what the next may point at; nothing after the last

    def of(self, which: Tensor) -> Coverage:
        """That of some masks: (M,) bool, or indices."""
        return Coverage(self.own[which], self.covered[which], self.others[which], self.following[which])

    @property
    def wanted(self) -> Tensor:
        """Covered by what each may point at."""
        return (self.own + self.others).clamp(max=1)

    @property
    def covered_after(self) -> Tensor:
        """Covered once its own mask is there, too."""
        return (self.own + self.covered).clamp(max=1)


def coverage(masks: Tensor, cells: int, answers: Tensor, interchangeable: Tensor) -> Coverage:
    """What is covered and what is left at each `[SEG]`.

    Args:
        masks: (M, S, S) bool, those of an answer in the order of their `[SEG]`.
        cells: V, a square grid in raster order.
        answers: (M,) int64, the answer of each.
        interchangeable: (M,) int64, equal within an answer for objects that no word tells apart.
    """
    own = cell_cover(masks, cells)
    order = torch.arange(len(own), device=own.device)
    together = answers[:, None] == answers
    before, after = (together & (sign * order > sign * order[:, None]) for sign in (-1, 1))
    follows = torch.cat([interchangeable[1:], interchangeable[-1:]])  # of the next; nothing is after an answer's last
    return Coverage(
        own,
        covered=_union(before, own),
        others=_union(after & (interchangeable == interchangeable[:, None]), own),
        following=_union(after & (interchangeable == follows[:, None]), own),
    )


def _union(which: Tensor, covers: Tensor) -> Tensor:
    """What masks cover together, (M, V): those of each row of (M, M) bool."""
    with torch.autocast(covers.device.type, enabled=False):  # bfloat16 would round the shares
        return (which.to(covers.dtype) @ covers).clamp(max=1)


def cell_cover(masks: Tensor, cells: int) -> Tensor:
    """The share of each of V cells, a square grid in raster order, that each mask (M, H, W) bool covers.

    Returns:
        (M, V) float32.
    """
    grid = round(cells**0.5)
    assert grid**2 == cells, "visual tokens form a square grid"
    if not len(masks):
        return torch.zeros(0, cells, device=masks.device)
    return F.adaptive_avg_pool2d(masks[:, None].float(), grid).flatten(1)


def as_shares(covers: Tensor) -> Tensor:
    """Covers (M, V) as shares of the whole: each row sums to 1, that of an empty mask is 0."""
    return covers / covers.sum(1, keepdim=True).clamp(min=1e-9)

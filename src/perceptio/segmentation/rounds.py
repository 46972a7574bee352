"""How the `[SEG]` tokens of one answer share a picture: what is marked already, and what is left to mark.

One phrase may name several objects ("<p>all cubes</p>"), each with a `[SEG]` of its own. To find the third of them is
hard for a state, to find all of them is not: every one may point at any that is not marked yet, and cells that are
marked count less (inhibition of return, as in visual search). So with objects that a list tells apart by number alone
("<p>cube 1</p>, <p>cube 2</p>"). Where each object has a phrase of its own, so has each `[SEG]`. [ours], measured in
docs/experiments.md.

Shapes: M masks of (H, W), V visual tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Rounds:
    """What each `[SEG]` of a batch finds when its turn comes: by cell, the share that is covered, (M, V) float32."""

    own: Tensor  # by its own mask
    marked: Tensor  # by those before it in its answer
    others: Tensor  # by those after it in its group: it might as well have pointed there
    following: Tensor  # by what the next may point at; nothing after the last

    def of(self, which: Tensor) -> Rounds:
        """Those of some masks: (M,) bool, or indices."""
        return Rounds(self.own[which], self.marked[which], self.others[which], self.following[which])

    @property
    def wanted(self) -> Tensor:
        """Covered by what each may point at."""
        return (self.own + self.others).clamp(max=1)

    @property
    def marked_after(self) -> Tensor:
        """Covered once its own mask is there, too."""
        return (self.own + self.marked).clamp(max=1)


def rounds(masks: Tensor, cells: int, answers: Tensor, groups: Tensor) -> Rounds:
    """What is marked and what is left at each `[SEG]`.

    Args:
        masks: (M, S, S) bool, those of an answer in the order of their `[SEG]`.
        cells: V, a square grid in raster order.
        answers: (M,) int64, the answer of each.
        groups: (M,) int64, equal within an answer for objects that come in no order.
    """
    own = cell_cover(masks, cells)
    order = torch.arange(len(own), device=own.device)
    together = answers[:, None] == answers
    before, after = (together & (sign * order > sign * order[:, None]) for sign in (-1, 1))
    follows = torch.cat([groups[1:], groups[-1:]])  # the group of the next; of an answer's last, nothing is after it
    return Rounds(
        own,
        marked=_union(before, own),
        others=_union(after & (groups == groups[:, None]), own),
        following=_union(after & (groups == follows[:, None]), own),
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

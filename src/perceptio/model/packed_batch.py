"""What one training step reads: packed sequences of several images.

Legend as in `packed_objective`: B images, T packed positions, M referred objects, R depth spans, N codes a span,
A answers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # no target


@dataclass
class PackedBatch:
    """Several questions an image in one sequence: a shared image prefix and a branch for each question."""

    input_ids: Tensor  # (B, T) int64; code positions are filled in by the objective
    targets: Tensor  # (B, T) int64, the token that each position must predict, -100 where none
    weights: Tensor  # (B, T) float32, weight of each target in the text loss
    branch_ids: Tensor  # (B, T) int64, 0 the shared prefix, 1... the branches, -1 padding
    position_ids: Tensor  # (B, T) int64, restarting after the prefix in each branch
    answer_ids: Tensor  # (B, T) int64, index of the answer that owns a target position, -1 elsewhere
    answer_has_span: Tensor  # (A,) bool
    spans: Tensor  # (R, 2) int64, row and position of each <DEPTH_START>
    segments: Tensor  # (M, 2) int64, row and position of each [SEG]
    masks: Tensor  # (M, H, W) bool
    interchangeable: Tensor  # (M,) int64, equal within an answer for objects that no word tells apart
    depth_maps: Tensor  # (B, 1, S, S) float32 in [-1, 1]
    codes: Tensor  # (B, N) int64, depth codes that take the map's place, -1 where the map is to be encoded
    pixel_values: Tensor  # (tiles, 3, side, side) of all pictures in order, for the vision tower
    sam_pixel_values: Tensor  # (B, 3, side', side') for SAM2
    seeds: Tensor | None = None  # (B,) int64, of the points at which masks are compared; None: torch's own generator

    def decoded_spans(self) -> tuple[Tensor, Tensor]:
        """Rows and places of one taught span an image: its others hold the same codes, and decoding is not free."""
        spans_R2 = self.spans[self.targets[self.spans[:, 0], self.spans[:, 1]] != IGNORED]
        first_R = torch.ones(len(spans_R2), dtype=torch.bool, device=spans_R2.device)
        first_R[1:] = spans_R2[1:, 0] != spans_R2[:-1, 0]
        rows_R, starts_R = spans_R2[first_R].unbind(1)
        return rows_R, starts_R

    @classmethod
    def split(cls, batch: dict[str, Any]) -> tuple[PackedBatch, dict[str, Any]]:
        """The packed batch among the arguments of a forward pass, and the others."""
        names = {each.name for each in fields(cls)}
        return cls(**{k: v for k, v in batch.items() if k in names}), {k: v for k, v in batch.items() if k not in names}

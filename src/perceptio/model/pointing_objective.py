"""What a pointer adds to the training objective: region features, continue logits, clicks, and its four losses.

The region features and the coverage of training are those of the true masks; in use, those of what the pointer pointed
at and SAM2 drew (`segmentation.pointing.pointer.PointerSteps`).

Legend as in `packed_objective`: B images, T packed positions, P positions with a target, L entries of the vocabulary,
D width of the language model, M referred objects, V visual tokens, C width of SAM2's prompts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.shares import Shares
from perceptio.segmentation.clicks import cell_clicks
from perceptio.segmentation.pointing.coverage import Coverage, as_shares, cell_cover, coverage
from perceptio.segmentation.pointing.pointer import Pointer
from perceptio.segmentation.pointing.pointer_losses import PointerWeights, cells_loss, click_loss, objectness_loss


@dataclass(frozen=True)
class PointingObjective:
    """The pointer of a model in training."""

    model: PerceptioForConditionalGeneration
    pointer: Pointer
    weights: PointerWeights

    @classmethod
    def of(cls, model: PerceptioForConditionalGeneration, weights: PointerWeights) -> PointingObjective | None:
        """None for a model without a pointer."""
        return None if model.pointer is None else cls(model, model.pointer, weights)

    def counts(self, packed: PackedBatch, taught_M: Tensor, present_M: Tensor) -> dict[str, Tensor]:
        """Items of the losses, see `PackedObjective.counts`."""
        follows_M = packed.targets[packed.segments[:, 0], packed.segments[:, 1]]
        goes_on_M = follows_M == self.model.config.seg_token_id
        found = self._coverage(packed)
        return {
            "cells": (taught_M & found.wanted.any(1)).sum(),
            "absent": (taught_M & ~present_M).sum(),
            "next_cells": (goes_on_M & found.following.any(1)).sum(),
            "continuation": (follows_M != -100).sum(),
        }

    def add_region_features(self, packed: PackedBatch, embeddings_BTD: Tensor) -> Tensor:
        """Embeddings whose input after each `[SEG]` carries the picture where the object is.

        Where the answer comes first, the last `[SEG]` may end it: nothing is read after it, and nothing carried.
        """
        visual_BVD = self.model.whole_picture(embeddings_BTD, packed.input_ids)
        rows_M, positions_M = packed.segments.unbind(1)
        shares_MV = as_shares(cell_cover(packed.masks, visual_BVD.shape[1]))
        features_MD = self.pointer.region_features(shares_MV, visual_BVD[rows_M]).to(embeddings_BTD.dtype)
        branch_BT = nn.functional.pad(packed.branch_ids, (0, 1), value=-1)  # the last place has one after it too
        read_M = branch_BT[rows_M, positions_M + 1] == branch_BT[rows_M, positions_M]
        places = rows_M[read_M], positions_M[read_M] + 1
        return embeddings_BTD.index_put(places, features_MD[read_M], accumulate=True)

    def continue_losses(
        self, packed: PackedBatch, states_BTD: Tensor, logits_PL: Tensor, due_BT: Tensor, shares: Shares
    ) -> dict[str, Tensor]:
        """The loss of what comes next; adds the continue logits to those of `[SEG]` in `logits_PL`, in place."""
        seg, found = self.model.config.seg_token_id, self._coverage(packed)
        rows_M, positions_M = packed.segments.unbind(1)
        visual_MVD = self.model.whole_picture(states_BTD, packed.input_ids)[rows_M]
        cells_MV = self.pointer.next_cells(states_BTD[rows_M, positions_M], visual_MVD, found.covered_after)
        logits_M = self.pointer.continue_logits(cells_MV)
        follows_M = packed.targets[rows_M, positions_M]
        due_M, goes_on_M = follows_M != -100, follows_M == seg
        whether = nn.functional.binary_cross_entropy_with_logits(
            logits_M[due_M], goes_on_M[due_M].to(logits_M.dtype), reduction="sum"
        ) / max(int(due_M.sum()), 1)
        added_BT = torch.zeros_like(packed.weights).index_put((rows_M, positions_M), logits_M.to(packed.weights.dtype))
        # in place: nothing in training is larger
        logits_PL.index_add_(1, torch.tensor([seg], device=logits_PL.device), added_BT[due_BT][:, None])
        cells = cells_loss(cells_MV[goes_on_M], found.following[goes_on_M])
        return {"continuation": cells * shares["next_cells"] + whether * shares["continuation"]}

    def prompts(
        self, packed: PackedBatch, states_BTD: Tensor, taught_M: Tensor, shares: Shares
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Prompts (M, C) of the taught masks, and the losses of where their states point."""
        rows_M, positions_M = packed.segments[taught_M].unbind(1)
        masks, found = packed.masks[taught_M], self._coverage(packed).of(taught_M)
        states_MD = states_BTD[rows_M, positions_M]
        visual_BVD = self.model.whole_picture(states_BTD, packed.input_ids)
        cells_MV = self.pointer.cells(states_MD, visual_BVD[rows_M], found.covered)
        clicks_VC = cell_clicks(self.model.sam, cells_MV.shape[1])
        pointed = self.pointer.pointed(cells_MV, clicks_VC, found.others)
        prompts_MC = self.model.prompts(states_MD, pointed)
        step: Mapping[str, Tensor] = shares.step
        losses = {
            "cells": cells_loss(cells_MV, found.wanted) * shares["cells"],
            "objectness": objectness_loss(pointed.objectness, masks, (step["absent"], step["present"])),
        }
        if self.weights.click:
            losses["click"] = click_loss(self.model.sam, prompts_MC, masks) * shares["present"]
        return prompts_MC, losses

    def _coverage(self, packed: PackedBatch) -> Coverage:
        """What is covered and what is left at each `[SEG]`."""
        rows_M, positions_M = packed.segments.unbind(1)
        answers_M = rows_M * packed.branch_ids.shape[1] + packed.branch_ids[rows_M, positions_M]
        return coverage(packed.masks, self.model.config.vlm.image_seq_length, answers_M, packed.interchangeable)

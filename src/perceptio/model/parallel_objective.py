"""What parallel depth spans add to the training objective: the queries of one taught span an image, and their losses.

The formulas and weights are those of sequential codes, which go on to be taught: one model can be decoded either way.

Legend as in `packed_objective`: B images, T packed positions, D width of the language model, L entries of its
vocabulary, R decoded spans, N codes a span.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perceptio.model import objectives
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import PackedBatch
from perceptio.model.parallel_depth import query_positions
from perceptio.model.positions import positions_of_cells
from perceptio.model.shares import Shares

TOKEN, RECONSTRUCTION = "parallel_token", "parallel_reconstruction"


@dataclass(frozen=True)
class ParallelObjective:
    """The depth query of a model in training."""

    model: PerceptioForConditionalGeneration
    weights: LossWeights

    @classmethod
    def of(cls, model: PerceptioForConditionalGeneration, weights: LossWeights) -> ParallelObjective | None:
        """None for a model without a query."""
        return None if model.depth_query is None else cls(model, weights)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of each loss: that of the same loss on sequential codes."""
        return {TOKEN: self.weights.token, RECONSTRUCTION: self.weights.reconstruction}

    def counts(self, packed: PackedBatch) -> dict[str, Tensor]:
        """Items of the losses, see `PackedObjective.counts`."""
        spans = len(packed.decoded_spans()[0])
        tokens = spans * self.model.config.depth.tokens_per_map
        return {TOKEN: packed.targets.new_tensor(tokens), RECONSTRUCTION: packed.targets.new_tensor(spans)}

    def add_queries(
        self, packed: PackedBatch, embeddings_BTD: Tensor, mask_BTT: Tensor, positions_BT: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the language model reads, with N more columns at the end; without, where no span is taught.

        Args:
            packed: its sequences.
            embeddings_BTD: of them.
            mask_BTT: bool, true where a position (second axis) sees another (third).
            positions_BT: int64, rotary.

        Returns:
            The same three of T + N positions. No position but the queries sees a query.
        """
        rows_R, starts_R = packed.decoded_spans()
        config, query_D = self.model.config, self.model.depth_query
        assert query_D is not None
        (rows, length), count = mask_BTT.shape[:2], config.depth.tokens_per_map if len(rows_R) else 0
        # of no columns too: every process of a sharded model must use every parameter
        queries_BND = query_D.to(embeddings_BTD.dtype).expand(rows, count, -1)
        start_B = positions_BT.new_zeros(rows)
        start_B[rows_R] = packed.position_ids[rows_R, starts_R]
        cells_BN = None
        if config.depth_positions == "image" and count:
            vlm = config.vlm
            cells_BN = positions_of_cells(
                packed.input_ids, packed.position_ids, vlm.image_token_id, count, vlm.image_seq_length
            )
        seen_BT = torch.zeros_like(mask_BTT[:, 0])  # rows without a span: queries that see each other, and are dropped
        seen_BT[rows_R] = mask_BTT[rows_R, starts_R]
        mask_BQQ = torch.nn.functional.pad(mask_BTT, (0, count, 0, count))
        mask_BQQ[:, length:, :length] = seen_BT[:, None]
        mask_BQQ[:, length:, length:] = True
        return (
            torch.cat([embeddings_BTD, queries_BND], 1),
            mask_BQQ,
            torch.cat([positions_BT, query_positions(start_B, cells_BN, count)], 1),
        )

    def losses(self, packed: PackedBatch, states_BND: Tensor, shares: Shares) -> dict[str, Tensor]:
        """Cross-entropy of the codes, and soft merging, at the states of the queries."""
        rows_R, starts_R = packed.decoded_spans()
        config, tokenizer = self.model.config, self.model.depth_tokenizer
        logits_RNL = self.model.vlm.lm_head(states_BND[rows_R]).float()
        places_RN = starts_R[:, None] + torch.arange(config.depth.tokens_per_map, device=starts_R.device)
        targets_P = packed.targets[rows_R[:, None], places_RN].flatten()
        token = objectives.token_loss(logits_RNL.flatten(0, 1), targets_P, torch.ones_like(targets_P, dtype=torch.bool))
        losses = {TOKEN: token * shares[TOKEN]}
        if self.weights.reconstruction:
            code_logits_RNK = logits_RNL[..., config.depth_code_token_ids]
            found = objectives.reconstruction_loss(
                code_logits_RNK, tokenizer.codebook, tokenizer.decode_vectors, packed.depth_maps[rows_R]
            )
            losses[RECONSTRUCTION] = found * shares[RECONSTRUCTION]
        return losses

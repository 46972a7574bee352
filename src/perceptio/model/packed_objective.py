"""The training objective on packed sequences: the weighted sum of the text, mask and depth losses (docs/method.md).

Every loss is a mean over its own items (words, masks, codes, ...). An optimiser step adds up several batches, on
several processes, that hold different numbers of them: a batch's mean is scaled by its share of the step's items, so
that the step is the mean over all of them however it was cut into batches.

Legend: B images, T packed positions, P positions with a target, D width of the language model, L entries of its
vocabulary, M `[SEG]` tokens, R depth spans, N codes a span, K entries of the codebook, V visual tokens of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from perceptio.model import objectives
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.objectives import LossWeights
from perceptio.model.packed_batch import IGNORED, PackedBatch
from perceptio.model.parallel_objective import ParallelObjective
from perceptio.model.pointing_objective import PointingObjective
from perceptio.model.shares import Shares
from perceptio.segmentation.bridge import decode_masks
from perceptio.segmentation.cache import FeatureCache
from perceptio.segmentation.losses import mask_loss
from perceptio.segmentation.pointing.pointer_losses import PointerWeights


class PackedObjective(nn.Module):
    """A model with its losses on packed sequences.

    Args:
        model: to be trained.
        weights: of the losses of the paper and its parents.
        pointer_weights: of the losses of a pointer, where the model has one.
        feature_cache: of SAM2's image encoder.
    """

    def __init__(
        self,
        model: PerceptioForConditionalGeneration,
        weights: LossWeights | None = None,
        pointer_weights: PointerWeights | None = None,
        feature_cache: FeatureCache | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.weights = weights or LossWeights()
        self.feature_cache = feature_cache
        self.pointing = PointingObjective.of(model, pointer_weights or PointerWeights())
        self.parallel = ParallelObjective.of(model, self.weights)

    @property
    def loss_weights(self) -> dict[str, float]:
        """The weight of every loss, by its name."""
        found: dict[str, float] = asdict(self.weights)
        if self.pointing is not None:
            found |= asdict(self.pointing.weights)
        return found if self.parallel is None else found | self.parallel.loss_weights

    def forward(self, counts: Mapping[str, Tensor] | None = None, **batch: Tensor) -> dict[str, Any]:
        """Losses of a packed batch.

        Args:
            counts: as from `counts`, of the whole optimiser step that the batch is a part of; by default the batch is
                the step.
            batch: the fields of `PackedBatch`, and what a subclass asks for.

        Returns:
            `loss` () and `losses`, each loss apart, detached.
        """
        shares = Shares(self.counts(**batch), counts)
        packed, extra = PackedBatch.split(batch)
        self.write_codes(packed)
        losses = self.supervise(packed, shares, extra)
        weights, zero = self.loss_weights, torch.zeros((), device=packed.input_ids.device)
        total = sum((weights[name] * value for name, value in losses.items() if weights[name]), zero)
        return {"loss": total, "losses": {name: value.detach() for name, value in losses.items()}}

    @torch.no_grad()
    def counts(self, **batch: Tensor) -> dict[str, Tensor]:
        """The number of items of each loss in a packed batch, before it is read: () float32 each."""
        packed, _ = PackedBatch.split(batch)
        vocabulary = self.model.config.vocabulary
        targets = packed.targets
        due_BT = targets != IGNORED
        inside_BT = torch.isin(targets, targets.new_tensor(vocabulary.codes))
        marker_BT = torch.isin(targets, targets.new_tensor([vocabulary.depth_start, vocabulary.depth_end]))
        taught_M, present_M = self._taught(packed), packed.masks.flatten(1).any(1)
        found = {
            "text": (packed.weights * (due_BT & ~inside_BT & ~marker_BT)).sum(),
            "marker": marker_BT.sum(),
            "token": inside_BT.sum(),
            "count": targets.new_tensor(len(packed.answer_has_span)),
            "reconstruction": targets.new_tensor(len(packed.decoded_spans()[0])),
            "masks": taught_M.sum(),
            "present": (taught_M & present_M).sum(),
        }
        if self.pointing is not None:
            found |= self.pointing.counts(packed, taught_M, present_M)
        if self.parallel is not None:
            found |= self.parallel.counts(packed)
        return {name: value.float() for name, value in found.items()}

    def supervise(self, packed: PackedBatch, shares: Shares, extra: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read the batch and give each loss, in its share of the step.

        The one hook for a training of ours: a subclass may change what is read, and add losses (with their weights in
        `loss_weights` and their items in `counts`). `extra` is what else stands in its batches.
        """
        assert not extra, f"nothing reads {', '.join(extra)}"
        states, length = self.read(packed), packed.input_ids.shape[1]
        states_BTD, queries_BND = states[:, :length], states[:, length:]
        losses = self._sequence_losses(packed, states_BTD, shares) | self._mask_losses(packed, states_BTD, shares)
        return losses if self.parallel is None else losses | self.parallel.losses(packed, queries_BND, shares)

    def write_codes(self, packed: PackedBatch) -> Tensor:
        """Fill the code positions of inputs and taught targets with the given codes, or with those of the maps.

        Where codes are given, the map becomes what they decode to. Returns (R, N).
        """
        config, tokenizer = self.model.config, self.model.depth_tokenizer
        rows_R, starts_R = packed.spans.unbind(1)
        length = config.depth.tokens_per_map
        if not len(rows_R):
            return packed.input_ids.new_zeros(0, length)
        # without autocast: in bfloat16 a map near the border of two codes would get another code than in use
        with torch.no_grad(), torch.autocast(packed.depth_maps.device.type, enabled=False):
            codes_RN = packed.codes[rows_R]
            given_R = codes_RN[:, 0] >= 0
            if given_R.any():
                packed.depth_maps = packed.depth_maps.clone()
                decoded = tokenizer.decode(codes_RN[given_R])
                packed.depth_maps[rows_R[given_R]] = decoded.to(packed.depth_maps.dtype)
            if not given_R.all():
                codes_RN[~given_R] = tokenizer.encode(packed.depth_maps[rows_R[~given_R]])
        ids_K = torch.tensor(config.depth_code_token_ids, device=codes_RN.device)
        positions_RN = starts_R[:, None] + torch.arange(length, device=starts_R.device)
        packed.input_ids = packed.input_ids.clone()
        packed.targets = packed.targets.clone()
        packed.input_ids[rows_R[:, None], positions_RN + 1] = ids_K[codes_RN]
        taught_R = packed.targets[rows_R, starts_R] != IGNORED
        packed.targets[rows_R[taught_R, None], positions_RN[taught_R]] = ids_K[codes_RN[taught_R]]
        return codes_RN

    def read(self, packed: PackedBatch) -> Tensor:
        """Last hidden states (B, T, D): each branch sees the shared prefix and itself, causally.

        With a depth query, where spans are taught: (B, T + N, D), see `ParallelObjective.add_queries`.
        """
        branch_BT = packed.branch_ids
        same_BTT = (branch_BT[:, :, None] == branch_BT[:, None, :]) | (branch_BT[:, None, :] == 0)
        length = branch_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool, device=branch_BT.device).tril()
        positions_BT = self.model.positions(packed.input_ids, packed.position_ids)
        embeddings_BTD, mask_BTT = self.embed(packed), same_BTT & causal_TT
        if self.parallel is not None:
            inputs = self.parallel.add_queries(packed, embeddings_BTD, mask_BTT, positions_BT)
            embeddings_BTD, mask_BTT, positions_BT = inputs
        states: Tensor = self.model.vlm.model(
            inputs_embeds=embeddings_BTD,
            attention_mask=mask_BTT[:, None],
            position_ids=positions_BT,
            use_cache=False,
        ).last_hidden_state
        return states

    def embed(self, packed: PackedBatch) -> Tensor:
        """Embeddings (B, T, D) of a packed batch."""
        embeddings_BTD = self.model.embed(packed.input_ids, self.model.visual_tokens(packed.pixel_values))
        if self.pointing is None:
            return embeddings_BTD
        return self.pointing.add_region_features(packed, embeddings_BTD)

    def _sequence_losses(self, packed: PackedBatch, states_BTD: Tensor, shares: Shares) -> dict[str, Tensor]:
        vocabulary = self.model.config.vocabulary
        device = states_BTD.device
        due_BT = packed.targets != IGNORED
        targets_P = packed.targets[due_BT]
        # the head runs only where there is a label: most positions are image or question
        logits_PL = self.model.vlm.lm_head(states_BTD[due_BT]).float()
        losses: dict[str, Tensor] = {}
        if self.pointing is not None:
            losses |= self.pointing.continue_losses(packed, states_BTD, logits_PL, due_BT, shares)
        markers = torch.tensor([vocabulary.depth_start, vocabulary.depth_end], device=device)
        code_ids = torch.tensor(vocabulary.codes, device=device)
        inside_P = torch.isin(targets_P, code_ids)
        plain_P = ~(inside_P | torch.isin(targets_P, markers))
        count = objectives.count_loss(
            logits_PL, code_ids, packed.answer_ids[due_BT], packed.answer_has_span, vocabulary.tokens_per_map
        )
        losses |= {
            "text": objectives.text_loss(logits_PL, targets_P, packed.weights[due_BT] * plain_P) * shares["text"],
            "marker": objectives.marker_loss(
                logits_PL, targets_P, markers, inside_P, (shares["marker"], shares["token"])
            ),
            "token": objectives.token_loss(logits_PL, targets_P, inside_P) * shares["token"],
            "count": count * shares["count"],
        }
        if self.weights.reconstruction:
            losses["reconstruction"] = self._reconstruction_loss(packed, states_BTD) * shares["reconstruction"]
        return losses

    def _reconstruction_loss(self, packed: PackedBatch, states_BTD: Tensor) -> Tensor:
        rows_R, starts_R = packed.decoded_spans()
        config, tokenizer = self.model.config, self.model.depth_tokenizer
        positions_RN = starts_R[:, None] + torch.arange(config.depth.tokens_per_map, device=starts_R.device)
        head_KD = self.model.vlm.lm_head.weight[torch.tensor(config.depth_code_token_ids, device=starts_R.device)]
        code_logits_RNK = nn.functional.linear(states_BTD[rows_R[:, None], positions_RN], head_KD)
        return objectives.reconstruction_loss(
            code_logits_RNK, tokenizer.codebook, tokenizer.decode_vectors, packed.depth_maps[rows_R]
        )

    @staticmethod
    def _taught(packed: PackedBatch) -> Tensor:
        """Which `[SEG]` (M,) are targets: others are read, but nothing says that they are right."""
        rows_M, positions_M = packed.segments.unbind(1)
        return packed.targets[rows_M, positions_M - 1] != IGNORED

    def _mask_losses(self, packed: PackedBatch, states_BTD: Tensor, shares: Shares) -> dict[str, Tensor]:
        taught_M = self._taught(packed)
        rows_M, positions_M = packed.segments[taught_M].unbind(1)
        masks, states_MD = packed.masks[taught_M], states_BTD[rows_M, positions_M]
        losses: dict[str, Tensor] = {}
        if self.pointing is None:
            prompts_MC = self.model.prompts(states_MD)
        else:
            prompts_MC, losses = self.pointing.prompts(packed, states_BTD, taught_M, shares)
        weights = self.weights
        if weights.bce or weights.dice or weights.score or weights.object:  # SAM2 is half of a small model's work
            features = self.model.image_features(packed.sam_pixel_values, self.feature_cache)
            prediction = decode_masks(
                self.model.sam, features, rows_M, prompts_MC, self.model.config.sam_prompts == "padded"
            )
            found = mask_loss(prediction, masks, seeds=_mask_seeds(packed, rows_M, positions_M))
            items = {"bce": "present", "dice": "present", "score": "present", "object": "masks"}
            losses |= {name: found[name] * shares[counted] for name, counted in items.items()}
        return losses


def _mask_seeds(packed: PackedBatch, rows_M: Tensor, positions_M: Tensor) -> list[int] | None:
    """A seed for the sampled points of each mask, which depends on its own sample alone."""
    if packed.seeds is None:
        return None
    return [seed + position for seed, position in zip(packed.seeds[rows_M].tolist(), positions_M.tolist(), strict=True)]

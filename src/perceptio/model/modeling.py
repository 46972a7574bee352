"""InternVL that writes spatial tokens, with SAM2 reading `[SEG]` states and a VQ-VAE reading depth codes.

Legend: B images, T packed positions, D width of the language model, M referred objects, R depth spans, N codes a span,
A answers, S side of a depth map, V visual tokens of the whole picture.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import InternVLForConditionalGeneration, PreTrainedModel, Sam2Model

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model import objectives
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.guidance import guided_layers, guides_loss, overheard
from perceptio.model.misfits import refuse_misfits
from perceptio.model.objectives import LossWeights
from perceptio.model.packed import PackedBatch
from perceptio.model.positions import positions_of_cells, visual_columns
from perceptio.segmentation.bridge import ImageFeatures, MaskPrediction, decode_masks, encode_image
from perceptio.segmentation.cache import FeatureCache
from perceptio.segmentation.guide import point_loss, presence_loss, prompt_loss
from perceptio.segmentation.losses import mask_loss
from perceptio.segmentation.projector import SegmentationProjector, cell_clicks
from perceptio.segmentation.rounds import Rounds, as_shares, cell_cover, rounds


class PerceptioForConditionalGeneration(PreTrainedModel):
    """The whole model.

    Parts: `vlm` (InternVL), `sam` (SAM2; image and prompt encoders frozen), `depth_tokenizer` (VQ-VAE, frozen) and
    `projector` (the state at `[SEG]` and those at the visual tokens -> a sparse prompt of SAM2's mask decoder).
    """

    config_class = PerceptioConfig
    config: PerceptioConfig
    base_model_prefix = ""
    _supports_sdpa = True
    # masks suffer from bfloat16, and a map near the border of two codes would get the other one (regular expressions)
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = ["^sam[.]", "^depth_tokenizer[.]", "^projector[.]"]
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "vlm.lm_head.weight": "vlm.model.language_model.embed_tokens.weight"
    }

    def __init__(self, config: PerceptioConfig, loss_weights: LossWeights | None = None) -> None:
        super().__init__(config)
        self.vlm = InternVLForConditionalGeneration(config.vlm)
        self.sam = Sam2Model(config.sam)
        self.depth_tokenizer = DepthTokenizer(config.depth)
        self.projector = SegmentationProjector(
            config.vlm.text_config.hidden_size,
            config.sam.mask_decoder_config.hidden_size,
            config.pointing,
        )
        self.loss_weights = loss_weights or LossWeights()
        self.feature_cache: FeatureCache | None = None  # of SAM2's image encoder; fine-tunes may set one
        self.post_init()
        self.freeze()

    def _init_weights(self, module: nn.Module) -> None:
        """The parts initialise themselves; only the projector is ours, and its linear layers keep torch's default."""

    def freeze(self) -> None:
        """Freeze the depth tokenizer and SAM2's image and prompt encoders."""
        for part in (self.depth_tokenizer, self.sam.vision_encoder, self.sam.prompt_encoder):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        # frozen parts stay in eval mode: an EMA codebook would drift even without gradients
        self.depth_tokenizer.eval()
        self.sam.eval()
        return self

    def get_input_embeddings(self) -> nn.Module:
        return self.vlm.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.vlm.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.vlm.get_output_embeddings()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load weights; as transformers', but missing or unexpected keys are an error.

        Raises:
            ValueError: if a weight is missing, unexpected or of another shape.
        """
        kwargs["ignore_mismatched_sizes"] = True  # reported below, by name
        model, report = super().from_pretrained(*args, output_loading_info=True, **kwargs)
        refuse_misfits(report)
        model.freeze()  # loading makes fresh parameters, which all want gradients
        return model

    def image_features(self, sam_pixel_values: Tensor) -> ImageFeatures:
        """SAM2's features of (B, 3, S', S') images, once for any number of masks."""
        return encode_image(self.sam, sam_pixel_values, cache=self.feature_cache)

    def embed(self, input_ids_BT: Tensor, visual: Tensor) -> Tensor:
        """Embeddings (B, T, D) of ids, with the visual tokens (tiles, V, D) of all rows at the image placeholders.

        Raises:
            ValueError: if there are more or fewer visual tokens than placeholders.
        """
        embeddings_BTD = self.get_input_embeddings()(input_ids_BT)
        here_BT = input_ids_BT == self.config.vlm.image_token_id
        places, given = int(here_BT.sum()), visual.shape[:-1].numel()
        if places != given:
            raise ValueError(f"{given} visual tokens do not fit {places} image placeholders")
        return embeddings_BTD.masked_scatter(here_BT[..., None], visual.to(embeddings_BTD.dtype))

    def visual_states(self, states_BTD: Tensor, input_ids_BT: Tensor) -> Tensor:
        """States (B, V, D) at the visual tokens that show each row's whole picture."""
        columns_BV = self._visual_columns(input_ids_BT)
        return states_BTD.gather(1, columns_BV[..., None].expand(-1, -1, states_BTD.shape[-1]))

    def _visual_columns(self, input_ids_BT: Tensor) -> Tensor:
        vlm = self.config.vlm
        return visual_columns(input_ids_BT, vlm.image_token_id, vlm.image_seq_length)

    def point(self, states_MD: Tensor, visual_MVD: Tensor, marked_MV: Tensor) -> Tensor:
        """Logits (M, V) of the cells that the `[SEG]` states point at.

        Args:
            states_MD: at each `[SEG]`.
            visual_MVD: states at the visual tokens of each one's picture, see `visual_states`.
            marked_MV: how much of each cell is covered by the masks before it in its answer, 0 to 1.
        """
        cells_MV: Tensor = self.projector(states_MD.float(), visual_MVD.float(), marked_MV)
        return cells_MV

    def look(self, cells_MV: Tensor, visual_MVD: Tensor) -> Tensor:
        """What the input after each `[SEG]` carries (M, D): the visual tokens (M, V, D) where its state points.

        Words that follow find there what the object looks like and where it is, or that there is none, instead of
        having to search the picture once more. [ours], measured in docs/experiments.md.
        """
        there_M = self.projector.presence_logits(cells_MV) > 0
        return self.projector.told(self.projector.attention(cells_MV) * there_M[:, None], visual_MVD)

    def more(self, states_MD: Tensor, visual_MVD: Tensor, marked_MV: Tensor) -> Tensor:
        """What is added (M,) to the logit of `[SEG]` after each `[SEG]`: whether there is another object to mark.

        Args:
            states_MD: at each `[SEG]`.
            visual_MVD: as in `point`.
            marked_MV: as in `point`, its own mask included.
        """
        if not self.config.pointing:
            return states_MD.new_zeros(len(states_MD), dtype=torch.float32)
        cells_MV = self.projector.next_cells(states_MD.float(), visual_MVD.float(), marked_MV)
        return self.projector.more_logits(cells_MV)

    def segment(
        self, states_MD: Tensor, cells_MV: Tensor, image_index_M: Tensor, features: ImageFeatures
    ) -> MaskPrediction:
        """Masks of M objects.

        Args:
            states_MD: at each `[SEG]`.
            cells_MV: where each points, see `point`.
            image_index_M: the image in `features` that each is in.
            features: of SAM2.
        """
        prompts_MC = self._prompts(states_MD, cells_MV)
        prediction = decode_masks(self.sam, features, image_index_M, prompts_MC, self.config.sam_prompts)
        there_M = torch.minimum(prediction.object_logit, self.projector.presence_logits(cells_MV))
        return replace(prediction, object_logit=there_M)

    def mark(self, marked_MV: Tensor, cells_MV: Tensor, prediction: MaskPrediction | None) -> Tensor:
        """How much of each cell (M, V) is marked after a `[SEG]`: its mask, and the cell it points at, or a poor mask
        would have the same object marked for ever. What is not there marks nothing.

        Args:
            marked_MV: as in `point`, before it.
            cells_MV: where each points, see `point`.
            prediction: its masks; None where none are drawn.
        """
        if not self.config.pointing:
            return marked_MV
        there_M = self.projector.presence_logits(cells_MV) > 0
        own_MV = nn.functional.one_hot(cells_MV.argmax(-1), cells_MV.shape[1]) * there_M[:, None]
        if prediction is not None:
            drawn_MHW = (prediction.logits > 0) & (prediction.object_logit > 0)[:, None, None]
            own_MV = own_MV + cell_cover(drawn_MHW, cells_MV.shape[1])
        return (marked_MV + own_MV).clamp(max=1)

    def _prompts(self, states_MD: Tensor, cells_MV: Tensor, others_MV: Tensor | None = None) -> Tensor:
        """Sparse prompts (M, C) for SAM2; `others_MV` as in `SegmentationProjector.attention`."""
        clicks_VC = cell_clicks(self.sam, cells_MV.shape[1])
        return self.projector.prompts(states_MD.float(), self.projector.attention(cells_MV, others_MV), clicks_VC)

    def forward(self, **batch: Tensor) -> dict[str, Any]:
        """Losses of a packed batch.

        Args:
            batch: the fields of `PackedBatch`.

        Returns:
            `loss` () and `losses`, each loss apart, detached.
        """
        packed = PackedBatch(**batch)
        codes_RN = self._write_codes(packed)
        states_BTD, losses = self._read_guided(packed)
        found = self._rounds(packed)
        more_M, next_losses = self._next_losses(packed, states_BTD, found)
        losses |= self._sequence_losses(packed, states_BTD, codes_RN, more_M) | next_losses
        losses |= self._mask_losses(packed, states_BTD, found)
        weights = asdict(self.loss_weights)
        total = sum((weights[name] * value for name, value in losses.items() if weights[name]), states_BTD.sum() * 0.0)
        return {"loss": total, "losses": {name: value.detach() for name, value in losses.items()}}

    def _write_codes(self, packed: PackedBatch) -> Tensor:
        """Fill the code positions of inputs and taught targets with the given codes, or with those of the maps.

        Where codes are given, the map becomes what they decode to; the model's own are inputs only. Returns (R, N).
        """
        rows_R, starts_R = packed.spans.unbind(1)
        length = self.config.depth.tokens_per_map
        if not len(rows_R):
            return packed.input_ids.new_zeros(0, length)
        # without autocast: in bfloat16 a map near the border of two codes would get another code than in use
        with torch.no_grad(), torch.autocast(packed.depth_maps.device.type, enabled=False):
            codes_RN = packed.codes[rows_R]
            given_R = codes_RN[:, 0] >= 0
            if given_R.any():
                packed.depth_maps = packed.depth_maps.clone()
                decoded = self.depth_tokenizer.decode(codes_RN[given_R])
                packed.depth_maps[rows_R[given_R]] = decoded.to(packed.depth_maps.dtype)
            if not given_R.all():
                codes_RN[~given_R] = self.depth_tokenizer.encode(packed.depth_maps[rows_R[~given_R]])
        ids_K = torch.tensor(self.config.depth_code_token_ids, device=codes_RN.device)
        positions_RN = starts_R[:, None] + torch.arange(length, device=starts_R.device)
        packed.input_ids = packed.input_ids.clone()
        packed.targets = packed.targets.clone()
        own_RN = packed.own_codes[rows_R]
        packed.input_ids[rows_R[:, None], positions_RN + 1] = ids_K[torch.where(own_RN >= 0, own_RN, codes_RN)]
        taught_R = packed.targets[rows_R, starts_R] != -100
        packed.targets[rows_R[taught_R, None], positions_RN[taught_R]] = ids_K[codes_RN[taught_R]]
        return codes_RN

    def _see(self, pixel_values: Tensor) -> Tensor:
        """Visual tokens (tiles, V, D) of the pictures."""
        visual: Tensor = self.vlm.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output
        return visual

    def _embed_packed(self, packed: PackedBatch) -> Tensor:
        """Embeddings (B, T, D); the input after each `[SEG]` carries the picture where the object is.

        In use that place is where the state at `[SEG]` points (`decoding/engine.py`). Where the answer comes first, the
        last `[SEG]` may end it: nothing is read after it, and nothing carried.
        """
        embeddings_BTD = self.embed(packed.input_ids, self._see(packed.pixel_values))
        visual_BVD = self.visual_states(embeddings_BTD, packed.input_ids)
        rows_M, positions_M = packed.segments.unbind(1)
        shares_MV = as_shares(cell_cover(packed.masks, visual_BVD.shape[1]))
        told_MD = self.projector.told(shares_MV, visual_BVD[rows_M]).to(embeddings_BTD.dtype)
        branch_BT = nn.functional.pad(packed.branch_ids, (0, 1), value=-1)  # the last place has one after it too
        read_M = branch_BT[rows_M, positions_M + 1] == branch_BT[rows_M, positions_M]
        places = rows_M[read_M], positions_M[read_M] + 1
        return embeddings_BTD.index_put(places, told_MD[read_M], accumulate=True)

    def _read_guided(self, packed: PackedBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """As `_read`, and the loss of the guided heads if it counts."""
        if not self.loss_weights.gaze:
            return self._read(packed), {}
        attentions = guided_layers(self.vlm.model.language_model.layers)
        with overheard(attentions) as heard:
            states_BTD = self._read(packed)
        return states_BTD, {"gaze": guides_loss(attentions, heard, packed.gazes)}

    def _read(self, packed: PackedBatch) -> Tensor:
        """Last hidden states (B, T, D): each branch sees the shared prefix and itself, causally."""
        branch_BT = packed.branch_ids
        same_BTT = (branch_BT[:, :, None] == branch_BT[:, None, :]) | (branch_BT[:, None, :] == 0)
        length = branch_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool, device=branch_BT.device).tril()
        outputs = self.vlm.model(
            inputs_embeds=self._embed_packed(packed),
            attention_mask=(same_BTT & causal_TT)[:, None],
            position_ids=self._positions(packed),
            use_cache=False,
        )
        return outputs.last_hidden_state

    def _positions(self, packed: PackedBatch) -> Tensor:
        """Positions (B, T); the tokens that predict depth codes stand where the configuration says."""
        if self.config.depth_positions == "sequence":
            return packed.position_ids
        cells = self.config.depth.tokens_per_map
        cells_BN = positions_of_cells(
            packed.input_ids,
            packed.position_ids,
            self.config.vlm.image_token_id,
            cells,
            self.config.vlm.image_seq_length,
        )
        rows_R, starts_R = packed.spans.unbind(1)
        positions_BT = packed.position_ids.clone()
        places_RN = starts_R[:, None] + torch.arange(cells, device=starts_R.device)
        positions_BT[rows_R[:, None], places_RN] = cells_BN[rows_R]
        return positions_BT

    def _next_losses(self, packed: PackedBatch, states_BTD: Tensor, found: Rounds) -> tuple[Tensor, dict[str, Tensor]]:
        """What `more` adds (M,) after each `[SEG]`, and its loss."""
        rows_M, positions_M = packed.segments.unbind(1)
        states_MD = states_BTD[rows_M, positions_M]
        visual_MVD = self.visual_states(states_BTD, packed.input_ids)[rows_M]
        if not self.config.pointing:
            return self.more(states_MD, visual_MVD, found.marked_after), {}
        cells_MV = self.projector.next_cells(states_MD.float(), visual_MVD.float(), found.marked_after)
        more_M = self.projector.more_logits(cells_MV)
        follows_M = packed.targets[rows_M, positions_M]
        due_M = follows_M != -100
        goes_on_M = follows_M == self.config.seg_token_id
        whether = nn.functional.binary_cross_entropy_with_logits(
            more_M[due_M], goes_on_M[due_M].to(more_M.dtype), reduction="sum"
        )
        return more_M, {
            "next": point_loss(cells_MV[goes_on_M], found.following[goes_on_M]) + whether / max(int(due_M.sum()), 1)
        }

    def _rounds(self, packed: PackedBatch) -> Rounds:
        """What is marked and what is left at each `[SEG]`."""
        rows_M, positions_M = packed.segments.unbind(1)
        answers_M = rows_M * packed.branch_ids.shape[1] + packed.branch_ids[rows_M, positions_M]
        return rounds(packed.masks, self.config.vlm.image_seq_length, answers_M, packed.groups)

    def _sequence_losses(
        self, packed: PackedBatch, states_BTD: Tensor, codes_RN: Tensor, more_M: Tensor
    ) -> dict[str, Tensor]:
        vocabulary = self.config.vocabulary
        device = states_BTD.device
        due_BT = packed.targets != -100
        targets_P = packed.targets[due_BT]
        # the head runs only where there is a label: most positions are image or question
        logits_PV = self.vlm.lm_head(states_BTD[due_BT]).float()
        more_BT = torch.zeros_like(packed.weights).index_put(packed.segments.unbind(1), more_M.to(packed.weights.dtype))
        seg_1 = torch.tensor([vocabulary.seg], device=device)
        logits_PV.index_add_(1, seg_1, more_BT[due_BT][:, None])  # in place: nothing in training is larger
        markers = torch.tensor([vocabulary.depth_start, vocabulary.depth_end], device=device)
        code_ids = torch.tensor(vocabulary.codes, device=device)
        inside_P = torch.isin(targets_P, code_ids)
        plain_P = ~(inside_P | torch.isin(targets_P, markers))
        losses = {
            "text": objectives.text_loss(logits_PV, targets_P, packed.weights[due_BT] * plain_P),
            "marker": objectives.marker_loss(logits_PV, targets_P, markers, inside_P),
            "token": objectives.token_loss(logits_PV, targets_P, inside_P),
            "count": objectives.count_loss(
                logits_PV, code_ids, packed.answer_ids[due_BT], packed.answer_has_span, vocabulary.tokens_per_map
            ),
        }
        if self.loss_weights.reconstruction:
            losses["reconstruction"] = self._reconstruction_loss(packed, states_BTD, code_ids)
        return losses

    def _reconstruction_loss(self, packed: PackedBatch, states_BTD: Tensor, code_ids: Tensor) -> Tensor:
        """One span an image: its other spans hold the same codes, and decoding is not free."""
        spans_R2 = packed.spans[packed.targets[packed.spans[:, 0], packed.spans[:, 1]] != -100]
        first_R = torch.ones(len(spans_R2), dtype=torch.bool, device=spans_R2.device)
        first_R[1:] = spans_R2[1:, 0] != spans_R2[:-1, 0]
        rows_R, starts_R = spans_R2[first_R].unbind(1)
        positions_RN = starts_R[:, None] + torch.arange(self.config.depth.tokens_per_map, device=starts_R.device)
        code_logits_RNK = nn.functional.linear(
            states_BTD[rows_R[:, None], positions_RN], self.vlm.lm_head.weight[code_ids]
        )
        return objectives.reconstruction_loss(
            code_logits_RNK,
            self.depth_tokenizer.codebook,
            self.depth_tokenizer.decode_vectors,
            packed.depth_maps[rows_R],
        )

    def _mask_losses(self, packed: PackedBatch, states_BTD: Tensor, found: Rounds) -> dict[str, Tensor]:
        rows_M, positions_M = packed.segments.unbind(1)
        taught_M = packed.targets[rows_M, positions_M - 1] != -100  # others are read, but nothing says they are right
        rows_M, positions_M, masks = rows_M[taught_M], positions_M[taught_M], packed.masks[taught_M]
        visual_BVD = self.visual_states(states_BTD, packed.input_ids)
        found = found.of(taught_M)
        states_MD = states_BTD[rows_M, positions_M]
        cells_MV = self.point(states_MD, visual_BVD[rows_M], found.marked)
        prompts_MC = self._prompts(states_MD, cells_MV, found.others)
        losses = {}
        if self.config.pointing:
            losses["point"] = point_loss(cells_MV, found.wanted)
            losses["presence"] = presence_loss(self.projector.presence_logits(cells_MV), masks)
        weights = self.loss_weights
        if weights.prompt:
            losses["prompt"] = prompt_loss(self.sam, prompts_MC, masks)
        if weights.bce or weights.dice or weights.score or weights.object:  # SAM2 is half of a small model's work
            features = self.image_features(packed.sam_pixel_values)
            prediction = decode_masks(self.sam, features, rows_M, prompts_MC, self.config.sam_prompts)
            losses |= mask_loss(prediction, masks)
        return losses

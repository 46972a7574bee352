"""InternVL that writes spatial tokens, with SAM2 reading `[SEG]` states and a VQ-VAE reading depth codes.

Legend: B images, T positions, D width of the language model, V visual tokens of the whole picture, L entries of the
vocabulary, M referred objects, C width of SAM2's prompts, K depth codes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import InternVLForConditionalGeneration, PreTrainedModel, Sam2Model
from transformers.cache_utils import Cache
from transformers.utils import ModelOutput

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.positions import span_positions, visual_columns
from perceptio.pretrained.folder import naming
from perceptio.pretrained.misfits import refuse_misfits
from perceptio.pretrained.weights import build_network, read_weights
from perceptio.segmentation.bridge import ImageFeatures, MaskPrediction, decode_masks, encode_image
from perceptio.segmentation.cache import FeatureCache
from perceptio.segmentation.clicks import cell_clicks
from perceptio.segmentation.pointing.pointer import Pointed, Pointer, PointerSteps
from perceptio.segmentation.projector import SegmentationProjector


@dataclass
class PerceptioOutput(ModelOutput):
    """What a forward pass gives.

    Args:
        loss: () cross-entropy of the labels, where there are any.
        logits: (B, T', L) at the last T' positions, see `logits_to_keep`.
        last_hidden_state: (B, T, D).
        past_key_values: the cache, where one is used.
        depth_logits: (B, T', K) those of the depth codes alone, in order of the code; where `input_ids` were given.
        seg_states: (M, D) last hidden state at each `[SEG]` among `input_ids`, row by row, from which
            `PerceptioForConditionalGeneration.segment` draws masks.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    last_hidden_state: Tensor | None = None
    past_key_values: Cache | None = None
    depth_logits: Tensor | None = None
    seg_states: Tensor | None = None


class PerceptioForConditionalGeneration(PreTrainedModel):
    """The whole model.

    Parts: `vlm` (InternVL), `sam` (SAM2; image and prompt encoders frozen), `depth_tokenizer` (VQ-VAE, frozen),
    `projector` (the state at `[SEG]` -> a sparse prompt of SAM2's mask decoder, LISA 2308.00692), `pointer`, which is
    None unless the configuration says `pointing` (`segmentation/pointing`, ours), and `depth_query` (D,), the embedding
    that asks for a depth code where all are found at once, None unless `depth_decoding` is "parallel".
    """

    config_class = PerceptioConfig
    config: PerceptioConfig
    base_model_prefix = ""
    _supports_sdpa = True
    # masks suffer from bfloat16, and a map near the border of two codes would get the other one (regular expressions)
    _keep_in_fp32_modules_strict: ClassVar[list[str]] = [
        rf"^{part}[.]" for part in ("sam", "depth_tokenizer", "projector", "pointer")
    ]
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "vlm.lm_head.weight": "vlm.model.language_model.embed_tokens.weight"
    }

    def __init__(self, config: PerceptioConfig) -> None:
        super().__init__(config)
        sizes = config.vlm.text_config.hidden_size, config.sam.mask_decoder_config.hidden_size
        self.vlm = InternVLForConditionalGeneration(config.vlm)
        self.sam = Sam2Model(config.sam)
        self.depth_tokenizer = DepthTokenizer(config.depth)
        self.projector = SegmentationProjector(*sizes)
        self.pointer = Pointer(*sizes) if config.pointing else None
        self.depth_query = nn.Parameter(torch.zeros(sizes[0])) if config.depth_decoding == "parallel" else None
        self.post_init()
        self.freeze()

    def _init_weights(self, module: nn.Module) -> None:
        """The parts initialise themselves; the linear layers of projector and pointer keep torch's default."""

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
    def from_pretrained(cls, folder: str | os.PathLike[str] | None, *args: Any, **kwargs: Any) -> Any:
        """The model of a folder, with all of its weights.

        Args:
            folder: not a hub id. None serves transformers' own call, with a configuration and weights.
            args: likewise.
            kwargs: with a folder, `dtype` alone: of the vision-language model, by default that of its weights.

        Raises:
            ModelError: if a file is missing or damaged, a field of config.json holds what it may not, or a weight is
                missing, unexpected, of another shape or not finite.
        """
        if folder is None:
            return super().from_pretrained(None, *args, **kwargs)
        return _read(cls, Path(folder), *args, **kwargs)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
    ) -> PerceptioOutput:
        """Read a sequence, as an InternVL of transformers does.

        Training on packed questions, with the losses of masks and depth, is `model.packed_objective`.

        Args:
            input_ids: (B, T) int64. With `inputs_embeds` they are optional, and say only where spans and `[SEG]` are.
            pixel_values: (tiles, 3, side, side) of all rows' pictures in order, for the image placeholders.
            attention_mask: (B, T), 0 at padding; or (B, 1, T, T) bool, which then needs `position_ids`.
            position_ids: (B, T); by default they count the mask, and codes stand where `depth_positions` says.
            past_key_values: keys and values of earlier positions.
            inputs_embeds: (B, T, D) in place of the embeddings of `input_ids`.
            labels: (B, T) int64: the ids once more, -100 where nothing is taught. The logits at a position are compared
                with the label of the next.
            use_cache: whether to return the cache.
            logits_to_keep: compute logits for so many positions at the end; 0: for all.

        Raises:
            ValueError: if neither ids nor embeddings are given, or visual tokens and placeholders differ in number.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("give input_ids or inputs_embeds: there is nothing to read")
            inputs_embeds = self.get_input_embeddings()(input_ids)
            if pixel_values is not None:
                inputs_embeds = self.embed(input_ids, self.visual_tokens(pixel_values))
        if position_ids is None and input_ids is not None and past_key_values is None:
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            position_ids = self.positions(input_ids, (mask.long().cumsum(1) - 1).clamp(min=0))
        outputs = self.vlm.model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
        )
        states_BTD = outputs.last_hidden_state
        logits_BTL = self.vlm.lm_head(states_BTD[:, -logits_to_keep:])
        return PerceptioOutput(
            loss=None if labels is None else next_token_loss(logits_BTL, labels),
            logits=logits_BTL,
            last_hidden_state=states_BTD,
            past_key_values=outputs.past_key_values,
            depth_logits=None if input_ids is None else logits_BTL[..., self.config.depth_code_token_ids],
            seg_states=None if input_ids is None else states_BTD[input_ids == self.config.seg_token_id],
        )

    def visual_tokens(self, pixel_values: Tensor) -> Tensor:
        """Visual tokens (tiles, V, D) of (tiles, 3, side, side) pictures, as the language model reads them."""
        visual: Tensor = self.vlm.get_image_features(pixel_values=pixel_values, return_dict=True).pooler_output
        return visual

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

    def positions(self, input_ids_BT: Tensor, position_ids_BT: Tensor) -> Tensor:
        """Rotary positions (B, T): the given ones, but for tokens that predict depth codes where `depth_positions` says
        that they stand at the places of the picture."""
        if self.config.depth_positions == "sequence":
            return position_ids_BT
        vlm, cells = self.config.vlm, self.config.depth.tokens_per_map
        starts_BT = input_ids_BT == self.config.depth_start_token_id
        return span_positions(
            input_ids_BT, position_ids_BT, starts_BT.nonzero(), vlm.image_token_id, cells, vlm.image_seq_length
        )

    def whole_picture(self, values_BTD: Tensor, input_ids_BT: Tensor) -> Tensor:
        """Of states or embeddings (B, T, D), those (B, V, D) at the visual tokens of each row's whole picture."""
        vlm = self.config.vlm
        columns_BV = visual_columns(input_ids_BT, vlm.image_token_id, vlm.image_seq_length)
        return values_BTD.gather(1, columns_BV[..., None].expand(-1, -1, values_BTD.shape[-1]))

    def image_features(self, sam_pixel_values: Tensor, cache: FeatureCache | None = None) -> ImageFeatures:
        """SAM2's features of (B, 3, S', S') images, once for any number of masks."""
        return encode_image(self.sam, sam_pixel_values, cache=cache)

    def start_pointing(self, visual_BVD: Tensor, visual_states_BVD: Tensor) -> PointerSteps | None:
        """Begin to decode a batch with the pointer; None where the model has none. Arguments as of `Pointer.start`."""
        if self.pointer is None:
            return None
        return self.pointer.start(visual_BVD, visual_states_BVD, cell_clicks(self.sam, visual_BVD.shape[1]))

    def segment(
        self,
        states_MD: Tensor,
        image_index_M: Tensor,
        features: ImageFeatures,
        pointed: Pointed | None = None,
    ) -> MaskPrediction:
        """Masks of M objects.

        Args:
            states_MD: at each `[SEG]`.
            image_index_M: the image in `features` that each is in.
            features: of SAM2, see `image_features`.
            pointed: what the states point at, of a model with a pointer.
        """
        prompts_MC = self.prompts(states_MD, pointed)
        prediction = decode_masks(self.sam, features, image_index_M, prompts_MC, self.config.sam_prompts == "padded")
        if pointed is None:
            return prediction
        return replace(prediction, object_logit=torch.minimum(prediction.object_logit, pointed.objectness))

    def prompts(self, states_MD: Tensor, pointed: Pointed | None = None) -> Tensor:
        """Sparse prompts (M, C) of SAM2's mask decoder; arguments as in `segment`."""
        prompts_MC: Tensor = self.projector(states_MD.float())
        return prompts_MC if pointed is None else prompts_MC + pointed.clicks


def _read(
    kind: type[PerceptioForConditionalGeneration], folder: Path, dtype: torch.dtype | None = None
) -> PerceptioForConditionalGeneration:
    config = PerceptioConfig.from_pretrained(folder)
    weights = read_weights(folder)
    with naming(folder):
        model, report = build_network(kind, config, weights, dtype)
        refuse_misfits(report, "the model of its config.json")
    model.freeze()  # loading makes fresh parameters, which all want gradients
    return model


def next_token_loss(logits_BTL: Tensor, labels_BT: Tensor) -> Tensor:
    """Mean cross-entropy of the logits at each position with the label of the next; 0 where nothing is taught."""
    targets_BT = labels_BT[:, -logits_BTL.shape[1] :][:, 1:]
    losses = nn.functional.cross_entropy(
        logits_BTL[:, :-1].float().flatten(0, 1), targets_BT.flatten(), ignore_index=-100, reduction="sum"
    )
    return losses / (targets_BT != -100).sum().clamp(min=1)

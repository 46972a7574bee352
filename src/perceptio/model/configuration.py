"""Configuration of the whole model: a vision-language model, SAM2, the depth tokenizer and the spatial token ids."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, get_args

from transformers import AutoConfig, InternVLConfig, PretrainedConfig, Sam2Config

from perceptio.depth.configuration import DEPTH_FIELDS, DepthTokenizerConfig
from perceptio.model.design import DepthPositions, Design, SamPrompts
from perceptio.model.vlm_configuration import read_vlm_config
from perceptio.pretrained.fields import (
    FLAG,
    SECTION,
    Fields,
    check,
    choice,
    read_fields,
    required,
    several,
    shown,
    whole,
)
from perceptio.pretrained.folder import ModelError, naming, read_object
from perceptio.segmentation.configuration import read_sam_config
from perceptio.tokens import DepthDecoding, Order, SpatialVocabulary

_DEFAULT = Design()
_ID = whole(-1, 10_000_000)  # -1: the vocabulary has no such token yet
_CODES = 1_000_000  # the most
_PART = required(SECTION)  # a missing one would silently become a 7B default
_FIELDS: Fields = {
    "vlm": _PART,
    "sam": _PART,
    "depth": _PART,
    "seg_token_id": _ID,
    "depth_start_token_id": _ID,
    "depth_end_token_id": _ID,
    "depth_code_token_ids": several(_ID, 0, _CODES),
    "end_token_id": _ID,
    "depth_positions": choice(*get_args(DepthPositions)),
    "pointing": FLAG,
    "sam_prompts": choice(*get_args(SamPrompts)),
    "order": choice(*get_args(Order)),
    "mask_gate": FLAG,
    "depth_decoding": choice(*get_args(DepthDecoding)),
}


class PerceptioConfig(PretrainedConfig):
    """Configuration of `PerceptioForConditionalGeneration`.

    Args:
        vlm: InternVL configuration (vision tower, pixel shuffle, language model).
        sam: SAM2 configuration.
        depth: depth tokenizer configuration; its grid decides the number of codes in a depth span.
        seg_token_id: id of `[SEG]`.
        depth_start_token_id: id of `<DEPTH_START>`.
        depth_end_token_id: id of `<DEPTH_END>`.
        depth_code_token_ids: ids of `<DEPTH_0>` ... `<DEPTH_{K-1}>`, in order of the code.
        end_token_id: id of the token that ends an answer.
        depth_positions, pointing, sam_prompts, order, mask_gate, depth_decoding: as of `Design`, which has
            the defaults.

    Raises:
        ValueError: if a field holds what it may not, or the number of code ids is not the size of the codebook.
    """

    model_type = "perceptio"
    sub_configs: ClassVar[dict[str, Any]] = {"vlm": InternVLConfig, "sam": Sam2Config, "depth": DepthTokenizerConfig}

    def __init__(
        self,
        vlm: InternVLConfig | dict[str, Any] | None = None,
        sam: Sam2Config | dict[str, Any] | None = None,
        depth: DepthTokenizerConfig | dict[str, Any] | None = None,
        seg_token_id: int = -1,
        depth_start_token_id: int = -1,
        depth_end_token_id: int = -1,
        depth_code_token_ids: list[int] | None = None,
        end_token_id: int = -1,
        depth_positions: DepthPositions = _DEFAULT.depth_positions,
        pointing: bool = _DEFAULT.pointing,
        sam_prompts: SamPrompts = _DEFAULT.sam_prompts,
        order: Order = _DEFAULT.order,
        mask_gate: bool = _DEFAULT.mask_gate,
        depth_decoding: DepthDecoding = _DEFAULT.depth_decoding,
        **kwargs: Any,
    ) -> None:
        self.vlm = read_vlm_config(vlm, "vlm") if isinstance(vlm, dict) else vlm or InternVLConfig()
        self.sam = read_sam_config(sam, "sam") if isinstance(sam, dict) else sam or Sam2Config()
        if isinstance(depth, dict):
            depth = DepthTokenizerConfig(**read_fields(depth, DEPTH_FIELDS, "depth"))
        self.depth = depth or DepthTokenizerConfig()
        self.seg_token_id = seg_token_id
        self.depth_start_token_id = depth_start_token_id
        self.depth_end_token_id = depth_end_token_id
        self.depth_code_token_ids = list(depth_code_token_ids or [])
        self.end_token_id = end_token_id
        self.depth_positions = depth_positions
        self.pointing = pointing
        self.sam_prompts = sam_prompts
        self.order = order
        self.mask_gate = mask_gate
        self.depth_decoding = depth_decoding
        for name, field in _FIELDS.items():
            if field is not _PART:
                check(name, getattr(self, name), field)
        if sam_prompts == "padded" and self.sam.mask_decoder_config.num_multimask_outputs < 1:
            raise ValueError('sam_prompts "padded" chooses among several masks, but this SAM 2 makes only one')
        if pointing and order == "interleaved":
            raise ValueError(
                'order "interleaved" has no pointer, whose [SEG] tokens stand together: switch pointing off'
            )
        if self.depth_code_token_ids and len(self.depth_code_token_ids) != self.depth.codes:
            raise ValueError(
                f"{len(self.depth_code_token_ids)} depth code token ids were given for a codebook of "
                f"{self.depth.codes} codes; extend the vocabulary with the same depth configuration"
            )
        kwargs.setdefault("tie_word_embeddings", self.vlm.tie_word_embeddings)
        super().__init__(**kwargs)

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> Any:
        """The configuration of a model's folder.

        Args:
            folder: not a hub id.

        Raises:
            ModelError: if config.json is missing, damaged or of another model, or a field holds what it may not.
        """
        path = Path(folder) / "config.json"
        stored = read_object(path)
        if stored.get("model_type") != cls.model_type:
            raise ModelError(f"{path} is of a model of type {shown(stored.get('model_type'))}, not a Perceptio model")
        with naming(path):
            return cls.from_dict(stored)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', from the content of a file: its fields are checked, and the library's own left out.

        Raises:
            ValueError: if a field is missing or holds what it may not.
        """
        return super().from_dict(read_fields(config_dict, _FIELDS), **kwargs)

    @property
    def vocabulary(self) -> SpatialVocabulary:
        """The ids of the spatial tokens, the length of a depth span, and the order of an answer's parts.

        Raises:
            ValueError: if the vocabulary was never extended with spatial tokens.
        """
        if self.seg_token_id < 0 or not self.depth_code_token_ids:
            raise ValueError("this configuration has no spatial tokens; extend the vocabulary first (model.vocabulary)")
        return SpatialVocabulary(
            seg=self.seg_token_id,
            depth_start=self.depth_start_token_id,
            depth_end=self.depth_end_token_id,
            codes=tuple(self.depth_code_token_ids),
            tokens_per_map=self.depth.tokens_per_map,
            end_of_text=self.end_token_id,
            order=self.order,
        )

    def set_vocabulary(self, vocabulary: SpatialVocabulary) -> None:
        """Record the ids that the tokenizer gave to the spatial tokens."""
        self.seg_token_id = vocabulary.seg
        self.depth_start_token_id = vocabulary.depth_start
        self.depth_end_token_id = vocabulary.depth_end
        self.depth_code_token_ids = list(vocabulary.codes)
        self.end_token_id = vocabulary.end_of_text


# AutoTokenizer reads config.json too, and would warn of a model type that it does not know
AutoConfig.register(PerceptioConfig.model_type, PerceptioConfig)

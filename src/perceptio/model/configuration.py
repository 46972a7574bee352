"""Configuration of the whole model: a vision-language model, SAM2, the depth tokenizer and the spatial token ids."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from transformers import AutoConfig, InternVLConfig, PretrainedConfig, Sam2Config

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.design import DepthPositions, Design, SamPrompts
from perceptio.tokens import Order, SpatialVocabulary

_DEFAULT = Design()


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
        depth_positions, pointing, sam_prompts, order: as of `Design`, which has the defaults.

    Raises:
        ValueError: if the number of code ids is not the size of the codebook, or `depth_positions` or `order` is
            unknown.
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
        **kwargs: Any,
    ) -> None:
        self.vlm = vlm if isinstance(vlm, InternVLConfig) else InternVLConfig(**_arguments(vlm))
        self.sam = sam if isinstance(sam, Sam2Config) else Sam2Config(**_arguments(sam))
        self.depth = depth if isinstance(depth, DepthTokenizerConfig) else DepthTokenizerConfig(**_arguments(depth))
        self.seg_token_id = seg_token_id
        self.depth_start_token_id = depth_start_token_id
        self.depth_end_token_id = depth_end_token_id
        self.depth_code_token_ids = list(depth_code_token_ids or [])
        self.end_token_id = end_token_id
        self.depth_positions = depth_positions
        self.pointing = pointing
        self.sam_prompts = sam_prompts
        self.order = order
        for name, kind in (("depth_positions", DepthPositions), ("order", Order), ("sam_prompts", SamPrompts)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        if sam_prompts == "padded" and self.sam.mask_decoder_config.num_multimask_outputs < 1:
            raise ValueError('sam_prompts "padded" chooses among several masks, but this SAM 2 makes only one')
        if self.depth_code_token_ids and len(self.depth_code_token_ids) != self.depth.codes:
            raise ValueError(
                f"{len(self.depth_code_token_ids)} depth code token ids were given for a codebook of "
                f"{self.depth.codes} codes; extend the vocabulary with the same depth configuration"
            )
        kwargs.setdefault("tie_word_embeddings", self.vlm.tie_word_embeddings)
        super().__init__(**kwargs)

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


def _arguments(config: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (config or {}).items() if key != "model_type"}

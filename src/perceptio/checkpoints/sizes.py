"""Published sizes of InternVL 2.5, 3 and 3.5 and of SAM 2.1, as configurations of transformers' classes.

A model is loaded with the configuration in its own folder; these serve where there is none (Sa2VA checkpoints hold
SAM 2 weights without a configuration) and for planning before anything is downloaded. docs/scale.md says which of the
numbers were read and which are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import InternVLConfig, InternVLVisionConfig, LlamaConfig, Qwen2Config, Qwen3Config, Sam2Config

_TOKENIZER = {"qwen2": 151674, "qwen3": 151936, "internlm2": 92553, "internlm3": 128521}  # embeddings
_IMAGE_TOKEN = {"qwen2": 151667, "qwen3": 151671, "internlm2": 92546, "internlm3": 128514}
_TEXT = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "internlm2": LlamaConfig, "internlm3": LlamaConfig}


@dataclass(frozen=True)
class LanguageSize:
    """Sizes of a language model."""

    family: str  # qwen2 (Qwen2.5), qwen3, internlm2 or internlm3 (both of Llama's architecture)
    width: int
    mlp: int
    layers: int
    heads: int
    key_value_heads: int

    def config(self) -> Any:
        """As transformers wants it; embedding and head are apart, as in all published InternVL checkpoints."""
        return _TEXT[self.family](
            vocab_size=_TOKENIZER[self.family],
            hidden_size=self.width,
            intermediate_size=self.mlp,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            head_dim=128 if self.family == "qwen3" else self.width // self.heads,
            max_position_embeddings=32768,
            tie_word_embeddings=False,
        )


@dataclass(frozen=True)
class SamSize:
    """What differs between the sizes of SAM 2 and 2.1."""

    width: int  # channels of the first stage; they double at each next
    heads: int  # likewise
    blocks: tuple[int, int, int, int]  # of each stage
    windows: tuple[int, int, int, int]  # side of attention windows in each stage
    background: int  # side of the position embeddings that are stretched over the picture
    global_blocks: tuple[int, int, int]  # that attend to the whole picture


QWEN25_05B = LanguageSize("qwen2", 896, 4864, 24, 14, 2)
QWEN25_32B = LanguageSize("qwen2", 5120, 27648, 64, 40, 8)
INTERNVL = {
    "InternVL2.5-1B": QWEN25_05B,
    "InternVL2.5-2B": LanguageSize("internlm2", 2048, 8192, 24, 16, 8),
    "InternVL2.5-4B": LanguageSize("qwen2", 2048, 11008, 36, 16, 2),
    "InternVL2.5-8B": LanguageSize("internlm2", 4096, 14336, 32, 32, 8),
    "InternVL2.5-26B": LanguageSize("internlm2", 6144, 16384, 48, 48, 8),
    "InternVL2.5-38B": QWEN25_32B,
    "InternVL3-1B": QWEN25_05B,
    "InternVL3-2B": LanguageSize("qwen2", 1536, 8960, 28, 12, 2),
    "InternVL3-8B": LanguageSize("qwen2", 3584, 18944, 28, 28, 4),
    "InternVL3-9B": LanguageSize("internlm3", 4096, 10240, 48, 32, 2),
    "InternVL3-14B": LanguageSize("qwen2", 5120, 13824, 48, 40, 8),
    "InternVL3-38B": QWEN25_32B,
    "InternVL3.5-1B": LanguageSize("qwen3", 1024, 3072, 28, 16, 8),
    "InternVL3.5-2B": LanguageSize("qwen3", 2048, 6144, 28, 16, 8),
    "InternVL3.5-4B": LanguageSize("qwen3", 2560, 9728, 36, 32, 8),
    "InternVL3.5-8B": LanguageSize("qwen3", 4096, 12288, 36, 32, 8),
    "InternVL3.5-14B": LanguageSize("qwen3", 5120, 17408, 40, 40, 8),
    "InternVL3.5-38B": LanguageSize("qwen3", 5120, 25600, 64, 64, 8),
}
_BIG_VISION = ("26B", "38B")  # with InternViT-6B, the others with InternViT-300M
SAM = {
    "tiny": SamSize(96, 1, (1, 2, 7, 2), (8, 4, 14, 7), 7, (5, 7, 9)),
    "small": SamSize(96, 1, (1, 2, 11, 2), (8, 4, 14, 7), 7, (7, 10, 13)),
    "base-plus": SamSize(112, 2, (2, 3, 16, 3), (8, 4, 14, 7), 14, (12, 16, 20)),
    "large": SamSize(144, 2, (2, 6, 36, 4), (8, 4, 16, 8), 7, (23, 33, 43)),
}


def internvl_config(name: str) -> InternVLConfig:
    """The configuration of a published InternVL, such as "InternVL3-8B".

    Raises:
        ValueError: if no such size is known.
    """
    if name not in INTERNVL:
        raise ValueError(f"unknown InternVL {name!r}: known are {', '.join(INTERNVL)}")
    size = INTERNVL[name]
    if name.endswith(_BIG_VISION):
        vision = InternVLVisionConfig(
            hidden_size=3200,
            num_hidden_layers=45,
            num_attention_heads=25,
            intermediate_size=12800,
            norm_type="rms_norm",
            use_qk_norm=True,
            attention_bias=False,
        )
    else:
        vision = InternVLVisionConfig(attention_bias=True)
    return InternVLConfig(
        vision_config=vision,
        text_config=size.config(),
        image_token_id=_IMAGE_TOKEN[size.family],
        tie_word_embeddings=False,
    )


def sam_config(name: str) -> Sam2Config:
    """The configuration of a published SAM 2 or 2.1: tiny, small, base-plus or large.

    Raises:
        ValueError: for any other.
    """
    if name not in SAM:
        raise ValueError(f"unknown size {name!r} of SAM 2: known are {', '.join(SAM)}")
    size = SAM[name]
    widths = [size.width * 2**stage for stage in range(4)]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": size.width,
        "num_attention_heads": size.heads,
        "blocks_per_stage": list(size.blocks),
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [size.heads * 2**stage for stage in range(4)],
        "window_size_per_stage": list(size.windows),
        "window_positional_embedding_background_size": [size.background] * 2,
        "global_attention_blocks": list(size.global_blocks),
    }
    vision = {"model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": widths[::-1]}
    return Sam2Config(vision_config=vision)

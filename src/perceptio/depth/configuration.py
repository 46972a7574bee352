"""Configuration of the depth tokenizer; the defaults are the parent's scale (AURORA, 2412.03548)."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from perceptio.pretrained.fields import LAYERS, Fields, check, number, read_fields, whole

_LARGEST_GRID = 128
DEPTH_FIELDS: Fields = {
    "image_size": whole(2, 2048),
    "downsample": whole(2, 2048),
    "codes": whole(1, 1_000_000),
    "code_dim": whole(1, 65_536),
    "width": whole(1, 65_536),
    "blocks": LAYERS,
    "decay": number(0, 1),
    "commitment": number(0, 1_000_000),
    "dead_code_threshold": number(0, 1_000_000),
}


class DepthTokenizerConfig(PretrainedConfig):
    """Sizes of the depth VQ-VAE.

    Args:
        image_size: side of the square depth map, px.
        downsample: map pixels per code, a power of two.
        codes: K, entries of the codebook.
        code_dim: D, width of a code.
        width: channels at the coarsest level.
        blocks: residual blocks at the coarsest level of the encoder; the decoder has twice as many.
        decay: of the EMA codebook.
        commitment: weight of the commitment loss.
        dead_code_threshold: EMA count below which a code is replaced by an encoder output.

    Raises:
        ValueError: if a field holds what it may not, or the downsampling is not a power of two that divides the side,
            or makes too large a grid.
    """

    model_type = "perceptio_depth"

    def __init__(
        self,
        image_size: int = 320,
        downsample: int = 32,
        codes: int = 128,
        code_dim: int = 512,
        width: int = 512,
        blocks: int = 2,
        decay: float = 0.99,
        commitment: float = 0.25,
        dead_code_threshold: float = 2.0,
        **kwargs: Any,
    ) -> None:
        self.image_size = image_size
        self.downsample = downsample
        self.codes = codes
        self.code_dim = code_dim
        self.width = width
        self.blocks = blocks
        self.decay = decay
        self.commitment = commitment
        self.dead_code_threshold = dead_code_threshold
        for name, field in DEPTH_FIELDS.items():
            check(name, getattr(self, name), field)
        if downsample & (downsample - 1) or image_size % downsample:
            raise ValueError(
                f"downsample must be a power of two that divides image_size {image_size}, not {downsample}"
            )
        if self.grid > _LARGEST_GRID:
            raise ValueError(f"image_size / downsample must be at most {_LARGEST_GRID}, not {self.grid}")
        super().__init__(**kwargs)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As transformers', from the content of a file: its fields are checked, and the library's own left out.

        Raises:
            ValueError: if a field holds what it may not.
        """
        return super().from_dict(read_fields(config_dict, DEPTH_FIELDS), **kwargs)

    @property
    def grid(self) -> int:
        """Codes along one side of a map."""
        return self.image_size // self.downsample

    @property
    def tokens_per_map(self) -> int:
        """N, codes in one depth span."""
        return self.grid**2

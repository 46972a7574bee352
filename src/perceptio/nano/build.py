"""Build a small model from nothing: the embedded nano and the tiny models of the tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated

import torch
from torch import nn
from transformers import (
    GotOcr2ImageProcessorPil,
    InternVLConfig,
    InternVLVisionConfig,
    PreTrainedTokenizerBase,
    Qwen2Config,
)

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.design import Design
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.parallel_depth import fresh_query
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.initialization import (
    VISION,
    mimetic_attention,
    sine_positions,
    transparent_language,
    weight_std,
)
from perceptio.nano.small_sam import SIDE_MULTIPLE, build_sam, nano_sam_config
from perceptio.segmentation.preprocess import IMAGE_MEAN, IMAGE_STD
from perceptio.training.limits import Range

MOST_WEIGHTS = 400_000_000  # 1.6 GB; gradients and the optimiser take three times as much again
_WORDS = 32  # tokens for a question and its answer, at the very least

Heads = Annotated[int, Range(1, 128)]
Layers = Annotated[int, Range(1, 128)]
Width = Annotated[int, Range(8, 4096)]


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that is built from nothing; the defaults are nano's.

    Raises:
        ValueError: if sizes do not fit each other.
    """

    image: Annotated[int, Range(32, 2048)] = 224  # side of both encoders' input, px
    patch: Annotated[int, Range(1, 128)] = 8  # px; visual tokens = (image / patch / 2)^2
    vision_width: Width = 192
    vision_layers: Layers = 8
    vision_heads: Heads = 3
    text_width: Width = 256
    text_layers: Layers = 6
    text_heads: Heads = 4
    text_mlp: Annotated[int, Range(1, 16_384)] = 768
    context: Annotated[int, Range(64, 65_536)] = 1024  # tokens
    design: Design = field(default_factory=Design)

    def __post_init__(self) -> None:
        if self.image % SIDE_MULTIPLE:
            raise ValueError(f"image {self.image} is not a multiple of {SIDE_MULTIPLE} px, as SAM 2 needs")
        if self.image % (2 * self.patch):
            raise ValueError(f"image {self.image} is not a multiple of two patches of {self.patch} px")
        for kind, step in (("vision", 1), ("text", 2)):  # rotary positions turn pairs of numbers
            width, heads = getattr(self, f"{kind}_width"), getattr(self, f"{kind}_heads")
            if width % (heads * step):
                even = " even" if step == 2 else ""
                raise ValueError(
                    f"{kind}_width {width} cannot be cut into {kind}_heads, {heads}, of the same{even} width"
                )
        if self.visual_tokens + _WORDS > self.context:
            raise ValueError(
                f"image {self.image} makes {self.visual_tokens:,} visual tokens in patches of {self.patch} px, which "
                f"leave no room for words in a context of {self.context:,} tokens"
            )
        if self.weights > MOST_WEIGHTS:
            raise ValueError(
                f"vision_width {self.vision_width}, vision_layers {self.vision_layers}, text_width {self.text_width}, "
                f"text_layers {self.text_layers} and text_mlp {self.text_mlp} make {self.weights:,} weights, but at "
                f"most {MOST_WEIGHTS:,} are trained from nothing"
            )

    @property
    def visual_tokens(self) -> int:
        """Of a picture."""
        return (self.image // self.patch // 2) ** 2

    @property
    def weights(self) -> int:
        """Of all layers, roughly."""
        vision = self.vision_layers * 12 * self.vision_width**2 + 4 * self.visual_tokens * self.vision_width
        text = self.text_layers * (4 * self.text_width**2 + 3 * self.text_width * self.text_mlp)
        return vision + text


def build_processor(tokenizer: PreTrainedTokenizerBase, sizes: Sizes) -> PerceptioProcessor:
    """The processor of a model with these sizes; one square tile an image."""
    side = sizes.image
    return PerceptioProcessor(
        image_processor=GotOcr2ImageProcessorPil(
            size={"height": side, "width": side},
            crop_to_patches=False,
            image_mean=list(IMAGE_MEAN),
            image_std=list(IMAGE_STD),
            do_convert_rgb=True,
        ),
        tokenizer=tokenizer,
        image_seq_length=sizes.visual_tokens,
        sam_image_size=side,
        context_length=sizes.context,
    )


def build_model(
    tokenizer: PreTrainedTokenizerBase, depth: DepthTokenizerConfig, sizes: Sizes | None = None
) -> PerceptioForConditionalGeneration:
    """A model with random weights; the tokenizer is extended with the spatial tokens in place.

    InternVL's own initial values are meant to be overwritten by a checkpoint, and train badly from nothing: position
    embeddings start as 2-D sines here instead of zeros, layer scales at 1 instead of 0.1, weights are drawn wider, as a
    narrow model needs, attention begins by looking at what is alike (and, in the tower, near), and the language model
    with layers through which its tokens can be seen.
    """
    sizes = sizes or Sizes()
    vocabulary = extend_tokenizer(tokenizer, depth.codes, depth.tokens_per_map, TURN_END)
    text = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text_width,
        intermediate_size=sizes.text_mlp,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=sizes.text_heads,
        num_key_value_heads=sizes.text_heads,
        max_position_embeddings=sizes.context,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        initializer_range=weight_std(sizes.text_width),
        eos_token_id=vocabulary.end_of_text,
    )
    vision = InternVLVisionConfig(
        hidden_size=sizes.vision_width,
        num_hidden_layers=sizes.vision_layers,
        num_attention_heads=sizes.vision_heads,
        intermediate_size=4 * sizes.vision_width,
        image_size=sizes.image,
        patch_size=sizes.patch,
        attention_bias=True,
        layer_scale_init_value=1.0,
        initializer_range=weight_std(sizes.vision_width),
    )
    vlm = InternVLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=sizes.visual_tokens,
        tie_word_embeddings=False,
    )
    config = PerceptioConfig(
        vlm=vlm,
        sam=nano_sam_config(sizes.image),
        depth=depth,
        **asdict(sizes.design),
    )
    config.set_vocabulary(vocabulary)
    model = PerceptioForConditionalGeneration(config)
    model.sam = build_sam(config.sam)
    model.freeze()
    with torch.no_grad():
        embeddings = model.vlm.model.vision_tower.embeddings
        grid = sizes.image // sizes.patch
        embeddings.position_embeddings[0, 1:] = sine_positions(grid, sizes.vision_width)
        for layer in model.vlm.model.vision_tower.encoder.layer:
            mimetic_attention(layer.attention, layer.attention.projection_layer, sizes.vision_heads, VISION)
        transparent_language(model.vlm.model.language_model, model.vlm.lm_head, sizes.text_heads)
        nn.init.normal_(embeddings.cls_token, std=0.02)
    if model.depth_query is not None:
        model.depth_query = fresh_query(model)
    return model

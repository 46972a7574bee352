"""Build a small model from nothing: the embedded nano and the tiny models of the tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

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
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vocabulary import TURN_END, extend_tokenizer
from perceptio.nano.initialization import (
    VISION,
    mimetic_attention,
    sine_positions,
    transparent_language,
    weight_std,
)
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.segmentation.preprocess import IMAGE_MEAN, IMAGE_STD


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that is built from nothing; the defaults are nano's."""

    image: int = 224  # side of both encoders' input, px
    patch: int = 8  # px; visual tokens = (image / patch / 2)^2
    vision_width: int = 192
    vision_layers: int = 8
    vision_heads: int = 3
    text_width: int = 256
    text_layers: int = 6
    text_heads: int = 4
    text_mlp: int = 768
    context: int = 1024  # tokens
    design: Design = field(default_factory=Design)


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
        image_seq_length=(side // sizes.patch // 2) ** 2,
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
        image_seq_length=(sizes.image // sizes.patch // 2) ** 2,
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
    return model

"""SAM 2's original names and shapes, listed here by hand from its source, against transformers' class."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from transformers import Sam2Model

from perceptio.checkpoints.conversion.sam2 import convert_sam, sam_size
from perceptio.checkpoints.sizes import SAM, sam_config
from perceptio.nano.small_sam import build_sam, nano_sam_config
from perceptio.pretrained.misfits import check_weights

Shapes = dict[str, tuple[int, ...]]
WIDTH = 256  # of prompts


def linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def convolution(name: str, inputs: int, outputs: int, side: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def perceptron(name: str, *widths: int) -> Shapes:
    shapes: Shapes = {}
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= linear(f"{name}.layers.{number}", inputs, outputs)
    return shapes


def encoder_shapes(name: str) -> Shapes:
    size, trunk = SAM[name], "image_encoder.trunk"
    widths = [size.width * 2**stage for stage in range(4)]
    shapes: Shapes = {
        f"{trunk}.pos_embed": (1, size.width, size.background, size.background),
        f"{trunk}.pos_embed_window": (1, size.width, size.windows[0], size.windows[0]),
        **convolution(f"{trunk}.patch_embed.proj", 3, size.width, 7),
    }
    number, before = 0, size.width
    for width, blocks in zip(widths, size.blocks, strict=True):
        for _ in range(blocks):
            block = f"{trunk}.blocks.{number}"
            shapes |= norm(f"{block}.norm1", before) | linear(f"{block}.attn.qkv", before, 3 * width)
            shapes |= linear(f"{block}.attn.proj", width, width) | norm(f"{block}.norm2", width)
            shapes |= perceptron(f"{block}.mlp", width, 4 * width, width)
            if before != width:
                shapes |= linear(f"{block}.proj", before, width)
            number, before = number + 1, width
    for number, width in enumerate(reversed(widths)):
        shapes |= convolution(f"image_encoder.neck.convs.{number}.conv", width, WIDTH, 1)
    return shapes


def prompt_shapes() -> Shapes:
    prompt = "sam_prompt_encoder"
    shapes: Shapes = {
        "no_mem_embed": (1, 1, WIDTH),
        f"{prompt}.pe_layer.positional_encoding_gaussian_matrix": (2, WIDTH // 2),
        **{f"{prompt}.point_embeddings.{number}.weight": (1, WIDTH) for number in range(4)},
        f"{prompt}.not_a_point_embed.weight": (1, WIDTH),
        f"{prompt}.no_mask_embed.weight": (1, WIDTH),
    }
    shapes |= convolution(f"{prompt}.mask_downscaling.0", 1, 4, 2) | norm(f"{prompt}.mask_downscaling.1", 4)
    shapes |= convolution(f"{prompt}.mask_downscaling.3", 4, 16, 2) | norm(f"{prompt}.mask_downscaling.4", 16)
    return shapes | convolution(f"{prompt}.mask_downscaling.6", 16, WIDTH, 1)


def decoder_shapes() -> Shapes:
    decoder, half = "sam_mask_decoder", WIDTH // 2
    shapes: Shapes = {
        f"{decoder}.iou_token.weight": (1, WIDTH),
        f"{decoder}.mask_tokens.weight": (4, WIDTH),
        f"{decoder}.obj_score_token.weight": (1, WIDTH),
        f"{decoder}.output_upscaling.0.weight": (WIDTH, WIDTH // 4, 2, 2),  # transposed convolutions
        f"{decoder}.output_upscaling.0.bias": (WIDTH // 4,),
        f"{decoder}.output_upscaling.3.weight": (WIDTH // 4, WIDTH // 8, 2, 2),
        f"{decoder}.output_upscaling.3.bias": (WIDTH // 8,),
        **norm(f"{decoder}.output_upscaling.1", WIDTH // 4),
        **convolution(f"{decoder}.conv_s0", WIDTH, WIDTH // 8, 1),
        **convolution(f"{decoder}.conv_s1", WIDTH, WIDTH // 4, 1),
        **perceptron(f"{decoder}.iou_prediction_head", WIDTH, 256, 256, 4),
        **perceptron(f"{decoder}.pred_obj_score_head", WIDTH, WIDTH, WIDTH, 1),
        **norm(f"{decoder}.transformer.norm_final_attn", WIDTH),
    }
    for number in range(4):
        shapes |= perceptron(f"{decoder}.output_hypernetworks_mlps.{number}", WIDTH, WIDTH, WIDTH, WIDTH // 8)
    attentions = {f"{decoder}.transformer.final_attn_token_to_image": half}
    for number in range(2):
        layer = f"{decoder}.transformer.layers.{number}"
        attentions |= {
            f"{layer}.self_attn": WIDTH,
            f"{layer}.cross_attn_token_to_image": half,
            f"{layer}.cross_attn_image_to_token": half,
        }
        shapes |= perceptron(f"{layer}.mlp", WIDTH, 2048, WIDTH)
        for place in (1, 2, 3, 4):
            shapes |= norm(f"{layer}.norm{place}", WIDTH)
    for attention, inner in attentions.items():
        for part in "qkv":
            shapes |= linear(f"{attention}.{part}_proj", WIDTH, inner)
        shapes |= linear(f"{attention}.out_proj", inner, WIDTH)
    return shapes


VIDEO: Shapes = {
    "maskmem_tpos_enc": (7, 1, 1, 64),
    "no_mem_pos_enc": (1, 1, 256),
    "no_obj_ptr": (1, 256),
    "no_obj_embed_spatial": (1, 64),
    "mask_downsample.weight": (1, 1, 4, 4),
    "memory_attention.layers.0.self_attn.q_proj.weight": (256, 256),
    "memory_encoder.fuser.layers.0.gamma": (256,),
    "obj_ptr_proj.layers.0.weight": (256, 256),
    "obj_ptr_tpos_proj.weight": (64, 256),
}


def original(name: str) -> dict[str, Tensor]:
    shapes = encoder_shapes(name) | prompt_shapes() | decoder_shapes() | VIDEO
    return {key: torch.empty(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("name", SAM)
def test_every_name_and_shape_of_a_published_size_has_its_place(name: str) -> None:
    with torch.device("meta"):
        weights = original(name)
        assert sam_size(weights) == name
        converted, unknown = convert_sam(weights)
        check_weights(converted, Sam2Model(sam_config(name)), name, unknown)


def test_what_does_not_fit_is_listed() -> None:
    with torch.device("meta"):
        weights = original("tiny")
        del weights["sam_mask_decoder.conv_s0.bias"]
        weights["image_encoder.trunk.surplus"] = torch.empty(1)
        weights["no_mem_embed"] = torch.empty(2)
        converted, unknown = convert_sam(weights)
        with pytest.raises(ValueError, match="do not fit the SAM 2") as caught:
            check_weights(converted, Sam2Model(sam_config("tiny")), "the SAM 2", unknown)
    message = str(caught.value)
    assert "missing: mask_decoder.conv_s0.bias (1 in all)" in message
    assert "unexpected: image_encoder.trunk.surplus (1 in all)" in message
    assert "no_memory_embedding (2,) instead of (1, 1, 256)" in message


def test_a_size_that_was_never_published_is_refused() -> None:
    with pytest.raises(ValueError, match="with 1 blocks of first width 5 is of none of the sizes tiny, small"):
        sam_size(
            {
                "image_encoder.trunk.patch_embed.proj.weight": torch.empty(5, 3, 7, 7),
                "image_encoder.trunk.blocks.0.norm1.bias": torch.empty(5),
            }
        )
    with pytest.raises(ValueError, match="with 0 blocks of first width None"):
        sam_size({})


def relu_chain(weights: dict[str, Tensor], name: str, states: Tensor, layers: int) -> Tensor:
    for number in range(layers):
        states = states @ weights[f"{name}.layers.{number}.weight"].T + weights[f"{name}.layers.{number}.bias"]
        states = states.relu() if number < layers - 1 else states
    return states


@torch.no_grad()
def test_layers_and_points_keep_their_order() -> None:
    torch.manual_seed(0)
    hidden = 128
    sam = build_sam(nano_sam_config(64)).eval()
    weights = {
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": torch.randn(2, hidden // 2),
        **{f"sam_prompt_encoder.point_embeddings.{number}.weight": torch.randn(1, hidden) for number in range(4)},
        **{
            name: torch.randn(shape)
            for name, shape in perceptron("sam_mask_decoder.pred_obj_score_head", hidden, hidden, hidden, 1).items()
        },
    }
    converted, unknown = convert_sam(weights)
    assert not unknown
    sam.load_state_dict(converted, strict=False)
    states = torch.randn(3, hidden)
    expected = relu_chain(weights, "sam_mask_decoder.pred_obj_score_head", states, 3)
    torch.testing.assert_close(sam.mask_decoder.pred_obj_score_head(states), expected, rtol=1e-4, atol=1e-4)
    # a click at (x, y): Fourier features of its place, and the embedding of its label
    place, label = torch.tensor([20.0, 12.0]), 1
    angles = 2 * torch.pi * ((2 * (place + 0.5) / 64 - 1) @ weights[next(iter(weights))])
    point = torch.cat([angles.sin(), angles.cos()]) + weights[f"sam_prompt_encoder.point_embeddings.{label}.weight"][0]
    embedded, _ = sam.prompt_encoder(place.view(1, 1, 1, 2), torch.tensor([[[label]]]), None, None)
    torch.testing.assert_close(embedded[0, 0, 0], point, rtol=1e-4, atol=1e-4)

"""SAM 2's original names (facebookresearch/sam2) -> transformers' `Sam2Model`; what serves video alone is left out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from perceptio.checkpoints.conversion.rules import Rule, convert, same
from perceptio.checkpoints.sizes import SAM

_POINT = "prompt_encoder.point_embed.weight"
_VIDEO = (
    r"memory_attention\..*",
    r"memory_encoder\..*",
    r"mask_downsample\..*",
    r"obj_ptr_proj\..*",
    r"obj_ptr_tpos_proj\..*",
    r"maskmem_tpos_enc",
    r"no_mem_pos_enc",
    r"no_obj_ptr",
    r"no_obj_embed_spatial",
)
_MLP2 = {"0": "proj_in", "1": "proj_out"}  # the layers of a perceptron of two, and of three layers
_MLP3 = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
_WB = r"\.(weight|bias)"


def convert_sam(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of `Sam2Model` from original ones, and the names that are not known."""
    converted, unknown = convert(weights, _rules())
    points = sorted(name for name in converted if name.startswith(f"{_POINT}."))
    if points:  # four embeddings of one row became one of four rows
        converted[_POINT] = torch.cat([converted.pop(name) for name in points])
    return converted, unknown


def sam_size(weights: Mapping[str, Tensor]) -> str:
    """Which of the published sizes original weights are of.

    Raises:
        ValueError: if they are of none.
    """
    kernel = weights.get("image_encoder.trunk.patch_embed.proj.weight")
    blocks = {int(name.split(".")[3]) for name in weights if name.startswith("image_encoder.trunk.blocks.")}
    for name, size in SAM.items():
        if kernel is not None and (len(kernel), len(blocks)) == (size.width, sum(size.blocks)):
            return name
    width = None if kernel is None else len(kernel)
    raise ValueError(
        f"its SAM 2 with {len(blocks)} blocks of first width {width} is of none of the sizes {', '.join(SAM)}"
    )


def _rules() -> list[Rule]:
    return [*_encoder_rules(), *_prompt_rules(), *_decoder_rules(), *(Rule(pattern, ()) for pattern in _VIDEO)]


def _encoder_rules() -> list[Rule]:
    block, ours = r"image_encoder\.trunk\.blocks\.(\d+)", r"vision_encoder.backbone.blocks.\1"
    return [
        same(rf"{block}\.norm([12]){_WB}", rf"{ours}.layer_norm\2.\3"),
        same(rf"{block}\.attn\.(qkv|proj){_WB}", rf"{ours}.attn.\2.\3"),
        *(same(rf"{block}\.mlp\.layers\.{old}{_WB}", rf"{ours}.mlp.{new}.\2") for old, new in _MLP2.items()),
        same(rf"{block}\.proj{_WB}", rf"{ours}.proj.\2"),
        same(r"image_encoder\.trunk\.(pos_embed|pos_embed_window)", r"vision_encoder.backbone.\1"),
        same(rf"image_encoder\.trunk\.patch_embed\.proj{_WB}", r"vision_encoder.backbone.patch_embed.projection.\1"),
        same(rf"image_encoder\.neck\.convs\.(\d)\.conv{_WB}", r"vision_encoder.neck.convs.\1.\2"),
        same(r"no_mem_embed", "no_memory_embedding"),
    ]


def _prompt_rules() -> list[Rule]:
    old, ours = r"sam_prompt_encoder", "prompt_encoder"
    layers = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
    fourier = (f"{ours}.shared_embedding.positional_embedding", "shared_image_embedding.positional_embedding")
    return [
        Rule(rf"{old}\.pe_layer\.positional_encoding_gaussian_matrix", fourier),
        same(rf"{old}\.point_embeddings\.(\d)\.weight", rf"{_POINT}.\1"),
        same(rf"{old}\.(not_a_point_embed|no_mask_embed)\.weight", rf"{ours}.\1.weight"),
        *(same(rf"{old}\.mask_downscaling\.{a}{_WB}", rf"{ours}.mask_embed.{b}.\1") for a, b in layers.items()),
    ]


def _decoder_rules() -> list[Rule]:
    old, ours = r"sam_mask_decoder", "mask_decoder"
    layer, our_layer = rf"{old}\.transformer\.layers\.(\d)", rf"{ours}.transformer.layers.\1"
    attention = r"(self_attn|cross_attn_token_to_image|cross_attn_image_to_token)"
    upscaling = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}
    heads = r"(iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d)"
    final = rf"{old}\.transformer\.final_attn_token_to_image"
    our_final = f"{ours}.transformer.final_attn_token_to_image"
    return [
        same(rf"{old}\.(iou_token|mask_tokens|obj_score_token)\.weight", rf"{ours}.\1.weight"),
        same(rf"{layer}\.{attention}\.([qkv])_proj{_WB}", rf"{our_layer}.\2.\3_proj.\4"),
        same(rf"{layer}\.{attention}\.out_proj{_WB}", rf"{our_layer}.\2.o_proj.\3"),
        same(rf"{layer}\.norm(\d){_WB}", rf"{our_layer}.layer_norm\2.\3"),
        *(same(rf"{layer}\.mlp\.layers\.{a}{_WB}", rf"{our_layer}.mlp.{b}.\2") for a, b in _MLP2.items()),
        same(rf"{final}\.([qkv])_proj{_WB}", rf"{our_final}.\1_proj.\2"),
        same(rf"{final}\.out_proj{_WB}", rf"{our_final}.o_proj.\1"),
        same(rf"{old}\.transformer\.norm_final_attn{_WB}", rf"{ours}.transformer.layer_norm_final_attn.\1"),
        *(same(rf"{old}\.output_upscaling\.{a}{_WB}", rf"{ours}.{b}.\1") for a, b in upscaling.items()),
        same(rf"{old}\.(conv_s[01]){_WB}", rf"{ours}.\1.\2"),
        *(same(rf"{old}\.{heads}\.layers\.{a}{_WB}", rf"{ours}.\1.{b}.\2") for a, b in _MLP3.items()),
    ]

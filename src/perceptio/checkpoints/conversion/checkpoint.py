"""A whole checkpoint of InternVL's original format, or of Sa2VA, as a Perceptio model.

Sa2VA (2501.04001) is InternVL, SAM 2 and a `[SEG]` projection. Its depth tokens are new here; all else comes trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers import InternVLConfig, InternVLForConditionalGeneration, Sam2Model

from perceptio.checkpoints.assemble import (
    MAX_TILES,
    Report,
    join,
    load_sam,
    model_type,
)
from perceptio.checkpoints.conversion.internvl import internvl_config, internvl_rules
from perceptio.checkpoints.conversion.rules import convert
from perceptio.checkpoints.conversion.sam2 import convert_sam, sam_size
from perceptio.checkpoints.conversion.text_tokenizer import load_checkpoint_tokenizer
from perceptio.checkpoints.sizes import sam_config
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.design import Design
from perceptio.model.image_processor import make_image_processor
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.processing import PerceptioProcessor
from perceptio.pretrained.folder import naming, read_object
from perceptio.pretrained.misfits import check_weights
from perceptio.pretrained.weights import build_network, read_weights
from perceptio.segmentation.preprocess import Resampling
from perceptio.tokens import SEG

_SAM = "grounding_encoder.sam2_model."
_HEADS = ("language_model.lm_head.weight", "language_model.output.weight")
_PROJECTION = "text_hidden_fcs."


def convert_checkpoint(
    folder: Path,
    depth_tokenizer: DepthTokenizer,
    design: Design | None = None,
    *,
    tiles: int = MAX_TILES,
    sam_folder: Path | None = None,
    tokenizer_folder: Path | None = None,
) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor, Report]:
    """Read a checkpoint in another format.

    Args:
        folder: with config.json, safetensors and, unless `tokenizer_folder` says otherwise, tokenizer files.
        depth_tokenizer: trained; its codebook decides the depth tokens.
        design: of what joins the parts; a Sa2VA checkpoint has no pointer, and its own way to prompt SAM 2 and to write
            `[SEG]`.
        tiles: as of `assemble`.
        sam_folder: a SAM 2 in transformers' format, for a checkpoint without one.
        tokenizer_folder: of a tokenizer with the same words, for a checkpoint whose own is code (InternLM2, InternLM3);
            see `load_checkpoint_tokenizer`.

    Raises:
        ValueError: if the checkpoint is of another kind, a weight is missing, unknown or of another shape, or a token
            would lose its trained row.
    """
    design = design or Design()
    kind = model_type(folder)
    if kind not in ("internvl_chat", "sa2va_chat"):
        raise ValueError(f"{folder} holds a model of type {kind!r}: only internvl_chat and sa2va_chat can be converted")
    weights = read_weights(folder)
    grounding = {name.removeprefix(_SAM): weights.pop(name) for name in list(weights) if name.startswith(_SAM)}
    projection = {
        name.removeprefix(_PROJECTION): weights.pop(name) for name in list(weights) if name.startswith(_PROJECTION)
    }
    for part, found in (("a SAM 2", grounding), ("a [SEG] projection", projection)):
        if (kind == "sa2va_chat") != bool(found):
            has = "hold" if found else "lack"
            raise ValueError(f"{folder} is said to be {kind}, but its weights {has} {part}")
    if kind == "internvl_chat" and sam_folder is None:
        raise ValueError(f"{folder} holds no SAM 2: name one with --sam")
    if kind == "sa2va_chat" and design.pointing:
        raise ValueError("a Sa2VA checkpoint has no weights for pointing: switch pointing off")
    if kind == "sa2va_chat":
        design = replace(design, sam_prompts="padded", order="interleaved", mask_gate=False)
    tokenizer = load_checkpoint_tokenizer(folder, tokenizer_folder)
    if kind == "sa2va_chat" and SEG not in tokenizer.get_vocab():
        raise ValueError(f"{folder} is Sa2VA, but its tokenizer files know no {SEG}: fetch them again")
    path = folder / "config.json"
    with naming(path):
        config = internvl_config(read_object(path), tokenizer.context_image_token_id)
    if any(name.endswith(_HEADS) for name in weights):  # whatever the configuration says: see `assemble.load_vlm`
        config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    vlm = convert_internvl(weights, config)
    sam = convert_grounding(grounding) if grounding else load_sam(_named(sam_folder))
    image_processor = make_image_processor(config.vision_config.image_size[0], tiles)
    resampling: Resampling = "bicubic" if grounding else "bilinear"  # Sa2VA's, and SAM 2's own
    model, processor, report = join(vlm, sam, depth_tokenizer, tokenizer, image_processor, design, resampling)
    if projection:
        check_weights(projection, model.projector.layers, "the [SEG] projector")
        model.projector.layers.load_state_dict(projection)
        report = replace(report, trained_projector=True)
    return model, processor, report


def convert_internvl(weights: Mapping[str, Tensor], config: InternVLConfig) -> InternVLForConditionalGeneration:
    """An InternVL from original weights, strictly.

    Raises:
        ValueError: if a weight is missing, unknown or of another shape.
    """
    converted, unknown = convert(weights, internvl_rules(config))
    if config.tie_word_embeddings:
        converted.setdefault(
            "lm_head.weight", converted.get("model.language_model.embed_tokens.weight", torch.empty(0))
        )
    with torch.device("meta"):
        check_weights(converted, InternVLForConditionalGeneration(config), "the InternVL", unknown)
    return build_network(InternVLForConditionalGeneration, config, converted)[0]


def convert_grounding(weights: Mapping[str, Tensor]) -> Sam2Model:
    """A SAM 2 of one of the published sizes from original weights, strictly, in float32.

    Raises:
        ValueError: if it is of no published size, or a weight is missing, unknown or of another shape.
    """
    config = sam_config(sam_size(weights))
    converted, unknown = convert_sam(weights)
    with torch.device("meta"):
        check_weights(converted, Sam2Model(config), "the SAM 2", unknown)
    return build_network(Sam2Model, config, converted, torch.float32)[0]


def _named(folder: Path | None) -> Path:
    assert folder is not None
    return folder

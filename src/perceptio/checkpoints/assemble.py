"""Assemble a Perceptio model from trained parts: an InternVL, a SAM 2 and a depth tokenizer.

What joins the parts is new: rows for the spatial tokens in the embedding and the head, and the `[SEG]` projector. Both
have to be trained before the model says anything about space; the report counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    GotOcr2ImageProcessorPil,
    InternVLForConditionalGeneration,
    PreTrainedTokenizerBase,
    Sam2Model,
)

from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.design import Design
from perceptio.model.image_processor import read_image_processor, tiling
from perceptio.model.loading import check_fit
from perceptio.model.modeling import PerceptioForConditionalGeneration
from perceptio.model.parallel_depth import set_depth_decoding
from perceptio.model.processing import PerceptioProcessor
from perceptio.model.vlm_configuration import read_vlm_config
from perceptio.model.vocabulary import IMAGE_TOKENS, TILE_TOKENS, TURN_END, extend_embeddings, extend_tokenizer
from perceptio.pretrained.fields import SECTION, check
from perceptio.pretrained.folder import naming, read_object
from perceptio.pretrained.misfits import refuse_misfits
from perceptio.pretrained.text_files import read_text_tokenizer
from perceptio.pretrained.weights import Network, build_network, read_weights
from perceptio.segmentation.configuration import read_sam_config
from perceptio.segmentation.pointing.pointer import Pointer
from perceptio.segmentation.preprocess import Resampling
from perceptio.segmentation.projector import SegmentationProjector
from perceptio.tokens import DEPTH_END, DEPTH_START, PHRASE_END, PHRASE_START, SEG, depth_code

MAX_TILES = 12  # InternVL's own limit
_FOURIER = ("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding")


@dataclass(frozen=True)
class Report:
    """Numbers of parameters of an assembled model, by part, and what of them is untrained."""

    vlm: int  # the rows of new tokens included
    sam: int
    depth_tokenizer: int
    projector: int
    pointer: int  # 0 for a model without one
    new_tokens: int  # tokens that were added
    new_rows: int  # parameters of their rows
    query: int = 0  # of the depth query, where all codes of a span are found at once
    kept: tuple[str, ...] = ()  # tokens of ours that the model came with, whose rows stay as they are
    trained_projector: bool = False  # the projector comes from a checkpoint that has one

    def __str__(self) -> str:
        total = self.vlm + self.sam + self.depth_tokenizer + self.projector + self.pointer + self.query
        projector = "" if self.trained_projector else f"the [SEG] projector ({self.projector:,} parameters), "
        pointer = f"the pointer ({self.pointer:,} parameters), " if self.pointer else ""
        query = f"the depth query ({self.query:,} parameters), " if self.query else ""
        kept = f"\nkept, with the rows they came with: {', '.join(self.kept)}" if self.kept else ""
        return (
            f"{total:,} parameters: vision-language model {self.vlm:,}, SAM 2 {self.sam:,}, "
            f"depth tokenizer {self.depth_tokenizer:,}, [SEG] projector {self.projector:,}\n"
            f"new and untrained: {projector}{pointer}{query}the rows of "
            f"{self.new_tokens} new tokens ({self.new_rows:,} parameters, each the mean of the trained rows){kept}"
        )


def assemble(
    vlm_folder: Path,
    sam_folder: Path,
    depth_tokenizer: DepthTokenizer,
    design: Design | None = None,
    tiles: int = MAX_TILES,
) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor, Report]:
    """Join the parts.

    Args:
        vlm_folder: an InternVL in transformers' format (the `-hf` repositories) with its processor and tokenizer.
        sam_folder: a SAM 2 or SAM 2.1 in transformers' format; weights for video are left out.
        depth_tokenizer: trained; its codebook decides the depth tokens.
        design: of what joins them.
        tiles: the most of an image, its thumbnail not counted; 1 switches tiling off.

    Returns:
        The model, its processor, and what is new.

    Raises:
        ValueError: if a folder holds another kind of model, a part of it is missing, or parts do not fit.
        OSError: if transformers finds a file missing.
    """
    design = design or Design()
    vlm = load_vlm(vlm_folder)
    sam = load_sam(sam_folder)
    tokenizer = load_text_tokenizer(vlm_folder)
    image_processor = load_image_processor(vlm_folder, tiles)
    return join(vlm, sam, depth_tokenizer, tokenizer, image_processor, design)


def join(
    vlm: InternVLForConditionalGeneration,
    sam: Sam2Model,
    depth_tokenizer: DepthTokenizer,
    tokenizer: PreTrainedTokenizerBase,
    image_processor: GotOcr2ImageProcessorPil,
    design: Design,
    sam_resampling: Resampling = "bilinear",
) -> tuple[PerceptioForConditionalGeneration, PerceptioProcessor, Report]:
    """As `assemble`, with parts that are loaded; the vocabularies of `vlm` and `tokenizer` are extended in place."""
    _check_vlm(vlm, tokenizer, image_processor)
    before: dict[str, int] = tokenizer.get_vocab()
    known, rows = max(before.values()) + 1, vlm.get_input_embeddings().num_embeddings
    if known > rows:
        raise ValueError(f"the tokenizer has {known} tokens but the model embeddings for {rows}: use its own tokenizer")
    depth = depth_tokenizer.config
    present = len({depth_code(number) for number in range(known)} & before.keys())
    if present not in (0, depth.codes):
        raise ValueError(
            f"the text tokenizer has {present} depth tokens already, but the depth tokenizer {depth.codes} codes: they "
            "belong to different codebooks"
        )
    vocabulary = extend_tokenizer(tokenizer, depth.codes, depth.tokens_per_map, TURN_END)
    new_ids = sorted(number for token, number in tokenizer.get_vocab().items() if token not in before)
    extend_embeddings(vlm, new_ids, known)
    config = PerceptioConfig(
        vlm=vlm.config,
        sam=sam.config,
        depth=depth,
        **asdict(design),
    )
    config.set_vocabulary(vocabulary)
    sizes = vlm.config.text_config.hidden_size, sam.config.mask_decoder_config.hidden_size
    with torch.device("meta"):  # the parts take the places of what would otherwise be billions of random numbers
        model = PerceptioForConditionalGeneration(config)
    model.vlm, model.sam, model.depth_tokenizer = vlm, sam, depth_tokenizer
    model.projector = SegmentationProjector(*sizes)
    model.pointer = Pointer(*sizes) if design.pointing else None
    model.depth_query = None  # that of the meta device
    set_depth_decoding(model, design.depth_decoding)
    model.freeze()
    processor = PerceptioProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        image_seq_length=vlm.config.image_seq_length,
        sam_image_size=sam.config.prompt_encoder_config.image_size,
        context_length=vlm.config.text_config.max_position_embeddings,
        sam_resampling=sam_resampling,
        switch_words=False,  # a fine-tune teaches them
    )
    check_fit(model, processor)
    report = Report(
        vlm=count_parameters(vlm.parameters()),
        sam=count_parameters(sam.parameters()),
        depth_tokenizer=count_parameters(depth_tokenizer.parameters()),
        projector=count_parameters(model.projector.parameters()),
        pointer=0 if model.pointer is None else count_parameters(model.pointer.parameters()),
        new_tokens=len(new_ids),
        new_rows=len(new_ids) * sizes[0] * (1 if vlm.config.tie_word_embeddings else 2),
        query=0 if model.depth_query is None else model.depth_query.numel(),
        kept=_kept(before, present),
    )
    return model.eval(), processor, report


def _kept(before: Mapping[str, int], codes: int) -> tuple[str, ...]:
    """Tokens of ours among those of a tokenizer, with their ids; depth codes by their number."""
    named = [token for token in (SEG, DEPTH_START, DEPTH_END, PHRASE_START, PHRASE_END) if token in before]
    return (*(f"{token} (id {before[token]})" for token in named), *([f"{codes} depth codes"] if codes else []))


def count_parameters(parameters: Iterable[nn.Parameter]) -> int:
    """Numbers in all, shared parameters once where they come from one module's `parameters()`."""
    return sum(parameter.numel() for parameter in parameters)


def load_vlm(folder: Path) -> InternVLForConditionalGeneration:
    """An InternVL in transformers' format, in the precision of its file.

    Raises:
        ValueError: if the folder holds another kind of model, a field of its configuration holds what it may not, or
            weights are missing, unexpected, of another shape or not finite.
    """
    kind = model_type(folder)
    if kind == "internvl_chat":
        raise ValueError(
            f"{folder} holds InternVL in its original format: use the -hf repository, or `perceptio convert` it first"
        )
    if kind != "internvl":
        raise ValueError(f"{folder / 'config.json'} is of a model of type {kind!r}, not an InternVL")
    path = folder / "config.json"
    with naming(path):
        config = read_vlm_config(read_object(path))
    model = _fill(InternVLForConditionalGeneration, config, read_weights(folder), folder, "InternVL")
    # A published configuration may leave the setting out, and the library's default has changed since: the weights
    # decide, or the head would be tied, and lost, when the vocabulary grows.
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = tied
    return model


def load_sam(folder: Path) -> Sam2Model:
    """A SAM 2 in transformers' format, in float32.

    Raises:
        ValueError: as `load_vlm`.
    """
    kind = model_type(folder)
    if kind not in ("sam2", "sam2_video"):  # the published repositories hold the model for video
        raise ValueError(
            f"{folder / 'config.json'} is of a model of type {kind!r}, not a SAM 2 in transformers' format"
        )
    path = folder / "config.json"
    with naming(path):
        config = read_sam_config(read_object(path))
    weights = read_weights(folder)
    for one, other in (_FOURIER, _FOURIER[::-1]):  # equal in every SAM 2: transformers 4 wrote one of them
        if one in weights:
            weights.setdefault(other, weights[one].clone())
    return _fill(Sam2Model, config, weights, folder, "SAM 2", torch.float32)


def _fill(
    kind: type[Network],
    config: Any,
    weights: Mapping[str, Tensor],
    folder: Path,
    name: str,
    dtype: torch.dtype | None = None,
) -> Network:
    """A network with the weights of a folder, all of them and no others."""
    with naming(folder):
        model, report = build_network(kind, config, weights, dtype)
        refuse_misfits(report, f"the {name} of its config.json")
    return model


def load_text_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of an InternVL, with its image tokens named.

    Raises:
        ValueError: if a file is missing or damaged, or it lacks one of the tokens.
    """
    tokenizer = read_text_tokenizer(folder)
    if any(getattr(tokenizer, name, None) is None for name in TILE_TOKENS):
        named = {name: IMAGE_TOKENS[name] for name in TILE_TOKENS}
        missing = [token for token in named.values() if token not in tokenizer.get_vocab()]
        if missing:
            raise ValueError(f"the tokenizer in {folder} has no token {', '.join(missing)}: it is not InternVL's")
        tokenizer = read_text_tokenizer(folder, named)
    return tokenizer


def load_image_processor(folder: Path, tiles: int) -> GotOcr2ImageProcessorPil:
    """InternVL's image processor, with so many tiles at the most.

    Raises:
        ValueError: if its file is missing or damaged, or a field holds what it may not.
    """
    path, section = folder / "processor_config.json", "image_processor"
    stored = read_object(path).get(section) if path.exists() else None
    if stored is None:  # in a file of its own, as libraries wrote it in former years
        path, section = folder / "preprocessor_config.json", ""
        stored = read_object(path)
    with naming(path):
        check(section or "the file", stored, SECTION)
        return read_image_processor(stored, section, **tiling(tiles))


def model_type(folder: Path) -> str | None:
    """What config.json calls the model.

    Raises:
        ValueError: if there is no config.json or it is damaged.
    """
    value = read_object(folder / "config.json").get("model_type")
    return None if value is None else str(value)


def _check_vlm(
    vlm: InternVLForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, image_processor: GotOcr2ImageProcessorPil
) -> None:
    config = vlm.config
    if tokenizer.context_image_token_id != config.image_token_id:
        raise ValueError(
            f"{tokenizer.context_image_token} has the id {tokenizer.context_image_token_id} by tokenizer_config.json, "
            f"but {config.image_token_id} by config.json: the files are of different models"
        )
    if tokenizer.pad_token_id is None:
        raise ValueError("the tokenizer has no padding token: set pad_token in its tokenizer_config.json")
    height, width = config.vision_config.image_size
    size = image_processor.size
    if (size["height"], size["width"]) != (height, width):
        raise ValueError(
            f"the image processor (preprocessor_config.json or processor_config.json) makes tiles of "
            f"{size['height']} x {size['width']} px, but the vision tower reads {height} x {width}"
        )

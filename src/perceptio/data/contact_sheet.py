"""A page that shows samples as a model will see them: picture, masks, depth map, and every token with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from perceptio.data.fit import Learner, unfit
from perceptio.data.packing import IGNORED, PackedRow, pack_sample
from perceptio.data.reading import read_sample
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample
from perceptio.depth.tokenizer import DepthTokenizer
from perceptio.files import check_writable, replacing
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor
from perceptio.visualize import color_depth, contact_sheet, draw_masks
from perceptio.visualize.words import Piece, draw_pieces

_SIDE = 420  # px of a picture
_GAP = 16  # px


@dataclass(frozen=True)
class Reader:
    """The parts of a model that decide what it sees."""

    processor: PerceptioProcessor
    config: PerceptioConfig
    tokenizer: DepthTokenizer  # of depth


def draw_samples(files: Sequence[SampleFile], count: int, reader: Reader, path: Path, *, explicit: float = 0.0) -> int:
    """Write a sheet of samples that are spread evenly over some files, and return their number.

    Args:
        files: of samples.
        count: samples wanted.
        reader: of the model that would be trained.
        path: of the PNG.
        explicit: share of questions that say which spans they want, as in training.

    Raises:
        SampleError: if one of these samples is bad, or does not fit the model.
        OutputError: if the file cannot be written.
    """
    check_writable(path)
    places = [(file, index) for file in files for index in range(len(file))]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int))
    strips = []
    for number in chosen:
        file, index = places[number]
        where = file.where(index)
        sample = read_sample(file[index], file.path.parent, where)
        for problem in unfit(sample, Learner(reader.processor, reader.config), where):
            raise problem
        strips.append(_strip(sample, reader, explicit))
    page = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    with replacing(path) as beside:
        page.save(beside, format="PNG")
    return len(strips)


def pieces(row: PackedRow, reader: Reader) -> list[Piece]:
    """The tokens of a packed sequence with the weights of those that are taught; runs of one kind are one piece."""
    vocabulary, tokenizer = reader.config.vocabulary, reader.processor.tokenizer
    kinds: dict[int, str] = dict.fromkeys(vocabulary.codes, "<DEPTH>") | {tokenizer.context_image_token_id: "<picture>"}
    lines: list[Piece] = []
    branches = np.array(row.branch_ids)
    for branch in range(branches.max() + 1):
        places = np.flatnonzero(branches == branch).tolist()
        ids = [row.input_ids[place] for place in places]
        weights: list[float | None] = [None] * len(ids)
        if branch:  # a token is taught at the place before it, and the last one is never read
            ids.append(vocabulary.end_of_text)
            weights = [None, *(row.weights[place] if row.targets[place] != IGNORED else None for place in places)]
            lines.append(Piece("\n"))
        tokens = zip(ids, weights, strict=True)
        for (kind, weight), run in groupby(tokens, key=lambda token: (kinds.get(token[0]), token[1])):
            run_ids = [token for token, _ in run]
            if kind is not None:
                lines.append(Piece(f"{kind} x {len(run_ids)} ", weight))
            else:
                lines += [Piece(tokenizer.decode([token]), weight) for token in run_ids]
    return lines


def _strip(sample: Sample, reader: Reader, explicit: float) -> Image.Image:
    """One sample: its pictures in a row, its tokens below."""
    size = reader.tokenizer.config.image_size
    rng = np.random.default_rng(0)
    row = pack_sample(sample, reader.processor, reader.config, rng, explicit=explicit)
    assert isinstance(sample.image, np.ndarray)
    picture = Image.fromarray(sample.image)
    side = row.sam_pixel_values.shape[-1]
    seen = picture.resize((side, side), Image.Resampling.BILINEAR)
    labels = [f"[SEG] {number}" for number in range(1, len(row.masks) + 1)]
    tiles = [
        (_framed(picture), f"{sample.key}, {picture.width} x {picture.height}"),
        (_framed(draw_masks(seen, row.masks, labels)), f"{len(labels)} masks, as SAM 2 sees them: {side} x {side}"),
    ]
    depth = _depth(sample, row, reader.tokenizer)
    if depth is not None:
        kind = "given codes, decoded" if sample.codes is not None else "depth map"
        tiles.append((_framed(color_depth(depth, legend=False)), f"{kind}, {size} x {size}, bright is near"))
    top = contact_sheet(tiles, columns=3, width=_SIDE, lines=3)
    words = draw_pieces(pieces(row, reader), width=3 * (_SIDE + _GAP) + _GAP)
    strip = Image.new("RGB", (words.width, top.height + words.height), "white")
    strip.paste(top, (0, 0))
    strip.paste(words, (0, top.height))
    return strip


def _framed(picture: Image.Image) -> Image.Image:
    """All pictures of a row fill the same square, in their proportions."""
    return ImageOps.pad(picture, (_SIDE, _SIDE), color="white")


@torch.no_grad()
def _depth(sample: Sample, row: PackedRow, tokenizer: DepthTokenizer) -> np.ndarray | None:
    """(S, S) float32 in [-1, 1]: the map, or what its codes decode to."""
    if sample.codes is not None:
        return tokenizer.decode(torch.from_numpy(row.codes)[None])[0, 0].clamp(-1, 1).float().numpy()
    return None if sample.depth is None else row.depth_map

"""Depth on a user's folder of pictures and depth maps (NYU, KITTI, DIODE, one's own).

    ROOT/images/NAME.jpg     or another of `images.IMAGE_SUFFIXES`
    ROOT/depth/NAME.png      16 bits, depth = value / scale in metres (1000 for NYU, 256 for KITTI), or
    ROOT/depth/NAME.npy      (H, W) depth in metres

Depth has its picture's size; zero, negative, NaN and infinite values mean that it is unknown there. A map of more than
`images.WORKING_PIXELS` is judged at one pixel in every few along each side.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.errors import DataError
from perceptio.data.npy import npy_header, npy_rows
from perceptio.depth.alignment import aligned_errors, valid_pixels
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, figures
from perceptio.evaluation.questions import Ask, Item, answer_record
from perceptio.evaluation.report import Figure
from perceptio.images import IMAGE_SUFFIXES, MAX_PIXELS, WORKING_PIXELS, ImageError, open_image, upright_size
from perceptio.results import Answer
from perceptio.tokens import Switch

DEPTH_PROMPT = "Show the depth map."
NYU_SCALE = 1000.0  # values of a PNG per metre
_DEPTHS = (".png", ".npy")
_SIXTEEN_BIT = ("I;16", "I;16B", "I")
_BOUNDS = (1e-6, 1e6)  # metres; what lies outside is a mistaken scale, or a mark for the sky
_STRIP = 1_000_000  # pixels read at a time
_FIGURES = ("AbsRel", "RMSE, m", "delta < 1.25", "delta < 1.25^2", "delta < 1.25^3")
_WRITTEN = "depth map written"


@dataclass(frozen=True)
class Pair:
    """A picture and its depth."""

    image: Path
    depth: Path


@dataclass(frozen=True, eq=False)
class Truth:
    """Measured depth."""

    metres: np.ndarray  # (h, w), as the file has it where it is unknown; every `step`-th pixel along each side
    step: int
    size: tuple[int, int]  # (width, height) of the file, px


class DepthPairs:
    """One request for depth for each picture; a unit is one picture.

    Args:
        pairs: in their order.
        scale: of 16-bit depth.
        farthest: the largest true depth of all pairs, in metres; predictions are clipped to it.
        source: what the settings say of the folder.
    """

    name = "depth"
    protocol = "2"

    def __init__(self, pairs: Sequence[Pair], scale: float, farthest: float, source: dict[str, Any]) -> None:
        self.pairs, self.scale, self.farthest, self.source = pairs, scale, farthest, source

    @property
    def settings(self) -> dict[str, Any]:
        """Pairs, missing partners, scale, the bound of depth, the prompt and a hash of the depth files."""
        return {
            "dataset": self.name,
            "pairs": len(self.pairs),
            **self.source,
            "scale": self.scale,
            "farthest_metres": self.farthest,
            "prompt": DEPTH_PROMPT,
        }

    def __len__(self) -> int:
        return len(self.pairs)

    def items(self, unit: int) -> list[Item]:
        """The request for one picture: a depth span, no masks."""
        pair = self.pairs[unit]
        ask = Ask(pair.image, DEPTH_PROMPT, seg=Switch.OFF, depth=Switch.ON, long=True)
        return [Item(pair.image.stem, (ask,), pair, where=str(pair.image))]

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Errors after alignment; a map that was not written counts as a constant one, which fits the mean."""
        (ask,), (answer,) = item.asks, answers
        truth = read_depth(item.truth.depth, self.scale)
        if answer.depth is not None:
            predicted = answer.depth.array[:: truth.step, :: truth.step]
        else:
            predicted = np.zeros(truth.metres.shape)
        errors = aligned_errors(predicted, truth.metres, self.farthest)
        outcomes: dict[str, Outcome] = {
            **dict(zip(_FIGURES, (errors.abs_rel, errors.rmse, *errors.deltas), strict=True)),
            _WRITTEN: answer.depth is not None,
        }
        return Judged(item.key, item.truth.image.name, outcomes, answer_record(ask, answer))

    def figures(self, samples: Sequence[Judged]) -> list[Figure]:
        """Means over the pictures."""
        return figures(samples, [*_FIGURES, _WRITTEN])


def open_depth_pairs(root: str | Path, *, scale: float = NYU_SCALE, allow_missing: bool = False) -> DepthPairs:
    """Pairs of a folder; every depth map is read once and checked, so that no run stops half-way.

    Args:
        root: holds images/ and depth/.
        scale: values of 16-bit depth per metre.
        allow_missing: leave out pictures without depth, and depth without a picture.

    Raises:
        EvaluationError: if a file is of another kind, damaged, of the wrong size, without a valid pixel, or alone.
    """
    root = Path(root)
    if not 0 < scale < math.inf:
        raise EvaluationError(f"the scale of depth must be positive and finite, not {scale:g}")
    pictures = [path for path in _files(root / "images") if path.suffix.lower() in IMAGE_SUFFIXES]
    images = _by_stem(root / "images", pictures)
    depths = _by_stem(root / "depth", [path for path in _files(root / "depth") if _is_depth(path)])
    pairs = [Pair(images[stem], depths[stem]) for stem in sorted(images.keys() & depths.keys())]
    alone = [(images.get(stem) or depths[stem]) for stem in sorted(images.keys() ^ depths.keys())]
    if alone and not (allow_missing and pairs):
        partner = "depth" if alone[0].parent.name == "images" else "picture"
        hint = "; --allow-missing runs on the rest" if pairs else ""
        raise EvaluationError(
            f"{len(alone)} of {len(images.keys() | depths.keys())} names in {root} have no partner, "
            f"the first is {alone[0]}, which has no {partner} of the same name{hint}"
        )
    if not pairs:
        raise EvaluationError(f"{root / 'images'} and {root / 'depth'} hold no files")
    digest = hashlib.sha256()
    farthest = 0.0
    for pair in pairs:
        farthest = max(farthest, _check(pair, scale))
        digest.update(os.fsencode(pair.depth.name))
        with pair.depth.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    source = {"missing_partners": len(alone), "depth_sha256": digest.hexdigest()[:16]}
    return DepthPairs(pairs, scale, farthest, source)


def read_depth(path: Path, scale: float) -> Truth:
    """Read a depth file; a very large map is thinned out.

    Raises:
        EvaluationError: if the file is damaged or not of a kind described at the top.
    """
    try:
        with np.errstate(over="ignore"):  # beyond all numbers: no valid pixel
            return _read_array(path) if path.suffix.lower() == ".npy" else _read_picture(path, scale)
    except (DataError, ImageError) as error:
        raise EvaluationError(f"{error}: it cannot be read as depth") from error


def _read_array(path: Path) -> Truth:
    header = npy_header(path)
    shape = header.shape
    if len(shape) != 2 or header.dtype.kind not in "fiu" or 0 in shape:
        raise EvaluationError(f"{path} must hold (H, W) numbers, not {shape} of {header.dtype}")
    if math.prod(shape) > MAX_PIXELS:
        raise EvaluationError(f"{path} has {math.prod(shape)} pixels; the limit is {MAX_PIXELS}: make it smaller first")
    step = _step(*shape)
    rows = max(_STRIP // shape[0 if header.fortran else 1], 1) * step
    metres = np.empty([-(-side // step) for side in shape], np.promote_types(header.dtype, np.float32))
    _fill(metres.T if header.fortran else metres, (strip[::step, ::step] for strip in npy_rows(path, header, rows)))
    return Truth(metres, step, (shape[1], shape[0]))


def _read_picture(path: Path, scale: float) -> Truth:
    with open_image(path) as image:
        if image.mode not in _SIXTEEN_BIT:
            raise EvaluationError(f"{path} is no 16-bit PNG of one channel but of mode {image.mode}")
        width, height = image.size
        step = _step(height, width)
        rows = max(_STRIP // width, 1) * step
        strips = (image.crop((0, top, width, min(top + rows, height))) for top in range(0, height, rows))
        metres = np.empty((-(-height // step), -(-width // step)), np.float32)
        _fill(metres, (np.asarray(strip)[::step, ::step] / scale for strip in strips))
        return Truth(metres, step, (width, height))


def _fill(metres: np.ndarray, strips: Iterable[np.ndarray]) -> None:
    row = 0
    for strip in strips:
        metres[row : row + len(strip)] = strip
        row += len(strip)


def _step(height: int, width: int) -> int:
    return math.ceil(math.sqrt(max(height * width / WORKING_PIXELS, 1)))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}; give the folder that holds images and depth")
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _is_depth(path: Path) -> bool:
    if path.suffix.lower() not in _DEPTHS:
        kind = "EXR is" if path.suffix.lower() == ".exr" else f"{path.suffix or 'a file without a suffix'} is"
        raise EvaluationError(f"{path}: {kind} not supported; convert it to .npy with depth in metres")
    return True


def _by_stem(folder: Path, paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise EvaluationError(f"{folder} holds both {found[path.stem].name} and {path.name}; keep one of them")
        found[path.stem] = path
    return found


def _check(pair: Pair, scale: float) -> float:
    """The largest valid depth of a pair, in metres."""
    try:
        width, height = upright_size(pair.image)
    except ImageError as error:
        raise EvaluationError(str(error)) from error
    truth = read_depth(pair.depth, scale)
    if truth.size != (width, height):
        raise EvaluationError(
            f"{pair.depth} is {truth.size[0]}x{truth.size[1]} pixels but its picture {width}x{height}; resize it"
        )
    known = truth.metres[valid_pixels(truth.metres)]
    if not len(known):
        raise EvaluationError(f"{pair.depth} has no valid pixel: all are zero, negative or not finite")
    nearest, farthest = float(known.min()), float(known.max())
    if not _BOUNDS[0] <= nearest <= farthest <= _BOUNDS[1]:
        raise EvaluationError(
            f"{pair.depth} holds depth from {nearest:g} to {farthest:g} metres, and {_BOUNDS[0]:g} to {_BOUNDS[1]:g} "
            "can be measured: give the right scale, and set what is unknown to zero"
        )
    return farthest

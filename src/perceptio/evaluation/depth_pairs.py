"""Depth on a user's folder of pictures and depth maps (NYU, KITTI, DIODE, one's own).

    ROOT/images/NAME.png (or .jpg, .jpeg, .webp, .bmp)
    ROOT/depth/NAME.png      16 bits, depth = value / scale in metres (1000 for NYU, 256 for KITTI), or
    ROOT/depth/NAME.npy      (H, W) depth in metres

Depth has its picture's size; zero, negative, NaN and infinite values mean that it is unknown there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from perceptio.depth.alignment import aligned_errors, valid_pixels
from perceptio.evaluation.judged import Judged, Outcome, figures
from perceptio.evaluation.report import Figure
from perceptio.evaluation.runner import Ask, EvaluationError, Item, answer_record
from perceptio.images import upright_size
from perceptio.results import Answer
from perceptio.tokens import Switch

DEPTH_PROMPT = "Show the depth map."
NYU_SCALE = 1000.0  # values of a PNG per metre
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_DEPTHS = (".png", ".npy")
_SIXTEEN_BIT = ("I;16", "I;16B", "I")
_FIGURES = ("AbsRel", "RMSE, m", "delta < 1.25", "delta < 1.25^2", "delta < 1.25^3")
_WRITTEN = "depth map written"


@dataclass(frozen=True)
class Pair:
    """A picture and its depth."""

    image: Path
    depth: Path


class DepthPairs:
    """One request for depth for each picture; a unit is one picture.

    Args:
        pairs: in their order.
        scale: of 16-bit depth.
        farthest: the largest true depth of all pairs, in metres; predictions are clipped to it.
        source: what the settings say of the folder.
    """

    name = "depth"
    protocol = "1"

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
        return [Item(pair.image.stem, (ask,), pair)]

    def score(self, item: Item, answers: Sequence[Answer]) -> Judged:
        """Errors after alignment; a map that was not written counts as a constant one, which fits the mean."""
        (ask,), (answer,) = item.asks, answers
        truth = read_depth(item.truth.depth, self.scale)
        predicted = answer.depth.array if answer.depth is not None else np.zeros(truth.shape)
        errors = aligned_errors(predicted, truth, self.farthest)
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
    if not scale > 0:
        raise EvaluationError(f"the scale of depth must be positive, not {scale:g}")
    images = _by_stem(root / "images", [path for path in _files(root / "images") if path.suffix.lower() in _IMAGES])
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
        digest.update(pair.depth.name.encode() + pair.depth.read_bytes())
        farthest = max(farthest, _check(pair, scale))
    source = {"missing_partners": len(alone), "depth_sha256": digest.hexdigest()[:16]}
    return DepthPairs(pairs, scale, farthest, source)


def read_depth(path: Path, scale: float) -> np.ndarray:
    """(H, W) float64 depth in metres, as the file has it where it is unknown.

    Raises:
        EvaluationError: if the file is damaged or not of a kind described at the top.
    """
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as image:
                if image.mode not in _SIXTEEN_BIT:
                    raise EvaluationError(f"{path} is no 16-bit PNG of one channel but of mode {image.mode}")
                values = np.asarray(image) / scale
    except EvaluationError:
        raise
    except Exception as error:  # decoders fail in many ways on damaged files
        raise EvaluationError(f"{path} cannot be read as depth: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise EvaluationError(f"{path} must hold (H, W) numbers, not {values.shape} of {values.dtype}")
    return values.astype(np.float64)


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
    depth = read_depth(pair.depth, scale)
    valid = valid_pixels(depth)
    if not valid.any():
        raise EvaluationError(f"{pair.depth} has no valid pixel: all are zero, negative or not finite")
    try:
        width, height = upright_size(pair.image)
    except OSError as error:
        raise EvaluationError(f"{pair.image} cannot be read: {error}") from error
    if depth.shape != (height, width):
        raise EvaluationError(
            f"{pair.depth} is {depth.shape[1]}x{depth.shape[0]} pixels but its picture {width}x{height}; resize it"
        )
    return float(depth[valid].max())

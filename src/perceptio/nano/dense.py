"""Pre-training of a small vision tower on dense targets: what every patch shows and how near it is.

A stand-in for a pre-trained InternViT: a model of nano's size does not learn to see from questions and answers alone.

Shapes: B images, S side, g patches along a side, D width of the tower.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from perceptio.data.marks import LETTER_RISE, LETTERS, MARKED_SIZE, choose_points, draw_marks
from perceptio.data.schema import Mark
from perceptio.depth.normalization import inverse_depth_from_metric
from perceptio.model.shares import Shares
from perceptio.scenes.storage import StoredScene
from perceptio.scenes.tabletop.world import COLORS, MATERIALS, SHAPES, SIZES
from perceptio.segmentation.preprocess import normalize

MARKED = 0.6  # share of pictures with marks
_NONE = -100  # no target: the index that cross-entropy ignores
_CLASSES = {
    "shape": len(SHAPES) + 1,
    "color": len(COLORS),
    "material": len(MATERIALS),
    "size": len(SIZES),
    "letter": len(LETTERS) + 1,
}
_WITH_NOTHING = ("shape", "letter")  # heads whose class 0 is "nothing"
_VALUES = {"depth": 1, "offset": 2, "mark_offset": 2}


def dense_sample(stored: StoredScene, side: int, patch: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """One picture, marks drawn on some, and what each of its patches shows.

    Returns:
        `pixels` (3, S, S) uint8; `shape`, `color`, `material`, `size`, `letter` (g, g) int64, -100 where there is no
        target; `depth` (g, g, 1) float32, mean normalised inverse depth; `offset` (g, g, 2) float32, from the patch's
        centre to its object's centroid, x y in image sides; `mark_offset` likewise to the mark.
    """
    nearness = inverse_depth_from_metric(stored.depth)
    marks = choose_points(nearness, stored.ids, int(rng.integers(2, 6)), rng) if rng.random() < MARKED else ()
    picture = draw_marks(stored.rgb, marks) if marks else stored.rgb
    image = Image.fromarray(picture)
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    return {"pixels": pixels, **dense_targets(stored, marks, side // patch)}


def dense_targets(stored: StoredScene, marks: tuple[Mark, ...], grid: int) -> dict[str, Tensor]:
    """What each patch of a scene's picture shows, with these marks drawn on it; see `dense_sample`."""
    nearness = inverse_depth_from_metric(stored.depth)
    owner = _majority(stored.ids, grid)
    table = {name: np.full(256, _NONE) for name in ("shape", "color", "material", "size")}
    table["shape"][0] = 0
    centers = np.zeros((256, 2), np.float32)
    for thing, view in zip(stored.scene.objects, stored.views, strict=True):
        table["shape"][thing.index] = 1 + SHAPES.index(thing.shape)
        table["color"][thing.index] = list(COLORS).index(thing.color)
        table["material"][thing.index] = MATERIALS.index(thing.material)
        table["size"][thing.index] = SIZES.index(thing.size)
        centers[thing.index] = np.array(view.center) / stored.ids.shape[0]
    middle = (np.stack(np.meshgrid(np.arange(grid), np.arange(grid)), -1) + 0.5) / grid
    letter, mark_offset = _mark_targets(marks, grid, middle)
    return {
        **{name: torch.from_numpy(values[owner]) for name, values in table.items()},
        "letter": torch.from_numpy(letter),
        "depth": torch.from_numpy(_means(nearness, grid)[..., None]),
        "offset": torch.from_numpy((centers[owner] - middle).astype(np.float32)),
        "mark_offset": torch.from_numpy(mark_offset),
    }


class DenseHead(nn.Sequential):
    """A norm and one linear layer over the states of a vision tower's patches.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        # InternVL's tower ends without a norm; its projector begins with one, and so do we
        super().__init__(nn.LayerNorm(width), nn.Linear(width, sum(_CLASSES.values()) + sum(_VALUES.values())))

    def predict(self, states: Tensor) -> dict[str, Tensor]:
        """(B, 1 + g * g, D), the class token first -> for each target (B, g * g, classes or values)."""
        widths = _CLASSES | _VALUES
        parts = self(states[:, 1:]).float().split(list(widths.values()), dim=-1)
        return dict(zip(widths, parts, strict=True))

    def losses(
        self, states: Tensor, targets: dict[str, Tensor], share: Callable[[str], Tensor | float] = lambda _: 1.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of all losses, and the losses and accuracies apart, detached.

        Args:
            states: (B, 1 + g * g, D).
            targets: as from `dense_targets`, batched.
            share: of an optimiser step's items that the batch holds, by the names of `dense_counts`.
        """
        predicted = self.predict(states)
        losses = {}
        for name in _CLASSES:
            losses_P = F.cross_entropy(
                predicted[name].flatten(0, 1), targets[name].flatten(), ignore_index=_NONE, reduction="none"
            )
            parts = [
                losses_P[where].sum() / where.sum().clamp(min=1) * share(part)
                for part, where in _taught_patches(name, targets).items()
            ]
            losses[name] = torch.stack(parts).sum()
        losses["depth"] = F.l1_loss(predicted["depth"], targets["depth"].flatten(1, 2)) * share("depth")
        for name, of in (("offset", "shape"), ("mark_offset", "letter")):
            where = (targets[of] > 0).flatten(1)[..., None]
            error = (predicted[name] - targets[name].flatten(1, 2)).abs() * where
            losses[name] = error.sum() / where.sum().clamp(min=1) * share(of)
        # an offset of a tenth is far: it would drown in the sum; marks are few and their losses noisy
        weights = {"depth": 2.0, "offset": 4.0, "letter": 0.5, "mark_offset": 3.0}
        total = torch.stack([weights.get(name, 1.0) * value for name, value in losses.items()]).sum()
        report = {name: value.detach() for name, value in losses.items()}
        for name, least in (("shape", 1), ("color", 0), ("letter", 1)):
            wanted = targets[name].flatten()
            right = predicted[name].flatten(0, 1).argmax(-1) == wanted
            report[f"{name}_accuracy"] = right[wanted >= least].float().mean().nan_to_num() * share(name)
        return total, report


class VisionPretraining(nn.Module):
    """A vision tower with a head over its patches.

    Args:
        tower: InternVL's vision model.
        width: D.
    """

    def __init__(self, tower: nn.Module, width: int) -> None:
        super().__init__()
        self.tower = tower
        self.head = DenseHead(width)

    def forward(self, pixels: Tensor, counts: Mapping[str, Tensor] | None = None, **targets: Tensor) -> dict[str, Any]:
        """`loss`, and `losses` and accuracies apart.

        Args:
            pixels: as from `dense_sample`, batched, and so the targets.
            counts: as from `counts`, of the whole optimiser step; by default the batch is the step.
            targets: by name.
        """
        states = self.tower(pixel_values=normalize(pixels)).last_hidden_state
        loss, report = self.head.losses(states, targets, Shares(dense_counts(targets), counts).__getitem__)
        return {"loss": loss, "losses": report}

    def counts(self, pixels: Tensor, **targets: Tensor) -> dict[str, Tensor]:
        """The number of items of each loss in a batch."""
        return dense_counts(targets)


def _taught_patches(name: str, targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """Which patches (P,) bool a target's cross-entropy is a mean over.

    Where class 0 is "nothing" it has a mean of its own, and so weighs as much as all others: most patches show nothing.
    """
    targets_P = targets[name].flatten()
    if name in _WITH_NOTHING:
        return {f"{name}_nothing": targets_P == 0, name: targets_P > 0}
    return {name: targets_P != _NONE}


@torch.no_grad()
def dense_counts(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """The number of items of each loss in a batch of targets: () float32 each."""
    parts = {part: where for name in _CLASSES for part, where in _taught_patches(name, targets).items()}
    return {part: where.sum().float() for part, where in parts.items()} | {
        "depth": targets["depth"].new_tensor(len(targets["depth"]))
    }


def _majority(ids: np.ndarray, grid: int) -> np.ndarray:
    """The id that covers most of each patch, (g, g), of an (H, H) map whose side is a multiple of g."""
    present = np.unique(ids)
    shares = np.stack([_means((ids == value).astype(np.float32), grid) for value in present])
    return present[shares.argmax(0)]


def _means(values: np.ndarray, grid: int) -> np.ndarray:
    height, width = values.shape
    blocks = values.reshape(grid, height // grid, grid, width // grid)
    return blocks.mean((1, 3), dtype=np.float32)


def _mark_targets(marks: tuple[Mark, ...], grid: int, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Letters (g, g) and offsets (g, g, 2) on the patches that hold a mark or its letter."""
    letters = np.zeros((grid, grid), np.int64)
    offsets = np.zeros((grid, grid, 2), np.float32)
    for mark in marks:
        place = np.array([mark.x, mark.y]) / MARKED_SIZE
        for x, y in (place, place - (0.0, LETTER_RISE / MARKED_SIZE)):
            row, column = min(int(y * grid), grid - 1), min(int(x * grid), grid - 1)
            letters[row, column] = 1 + LETTERS.index(mark.letter)
            offsets[row, column] = place - middle[row, column]
    return letters, offsets

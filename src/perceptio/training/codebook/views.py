"""What the VQ-VAE is trained and judged on: random views of maps, and whole maps that are held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from perceptio.depth.normalization import normalize_inverse_depth, resize_nearest
from perceptio.training.codebook.sources import MapSet

MOST_HELD_OUT = 512  # maps of a source


class MapMixture(Sequence[np.ndarray]):
    """Chosen maps of several sets.

    Args:
        sets: all.
        places: (n, 2) int64, set and number of each map.
    """

    def __init__(self, sets: Sequence[MapSet], places: np.ndarray) -> None:
        self.sets, self.places = sets, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]  # no slices are asked for
        """(S, S) float32 in [-1, 1]."""
        number, row = self.places[index]
        return self.sets[number].maps[int(row)]


def split(sets: Sequence[MapSet], held_out: float, seed: int) -> tuple[MapMixture, MapMixture]:
    """Maps to train on, each as often as its set is repeated, and maps to judge by.

    Args:
        sets: all.
        held_out: share of each set, at least one map of two, at most `MOST_HELD_OUT`; 0: none.
        seed: of the choice.
    """
    trained, judged = [], []
    for number, each in enumerate(sets):
        count = len(each.maps)
        wanted = min(max(round(held_out * count), 1), MOST_HELD_OUT, count - 1) if held_out else 0
        order = np.random.default_rng((seed, number)).permutation(count)
        judged.append(_places(number, np.sort(order[:wanted])))
        trained += [_places(number, np.sort(order[wanted:]))] * each.repeat
    return MapMixture(sets, np.concatenate(trained)), MapMixture(sets, np.concatenate(judged))


def everything(sets: Sequence[MapSet]) -> MapMixture:
    """All maps, each once."""
    places = [_places(number, np.arange(len(each.maps))) for number, each in enumerate(sets)]
    return MapMixture(sets, np.concatenate(places))


def random_view(values: np.ndarray, size: int, crop: float, rng: np.random.Generator) -> Tensor:
    """A square crop, scaled to [-1, 1] anew as any map is, and mirrored half of the time.

    Args:
        values: (S, S) float32.
        size: side of the view, px.
        crop: side of the smallest crop, of S; a crop that shows no depth is the whole map instead.
        rng: of every draw.

    Returns:
        (size, size) float32 in [-1, 1]; no value is interpolated.
    """
    whole = values.shape[0]
    side = round(whole * rng.uniform(crop, 1))
    top, left = rng.integers(0, whole - side + 1, 2)
    view = values
    if side < whole:
        view = normalize_inverse_depth(values[top : top + side, left : left + side])
        view = view if view.any() else values
    view = resize_nearest(view, size)
    return torch.from_numpy(view[:, ::-1].copy() if rng.random() < 0.5 else view)


class WholeMaps(Dataset[Tensor]):
    """Maps as the tokenizer gets them in use.

    Args:
        maps: (S, S) float32 each.
        size: side that they are resized to, px.
    """

    def __init__(self, maps: Sequence[np.ndarray], size: int) -> None:
        self.maps, self.size = maps, size

    def __len__(self) -> int:
        return len(self.maps)

    def __getitem__(self, index: int) -> Tensor:
        """(size, size) float32."""
        return torch.from_numpy(resize_nearest(self.maps[index], self.size))


def stack_maps(maps: Sequence[Tensor]) -> dict[str, Tensor]:
    """(S, S) float32 each -> what the tokenizer's `forward` takes: "maps" (B, 1, S, S)."""
    return {"maps": torch.stack(list(maps))[:, None]}


def _places(number: int, rows: np.ndarray) -> np.ndarray:
    return np.stack([np.full(len(rows), number), rows], 1).astype(np.int64)

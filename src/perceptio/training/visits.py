"""Data that depends on the number of the visit alone, so that a resumed run sees exactly what it would have seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
from torch.utils.data import Dataset

Item = TypeVar("Item")


class Visits(Dataset[Item], Generic[Item]):
    """A run's samples in order: each pass goes through all items in a fresh order, each visit draws afresh.

    Args:
        make: (item index, generator) -> sample.
        items: number of items.
        visits: samples in the whole run.
        seed: of the run.
    """

    def __init__(self, make: Callable[[int, np.random.Generator], Item], items: int, visits: int, seed: int) -> None:
        if items < 1:
            raise ValueError("there is nothing to train on: the data set is empty")
        self.make = make
        self.items = items
        self.visits = visits
        self.seed = seed
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] | None = None

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> Item:
        turn, place = divmod(visit, self.items)
        if self._order is None or self._order[0] != turn:
            self._order = (turn, pass_order(self.items, self.seed, turn))
        index = int(self._order[1][place])
        return self.make(index, np.random.default_rng((self.seed, turn, index)))


def pass_order(items: int, seed: int, turn: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The order (items,) in which a pass goes through all items."""
    return np.random.default_rng((seed, turn)).permutation(items)

"""What a run is trained on: each visit's sample depends on the number of the visit alone.

So a run that is resumed, or split over processes, sees exactly what it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

import numpy as np
from torch.utils.data import Dataset

from perceptio.data.packing import PackedRow, pack_sample
from perceptio.data.schema import Sample
from perceptio.data.supervision import Supervision
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor

Item = TypeVar("Item")
Made = TypeVar("Made")


class Visits(Dataset[Made], Generic[Item, Made]):
    """Items, each made into what is trained on when its visit comes.

    Args:
        items: of the whole run, by the number of the visit.
        make: (item, generator of the visit) -> what is trained on.
        seed: of the run.
    """

    def __init__(self, items: Dataset[Item], make: Callable[[Item, np.random.Generator], Made], seed: int) -> None:
        self.items, self.make, self.seed = items, make, seed

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]  # torch's Dataset declares no length

    def __getitem__(self, visit: int) -> Made:
        return self.make(self.items[visit], np.random.default_rng((self.seed, visit)))


class Passes(Dataset[int]):
    """Numbers of items in the order of a run: each pass goes through all of them in a fresh order.

    Args:
        items: number of items.
        visits: of the whole run.
        seed: of the run.

    Raises:
        ValueError: if there is no item.
    """

    def __init__(self, items: int, visits: int, seed: int) -> None:
        if items < 1:
            raise ValueError("there is nothing to train on: the data set is empty")
        self.items, self.visits, self.seed = items, visits, seed
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] | None = None

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> int:
        number, place = divmod(visit, self.items)
        if self._order is None or self._order[0] != number:
            self._order = (number, pass_order(self.items, self.seed, number))
        return int(self._order[1][place])


def pass_order(items: int, seed: int, number: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The order (items,) in which pass `number` goes through all items."""
    return np.random.default_rng((seed, number)).permutation(items)


def packer(
    config: PerceptioConfig, processor: PerceptioProcessor, *, explicit: float, length: int, supervision: Supervision
) -> Callable[[Sample, np.random.Generator], PackedRow]:
    """What makes a packed sequence of a sample for a model; arguments as of `pack_sample`."""

    def pack(sample: Sample, rng: np.random.Generator) -> PackedRow:
        # in another order each time, or a long sample would lose the same questions in every pass
        turns = tuple(sample.turns[k] for k in rng.permutation(len(sample.turns)))
        try:
            return pack_sample(
                replace(sample, turns=turns),
                processor,
                config,
                rng,
                explicit=explicit,
                length=length,
                supervision=supervision,
            )
        except ValueError as error:
            raise ValueError(f"{sample.key}: {error}") from error

    return pack

"""A run's sequences: records by the number of the visit, packed, and stacked to batches that bring their own seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from perceptio.data.packing import PackedRow, collate, pack_record
from perceptio.data.record import Record
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.processing import PerceptioProcessor
from perceptio.training.finetune_recipe import PackPlan

Pack = Callable[[Record, np.random.Generator], PackedRow]
NumberedRow = tuple[int, PackedRow]  # the number of the visit in the run, and its sequence


class Rows(Dataset[NumberedRow]):
    """Records as packed sequences; each depends on the number of its visit alone.

    Args:
        records: by number of the visit.
        pack: (record, generator) -> sequence.
        seed: of the run.
    """

    def __init__(self, records: Dataset[Record], pack: Pack, seed: int) -> None:
        self.records = records
        self.pack = pack
        self.seed = seed

    def __len__(self) -> int:
        return len(self.records)  # type: ignore[arg-type]

    def __getitem__(self, visit: int) -> NumberedRow:
        return visit, self.pack(self.records[visit], np.random.default_rng((self.seed, visit)))


class Collate:
    """Rows -> arguments of forward, with the number of the first visit, which seeds the batch.

    Args:
        padding: id of the padding token.
    """

    def __init__(self, padding: int) -> None:
        self.padding = padding

    def __call__(self, rows: Sequence[NumberedRow]) -> dict[str, Tensor]:
        return collate([row for _, row in rows], self.padding) | {"visit": torch.tensor(rows[0][0])}


def packer(plan: PackPlan, config: PerceptioConfig, processor: PerceptioProcessor) -> Pack:
    """What makes a sequence of a record for a model."""

    def pack(record: Record, rng: np.random.Generator) -> PackedRow:
        # in another order each time, or a long record would lose the same questions in every pass
        turns = tuple(record.turns[k] for k in rng.permutation(len(record.turns)))
        try:
            return pack_record(
                replace(record, turns=turns),
                processor,
                config.vocabulary,
                rng,
                depth_size=config.depth.image_size,
                explicit=plan.explicit,
                length=plan.length,
            )
        except ValueError as error:
            raise ValueError(f"{record.key}: {error}") from error

    return pack

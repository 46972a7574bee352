"""The records of a fine-tune, by the number of the visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.utils.data import Dataset

from perceptio.data.record import Record
from perceptio.training.finetune_recipe import DataPlan


@dataclass(frozen=True)
class TuningData:
    """What a fine-tune learns from and is watched on."""

    samples: int  # records in one pass through the mixture
    training: Callable[[int], Dataset[Record]]  # number of visits of the run -> their records, in order
    validation: Dataset[Record] | None = None


def open_data(plan: DataPlan, seed: int) -> TuningData:
    raise NotImplementedError

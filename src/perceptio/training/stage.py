"""How one stage of a training run is optimised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from perceptio.training.limits import (
    Batch,
    Every,
    Range,
    Rate,
    RateOrNone,
    Share,
    ShareBelowAll,
    Steps,
    StepsOrNone,
    Workers,
)


@dataclass(frozen=True)
class Stage:
    """How one stage is optimised; the rate warms up, may stay, and falls as a cosine."""

    steps: Steps = 1000  # optimiser steps
    batch: Batch = 32  # images a step and device
    accumulate: Batch = 1  # batches a step
    learning_rate: Rate = 1e-3  # of AdamW
    muon: RateOrNone = 0.0  # rate of Muon on the matrices of hidden layers; 0: AdamW for all
    weight_decay: Share = 0.05
    warmup: StepsOrNone = 100  # steps
    decay: Share = 1.0  # share of the steps, at the end, in which the rate falls; before, it stays
    clip: Annotated[float, Range(0, 1e6)] = 1.0  # largest norm of the gradient; 0: no limit
    beta2: ShareBelowAll = 0.98  # of AdamW
    bf16: bool = True  # autocast where the machine computes in bfloat16; weights stay float32
    workers: Workers = 1  # processes that prepare data
    log_every: Every = 25  # steps
    save_every: Every = 200  # steps

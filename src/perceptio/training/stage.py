"""How one stage of a training run is optimised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """How one stage is optimised; the rate warms up, may stay, and falls as a cosine."""

    steps: int = 1000  # optimiser steps
    batch: int = 32  # images a step and device
    accumulate: int = 1  # batches a step
    learning_rate: float = 1e-3  # of AdamW
    muon: float = 0.0  # rate of Muon on the matrices of hidden layers; 0: AdamW for all
    weight_decay: float = 0.05
    warmup: int = 100  # steps
    decay: float = 1.0  # share of the steps, at the end, in which the rate falls; before, it stays
    clip: float = 1.0  # largest norm of the gradient
    beta2: float = 0.98  # of AdamW
    bf16: bool = True  # autocast where the machine computes in bfloat16; weights stay float32
    workers: int = 1  # processes that prepare data
    log_every: int = 25  # steps
    save_every: int = 200  # steps

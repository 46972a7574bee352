"""A small fine-tune as a script, for tests that need processes of their own: torchrun, and one that dies while
it saves.

worker.py BASE FOLDER [--shard] [--parallel] [--die optimizer.pt]
"""

from __future__ import annotations

import argparse
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from perceptio.data.schema import IdMap, Sample, Turn
from perceptio.training.finetune.lora import LoraPlan
from perceptio.training.finetune.run import Finetune
from perceptio.training.finetune.settings import DataPlan, FinetuneRecipe, PackPlan, TuningPlan
from perceptio.training.finetune.tuning_data import TuningData

SIDE = 128
RECIPE = FinetuneRecipe(
    name="tiny",
    base="",
    data=DataPlan({}),
    seed=3,
    packing=PackPlan(length=0, explicit=0.0),
    lora=LoraPlan(rank=4, alpha=8, dropout=0.1),
    tuning=TuningPlan(
        steps=4, global_batch=2, learning_rate=1e-3, bf16=False, workers=0, log_every=1, save_every=2, evaluate_every=4
    ),
)


class Squares(Dataset[Sample]):
    """A square on a grey ground: every other sample asks for its mask and depth, the others for neither."""

    def __init__(self, visits: int) -> None:
        self.visits = visits

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> Sample:
        rng = np.random.default_rng(visit)
        image = np.full((SIDE, SIDE, 3), 120, np.uint8)
        ids = np.zeros((SIDE, SIDE), np.uint8)
        row, column = rng.integers(0, SIDE - 40, 2)
        image[row : row + 40, column : column + 40] = rng.integers(0, 255, 3)
        ids[row : row + 40, column : column + 40] = 1
        depth = np.linspace(-1, 1, SIDE, dtype=np.float32)[:, None].repeat(SIDE, 1)
        if visit % 2:
            turn = Turn("How many squares?", "There is 1.", "counting", target="1")
            return Sample(image, (turn,), f"square/{visit}")
        turns = (Turn("Segment the square.", "Here is <p>the square</p>.", "referring", masks=(1,), depth=True),)
        return Sample(image, turns, f"square/{visit}", IdMap(ids), depth)


def run(base: str | Path, folder: Path, parallel: bool = False, **tuning: Any) -> None:
    """Fine-tune `base` on squares, with parallel depth spans if wanted."""
    how = "parallel" if parallel else "base"
    recipe = replace(RECIPE, base=str(base), depth_decoding=how, tuning=replace(RECIPE.tuning, **tuning))
    Finetune(recipe, folder, TuningData(8, Squares, Squares(4))).run()


def die_in_second(name: str) -> None:
    """Let SIGKILL end this process half-way through the second file of that name that torch writes."""
    written, save = [0], torch.save

    def save_half(value: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        save(value, path, *args, **kwargs)
        written[0] += Path(path).name == name
        if written[0] == 2:
            os.truncate(path, Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save_half


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--parallel", action="store_true")
    parser.add_argument("--die")
    given = parser.parse_args()
    if given.die:
        die_in_second(given.die)
    run(given.base, given.folder, given.parallel, shard=given.shard)

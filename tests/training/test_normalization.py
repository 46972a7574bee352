"""An optimiser step is the same however its samples are cut into batches and processes, for every loss alone.

`worker.py` takes one step for each loss by `train_stage`, at a learning rate of 0, and keeps the gradients.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

WORKER = Path(__file__).parent / "worker.py"
Kept = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def worker() -> dict[str, Any]:
    return runpy.run_path(str(WORKER), run_name="worker")


@pytest.fixture(scope="module")
def whole(worker: dict[str, Any], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The gradients of one batch of eight."""
    kept: Kept = worker["steps"](tiny_folder, tmp_path_factory.mktemp("whole"), 8, 1)
    return kept


def compare(found: Kept, expected: Kept, worker: dict[str, Any]) -> dict[str, float]:
    """How far gradients and loss are from the expected ones, by loss: the worst of all parameters, relative to each
    one's norm or a thousandth of that of all."""
    differences = {}
    assert set(found) == set(expected) == set(worker["LOSSES"])
    for loss, wanted in expected.items():
        size = torch.stack([value.norm() for name, value in wanted.items() if name]).norm()
        assert size > 0
        worst = []
        for name in wanted.keys() | found[loss].keys():
            (value,) = [kept[loss][name] for kept in (expected, found) if name in kept[loss]][:1]
            one, two = (kept[loss].get(name, torch.zeros_like(value)) for kept in (expected, found))
            worst.append(float((one - two).norm() / torch.maximum(one.norm(), size / 1000)))
        differences[loss] = max(worst)
    return differences


def test_a_step_of_eight_batches_of_one_is_that_of_one_batch_of_eight(
    worker: dict[str, Any], whole: Kept, tiny_folder: Path, tmp_path: Path
) -> None:
    found = worker["steps"](tiny_folder, tmp_path, 1, 8)
    for loss, difference in compare(found, whole, worker).items():
        assert difference < 1e-4, loss


def test_two_processes_of_four_take_the_step_of_one_of_eight(
    worker: dict[str, Any], whole: Kept, tiny_folder: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    arguments = [sys.executable, str(WORKER), str(tiny_folder), str(tmp_path), "2", "2"]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    for loss, difference in compare(torch.load(tmp_path / "gradients.pt"), whole, worker).items():
        assert difference < 1e-4, loss


def test_means_over_batches_would_take_another_step(
    worker: dict[str, Any], whole: Kept, tiny_folder: Path, tmp_path: Path
) -> None:
    """The samples are unequal enough for the tests above to fail."""
    found = worker["steps"](tiny_folder, tmp_path, 2, 4, counted=False)
    for loss, difference in compare(found, whole, worker).items():
        assert difference > 0.1, loss

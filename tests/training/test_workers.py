"""Workers that prepare batches: where shared memory is small, and when their run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from perceptio.files.parts import is_alive
from perceptio.training.workers import start_worker

ITEMS = [
    torch.arange(6.0).reshape(2, 3).T,
    torch.tensor(True),
    torch.zeros(0, 4),
    torch.full((3,), 0.5, dtype=torch.bfloat16),
    torch.arange(10)[::2],
]
RUN = """
import os, sys, time
import torch
from torch.utils.data import DataLoader, Dataset
from perceptio.training.workers import start_worker

class Slow(Dataset):
    def __len__(self): return 100
    def __getitem__(self, index):
        time.sleep(index)
        return torch.tensor(os.getpid())

for process in DataLoader(Slow(), batch_size=None, num_workers=2, worker_init_fn=start_worker):
    print(int(process), flush=True)
"""


def no_room(_: Tensor) -> Tensor:
    raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")


@pytest.mark.parametrize("room", [True, False])
def test_batches_arrive_whether_or_not_shared_memory_has_room(room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not room:
        monkeypatch.setattr(torch.Tensor, "share_memory_", no_room)
    items = Subset(ITEMS, range(len(ITEMS)))
    found = list(DataLoader(items, batch_size=None, num_workers=1, worker_init_fn=start_worker, timeout=30))
    for value, expected in zip(found, ITEMS, strict=True):
        assert value.dtype == expected.dtype
        assert torch.equal(value, expected)


@pytest.mark.slow
def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        workers = [int(run.stdout.readline()) for _ in range(2)]
        os.kill(run.pid, signal.SIGKILL)
    for _ in range(100):
        if not any(map(is_alive, workers)):
            break
        time.sleep(0.1)
    assert not any(map(is_alive, workers))

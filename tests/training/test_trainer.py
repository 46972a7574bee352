"""The trainer: a killed and resumed run equals an unbroken one, and every loss is logged apart."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Subset, default_collate

from perceptio.files import OutputError
from perceptio.model.shares import Shares
from perceptio.training import trainer
from perceptio.training.checkpoint import last_checkpoint
from perceptio.training.stage import Stage
from perceptio.training.trainer import train_stage
from perceptio.training.visits import Passes, Visits

STAGE = Stage(steps=12, batch=4, learning_rate=1e-2, warmup=2, bf16=False, workers=0, log_every=2, save_every=4)


class Regression(nn.Module):
    """Noisy on purpose: the noise must be resumed too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.stop_at: int | None = None
        self.calls = 0

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        self.calls += 1
        if self.stop_at is not None and self.calls > self.stop_at:
            raise KeyboardInterrupt
        error = ((self.layer(x + 0.1 * torch.randn_like(x)) - y) ** 2).mean()
        size = self.layer.weight.abs().sum()
        return {"loss": error + 0.01 * size, "losses": {"error": error.detach(), "size": size.detach()}}


def sample(index: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(rng.normal(size=3).astype(np.float32))
    return x, x.sum()[None] + index


def collate(items: list[Any]) -> dict[str, Tensor]:
    return {"x": torch.stack([x for x, _ in items]), "y": torch.stack([y for _, y in items])}


def fresh() -> Regression:
    torch.manual_seed(0)
    return Regression()


def visits(items: int, count: int) -> Visits[int, tuple[Tensor, Tensor]]:
    return Visits(Passes(items, count, seed=0), sample, seed=0)


def run(module: Regression, folder: Path, stage: Stage = STAGE) -> Regression:
    train_stage(module, visits(10, 48), collate, stage, folder, seed=5)
    return module


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Regression, Path]:
    folder = tmp_path_factory.mktemp("unbroken") / "stage"
    return run(fresh(), folder), folder


def test_a_killed_run_with_muon_resumes_exactly_too(tmp_path: Path) -> None:
    stage = replace(STAGE, muon=1e-2)
    unbroken, killed = run(fresh(), tmp_path / "a", stage), fresh()
    killed.stop_at = 7
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path / "b", stage)
    assert torch.equal(run(fresh(), tmp_path / "b", stage).layer.weight, unbroken.layer.weight)


def test_a_run_that_was_killed_resumes_exactly(unbroken: tuple[Regression, Path], tmp_path: Path) -> None:
    killed = fresh()
    killed.stop_at = 7  # after the checkpoint at step 4
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path)
    resumed = run(fresh(), tmp_path)
    assert resumed.calls == 8
    assert torch.equal(resumed.layer.weight, unbroken[0].layer.weight)
    assert torch.equal(resumed.layer.bias, unbroken[0].layer.bias)


def test_training_moves_the_weights(unbroken: tuple[Regression, Path]) -> None:
    assert not torch.allclose(unbroken[0].layer.weight, fresh().layer.weight)


def test_each_loss_is_logged_and_drawn(unbroken: tuple[Regression, Path]) -> None:
    entries = [json.loads(line) for line in (unbroken[1] / "log.jsonl").read_text().splitlines()]
    logged = [entry for entry in entries if "loss" in entry]
    assert logged
    for entry in logged:
        assert entry["loss"] == pytest.approx(entry["loss/error"] + 0.01 * entry["loss/size"], rel=1e-3)
    assert (unbroken[1] / "curves.png").stat().st_size > 1000


def test_each_evaluation_happens_once(tmp_path: Path) -> None:
    """At the last step too: four batches of training and two evaluations of one batch."""
    module, stage = fresh(), replace(STAGE, steps=4, save_every=4)
    train_stage(module, visits(10, 16), collate, stage, tmp_path, seed=5, validation=visits(4, 4), evaluate_every=2)
    assert module.calls == 4 + 2


class Counted(nn.Module):
    """The mean square of the values that are there, which few samples have."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def counts(self, values: Tensor, there: Tensor) -> dict[str, Tensor]:
        return {"there": there.sum()}

    def forward(self, values: Tensor, there: Tensor, counts: dict[str, Tensor] | None = None) -> dict[str, Any]:
        own = self.counts(values, there)
        mean = ((self.factor * values) ** 2 * there).sum() / own["there"].clamp(min=1)
        loss = mean * Shares(own, counts)["there"]
        return {"loss": loss, "losses": {"square": loss.detach()}}


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_an_evaluation_is_the_same_however_its_samples_are_cut(batch: int, tmp_path: Path) -> None:
    values, there = torch.arange(1.0, 9.0), torch.tensor([1.0, 1, 0, 0, 0, 1, 0, 0])
    samples = Subset([{"values": one, "there": two} for one, two in zip(values, there, strict=True)], range(8))
    stage = replace(STAGE, steps=1, batch=batch, learning_rate=0.0, warmup=0, save_every=1)
    train_stage(Counted(), samples, default_collate, stage, tmp_path, seed=0, validation=samples, evaluate_every=1)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    (found,) = [entry for entry in entries if "eval_loss" in entry]
    expected = (1 + 4 + 36) / 3
    assert (found["eval_loss"], found["eval_loss/square"]) == pytest.approx((expected, expected))


def test_a_checkpoint_that_was_cut_short_is_passed_over_and_removed(
    unbroken: tuple[Regression, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "stage"
    shutil.copytree(unbroken[1], folder)
    (folder / "checkpoint-12" / "complete").unlink()
    assert last_checkpoint(folder) == folder / "checkpoint-8"
    assert not (folder / "checkpoint-12").exists()


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_damaged_checkpoint_is_named(file: str, unbroken: tuple[Regression, Path], tmp_path: Path) -> None:
    shutil.copytree(unbroken[1] / "checkpoint-8", tmp_path / "checkpoint-8")
    content = (tmp_path / "checkpoint-8" / file).read_bytes()
    (tmp_path / "checkpoint-8" / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="checkpoint-8 is damaged"):
        run(fresh(), tmp_path)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk does, for this process alone: larger files cannot be written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [10, 1000, 3000])
def test_a_disk_that_is_full_stops_a_run_with_its_last_checkpoint_whole(size: int, tmp_path: Path) -> None:
    killed = fresh()
    killed.stop_at = 7  # after the checkpoint at step 4
    with pytest.raises(KeyboardInterrupt):
        run(killed, tmp_path)
    with files_of_at_most(size), pytest.raises(OutputError, match=f"cannot write {tmp_path}"):
        run(fresh(), tmp_path)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-4"]
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


def test_workers_are_started_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that train and those that evaluate."""
    monkeypatch.setattr(trainer, "start_worker", lambda number: (tmp_path / f"{os.getpid()}-{number}").touch())
    stage, samples = replace(STAGE, steps=1, save_every=1, workers=1), visits(4, 4)
    train_stage(fresh(), samples, collate, stage, tmp_path, seed=5, validation=samples, evaluate_every=1)
    assert len(list(tmp_path.glob("*-0"))) == 2


def test_a_new_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "none") is None

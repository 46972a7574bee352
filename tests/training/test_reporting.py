"""Losses in Weights & Biases: transformers' own integration gets them, and what stops it is one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from perceptio.training.finetune.run import Finetune
from perceptio.training.finetune.settings import DataPlan, FinetuneRecipe, TuningPlan
from perceptio.training.recipe import RecipeError, build_recipe
from perceptio.training.reporting import reporting
from perceptio.training.stage import Stage
from perceptio.training.trainer import train_stage

STAGE = Stage(steps=4, batch=2, warmup=0, bf16=False, workers=0, log_every=2, save_every=4)


class Line(nn.Module):
    """Two losses."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> dict[str, Any]:
        error, size = ((self.weight * x - 1) ** 2).mean(), self.weight**2
        return {"loss": error + size, "losses": {"error": error.detach(), "size": size.detach()}}


STAND_IN = """
config, run, named, logs = {}, None, {}, []

class Run:
    summary = {}

    def _label(self, **_):
        pass

def init(**settings):
    global run
    named.update(settings)
    run = Run()

def log(values, **_):
    logs.append(values)

def define_metric(*_, **__):
    pass
"""


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A stand-in for the package, which reaches for no network: what transformers calls of it."""
    for name, text in {
        "__init__": STAND_IN,
        "errors": "class Error(Exception): pass\n",
        "sdk/__init__": "",
        "sdk/lib/__init__": "",
        "sdk/lib/config_util": "class ConfigError(Exception): pass\n",
    }.items():
        path = tmp_path / "packages" / "wandb" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    import wandb

    yield wandb
    for name in [name for name in sys.modules if name.split(".")[0] == "wandb"]:
        del sys.modules[name]


def test_each_loss_is_logged_apart(wandb: Any, tmp_path: Path) -> None:
    samples: Any = [{"x": torch.tensor(float(number))} for number in range(8)]
    train_stage(Line(), samples, default_collate, STAGE, tmp_path / "mine", seed=0, report_to="wandb")
    assert wandb.named["name"] == "mine"
    steps = [logs for logs in wandb.logs if "train/loss/error" in logs]
    assert [logs["train/global_step"] for logs in steps] == [2, 4]
    for logs in steps:
        assert logs["train/loss"] == pytest.approx(logs["train/loss/error"] + logs["train/loss/size"], abs=1e-4)
    assert list((tmp_path / "mine").rglob("events.out.tfevents.*"))  # TensorBoard's are written as ever


def test_nothing_is_reported_unless_it_is_asked_for(wandb: Any, tmp_path: Path) -> None:
    samples: Any = [{"x": torch.tensor(float(number))} for number in range(8)]
    train_stage(Line(), samples, default_collate, STAGE, tmp_path, seed=0)
    assert wandb.run is None


def test_a_refusal_is_one_sentence(wandb: Any) -> None:
    from wandb.errors import Error

    with pytest.raises(ValueError, match=r"does not take the run \(no key\): `wandb login` first"), reporting("wandb"):
        raise Error("no\nkey")


def test_a_missing_package_is_said_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    recipe = FinetuneRecipe("mine", "nowhere", DataPlan({"none.jsonl": 1.0}), tuning=TuningPlan(report_to="wandb"))
    with pytest.raises(ValueError, match="pip install wandb"):
        Finetune(recipe, tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


def test_other_services_are_refused_in_the_recipe() -> None:
    settings = {"name": "mine", "base": "nano", "data": {"train": {"a.jsonl": 1}}, "tuning": {"report_to": "all"}}
    with pytest.raises(RecipeError, match=r"tuning\.report_to must be one of none, wandb, not 'all'"):
        build_recipe(settings, FinetuneRecipe, "mine.yaml")

"""A fine-tune with parallel depth spans: its query trains, is kept, resumed and exported like any other part."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from perceptio.model.configuration import PerceptioConfig
from perceptio.model.loading import load
from perceptio.training.beginning import RECIPE_FILE
from perceptio.training.finetune.lora import load_adapter
from perceptio.training.finetune.memory import Load, count_parts, skeleton
from perceptio.training.finetune.run import Finetune
from perceptio.training.finetune.saving import TRAINED_FILE

WORKER = Path(__file__).parent / "worker.py"


def losses(folder: Path) -> list[dict[str, float]]:
    """Each loss of each step."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if "loss/" in name} for entry in entries]


@pytest.fixture(scope="module")
def worker() -> dict[str, Any]:
    return runpy.run_path(str(WORKER))


@pytest.fixture(scope="module")
def unbroken(worker: dict[str, Any], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on one process."""
    folder = tmp_path_factory.mktemp("parallel")
    worker["run"](tiny_folder, folder, parallel=True)
    return folder


def test_the_exported_model_has_a_query_that_has_moved(unbroken: Path, tiny_folder: Path) -> None:
    model = load(unbroken / "model", device="cpu")[0]
    assert model.config.depth_decoding == "parallel"
    base = load(tiny_folder, device="cpu")[0]
    mean = base.get_input_embeddings().weight[base.config.depth_code_token_ids].mean(0)
    assert 1e-4 < (model.depth_query - mean).abs().max() < 0.1
    assert {"loss/parallel_token", "loss/parallel_reconstruction"} <= losses(unbroken)[0].keys()


def test_the_adapter_on_the_base_is_the_exported_model(unbroken: Path, tiny_folder: Path) -> None:
    adapted = load_adapter(load(tiny_folder, device="cpu")[0], unbroken / "adapter")
    exported = load(unbroken / "model", device="cpu")[0]
    assert adapted.config.depth_decoding == "parallel"
    assert adapted.state_dict().keys() == exported.state_dict().keys()
    for name, value in exported.state_dict().items():
        torch.testing.assert_close(adapted.state_dict()[name], value, rtol=0, atol=1e-6)


def test_a_resumed_run_equals_an_unbroken_one(
    worker: dict[str, Any], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(unbroken / "checkpoint-2", tmp_path / "checkpoint-2")
    shutil.copy(unbroken / RECIPE_FILE, tmp_path)
    worker["run"](tiny_folder, tmp_path, parallel=True)
    expected, found = (load_file(folder / "checkpoint-4" / TRAINED_FILE) for folder in (unbroken, tmp_path))
    assert expected.keys() == found.keys() >= {"depth_query"}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--shard",)], ids=["DDP", "FSDP2"])
def test_two_processes_have_the_losses_of_one_though_one_never_sees_a_span(
    options: tuple[str, ...], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", WORKER]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*map(str, command), str(tiny_folder), str(tmp_path), "--parallel", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for found, expected in zip(losses(tmp_path), losses(unbroken), strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    query, expected_query = (
        load_file(folder / "checkpoint-4" / TRAINED_FILE)["depth_query"] for folder in (tmp_path, unbroken)
    )
    torch.testing.assert_close(query, expected_query, rtol=1e-3, atol=1e-4)


def test_a_base_with_a_query_may_lose_it(worker: dict[str, Any], unbroken: Path, tmp_path: Path) -> None:
    recipe = replace(worker["RECIPE"], base=str(unbroken), depth_decoding="exact")
    data = worker["TuningData"](8, worker["Squares"], None)
    Finetune(replace(recipe, tuning=replace(recipe.tuning, steps=1, save_every=1)), tmp_path, data).run()
    model = load(tmp_path / "model", device="cpu")[0]
    assert model.depth_query is None
    assert model.config.depth_decoding == "exact"


def test_the_estimate_counts_the_query_and_its_positions(worker: dict[str, Any], unbroken: Path) -> None:
    recipe = worker["RECIPE"]
    config = PerceptioConfig.from_pretrained(unbroken / "model")
    width = config.vlm.text_config.hidden_size
    with_query = sum(part.trained for part in count_parts(skeleton(config, recipe, 20)).values())
    config.depth_decoding = "exact"
    assert with_query == width + sum(part.trained for part in count_parts(skeleton(config, recipe, 20)).values())
    assert Load(1, 96, 20).with_queries(16) == Load(1, 112, 36)

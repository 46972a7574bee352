"""Fine-tuning: the same losses on any number of processes, exact resume even after a kill, a folder that answers."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from perceptio.files import FolderInUseError, locked
from perceptio.model.loading import load
from perceptio.pipeline import Perceptio
from perceptio.training.beginning import READS_FILE, RECIPE_FILE
from perceptio.training.finetune.lora import load_adapter
from perceptio.training.finetune.run import Finetune, as_stage, rates
from perceptio.training.finetune.saving import TRAINED_FILE
from perceptio.training.finetune.settings import TuningPlan

WORKER = Path(__file__).parent / "worker.py"
GOLDEN = (96.9306, 75.6281, 64.7345, 66.3131)  # the loss of each step


def losses(folder: Path) -> list[float]:
    """The loss of each step, and that on the validation set."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [entry[key] for key in ("loss", "eval_loss") for entry in entries if key in entry]


def weights(folder: Path, step: int = 4) -> dict[str, torch.Tensor]:
    return load_file(folder / f"checkpoint-{step}" / TRAINED_FILE)


def half_way(run: Path, folder: Path) -> None:
    """A run that was stopped after its first checkpoint."""
    shutil.copytree(run / "checkpoint-2", folder / "checkpoint-2")
    shutil.copy(run / RECIPE_FILE, folder)


def launch(*arguments: Any, processes: int = 0) -> subprocess.CompletedProcess[str]:
    """The worker alone, or under torchrun."""
    start = [sys.executable]
    if processes:
        start += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*start, str(WORKER), *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def worker() -> dict[str, Any]:
    return runpy.run_path(str(WORKER))


@pytest.fixture(scope="module")
def unbroken(worker: dict[str, Any], tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on one process."""
    folder = tmp_path_factory.mktemp("finetune")
    worker["run"](tiny_folder, folder)
    return folder


def test_the_losses_are_those_that_they_were(unbroken: Path) -> None:
    assert losses(unbroken)[:4] == pytest.approx(GOLDEN, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--shard",)], ids=["DDP", "FSDP2"])
def test_two_processes_have_the_losses_of_one_though_one_never_sees_a_mask(
    options: tuple[str, ...], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    done = launch(tiny_folder, tmp_path, *options, processes=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(tmp_path) == pytest.approx(losses(unbroken), rel=1e-4)
    expected, found = weights(unbroken), weights(tmp_path)
    for name, value in expected.items():
        torch.testing.assert_close(found[name].reshape(value.shape), value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_sharded_run_goes_on_from_the_checkpoint_of_a_whole_one(
    unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    half_way(unbroken, tmp_path)
    done = launch(tiny_folder, tmp_path, "--shard", processes=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert losses(tmp_path) == pytest.approx(losses(unbroken), rel=1e-4)


def test_what_a_recipe_cannot_change_in_its_base_is_said(
    worker: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(worker["RECIPE"], base=str(tiny_folder), order="interleaved")
    with pytest.raises(ValueError, match="has a pointer"):
        Finetune(recipe, tmp_path).run()
    with pytest.raises(ValueError, match="mask_gate"):
        replace(recipe, mask_gate=True, losses=replace(recipe.losses, object=0.0))


def test_a_resumed_run_equals_an_unbroken_one(
    worker: dict[str, Any], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    half_way(unbroken, tmp_path)
    worker["run"](tiny_folder, tmp_path)
    assert_equal(weights(tmp_path), weights(unbroken))
    assert losses(tmp_path) == losses(unbroken)


@pytest.mark.slow
def test_a_run_killed_while_it_saved_resumes_exactly(
    worker: dict[str, Any], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    killed = launch(tiny_folder, tmp_path, "--die", "optimizer.pt")
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "checkpoint-4" / "optimizer.pt").is_file()  # half of it
    worker["run"](tiny_folder, tmp_path)
    assert_equal(weights(tmp_path), weights(unbroken))


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_folder_of_a_run_is_a_model_that_answers(unbroken: Path) -> None:
    answer = Perceptio.from_pretrained(unbroken).ask(
        Image.new("RGB", (50, 40)), "Segment the square.", seg="on", depth="on", max_new_tokens=40
    )
    assert answer.depth is not None


def test_the_adapter_on_the_base_is_the_exported_model(unbroken: Path, tiny_folder: Path) -> None:
    adapted = load_adapter(load(tiny_folder, device="cpu")[0], unbroken / "adapter").state_dict()
    exported = load(unbroken / "model", device="cpu")[0].state_dict()
    assert adapted.keys() == exported.keys()
    for name, value in exported.items():
        torch.testing.assert_close(adapted[name], value, rtol=0, atol=1e-6)


def test_only_what_should_train_has_moved(unbroken: Path, tiny_folder: Path) -> None:
    before, after = (load(folder, device="cpu")[0].state_dict() for folder in (tiny_folder, unbroken / "model"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in moved if "vision_tower" in name or "vision_encoder" in name or "depth_tok" in name]
    assert not [name for name in moved if name.startswith("sam.") and not name.startswith("sam.mask_decoder.")]
    for part in ("vlm.model.language_model.layers.1.mlp.down_proj", "vlm.model.multi_modal_projector", "projector"):
        assert any(name.startswith(part) for name in moved), part


def test_the_global_batch_is_split_or_refused() -> None:
    plan = TuningPlan(global_batch=12, batch=2, epochs=2.0)
    stage = as_stage(plan, samples=60, processes=3)
    assert (stage.steps, stage.batch, stage.accumulate) == (10, 2, 2)
    with pytest.raises(ValueError, match="a global batch of 12 cannot be split into batches of 2 on 4 processes"):
        as_stage(plan, samples=60, processes=4)


def test_another_adapter_is_not_resumed(
    worker: dict[str, Any], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    half_way(unbroken, tmp_path)
    changed = load_file(tmp_path / "checkpoint-2" / TRAINED_FILE)
    changed.pop("pointer.region_gain")
    from safetensors.torch import save_file

    save_file(changed, tmp_path / "checkpoint-2" / TRAINED_FILE)
    with pytest.raises(ValueError, match=r"the trained weights do not fit the model: pointer\.region_gain"):
        worker["run"](tiny_folder, tmp_path)


def test_checkpoints_of_another_trainer_are_left_alone(
    worker: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint-7").mkdir()
    recipe = replace(worker["RECIPE"], base=str(tiny_folder))
    with pytest.raises(ValueError, match="holds checkpoints of another trainer"):
        Finetune(recipe, tmp_path, worker["TuningData"](8, worker["Squares"], None)).run()
    assert (tmp_path / "checkpoint-7").is_dir()


@pytest.mark.parametrize("tied", [True, False])
def test_the_rate_of_rows_is_that_of_a_separate_head_and_of_a_query_too(tied: bool) -> None:
    found = rates(TuningPlan(decoder_rate=0.5, rows_rate=3.0), tied=tied, query=not tied)
    assert found.pop("model.sam.mask_decoder") == 0.5
    assert set(found.values()) == {3.0}
    assert ("model.vlm.lm_head" in found) is not tied
    assert ("model.depth_query" in found) is not tied


def test_a_folder_that_was_begun_with_another_recipe_is_refused(
    worker: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    recipe = replace(worker["RECIPE"], base=str(tiny_folder))
    data = worker["TuningData"](8, worker["Squares"], None)
    (tmp_path / "model").mkdir()  # finished before
    Finetune(recipe, tmp_path, data).run()
    Finetune(replace(recipe, tuning=replace(recipe.tuning, log_every=7, shard=True)), tmp_path, data).run()
    with pytest.raises(ValueError, match=r"another recipe \(seed: 3, now 4\)"):
        Finetune(replace(recipe, seed=4), tmp_path, data).run()


@pytest.mark.parametrize("changed", ["a.jsonl", "/config.json", "/model.safetensors"])
def test_data_and_base_that_have_changed_since_are_named(
    changed: str, worker: dict[str, Any], unbroken: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    half_way(unbroken, tmp_path)
    reads = json.loads((unbroken / READS_FILE).read_text()) | {"a.jsonl": "1"}
    (name,) = [name for name in reads if name.endswith(changed)]
    (tmp_path / READS_FILE).write_text(json.dumps(reads | {name: "other"}))
    data = worker["TuningData"](8, worker["Squares"], None, {"a.jsonl": "1"})
    with pytest.raises(ValueError, match=f"{changed} has changed since the run"):
        Finetune(replace(worker["RECIPE"], base=str(tiny_folder)), tmp_path, data).run()


def test_a_folder_that_another_run_holds_is_refused(worker: dict[str, Any], tiny_folder: Path, tmp_path: Path) -> None:
    recipe = replace(worker["RECIPE"], base=str(tiny_folder))
    with locked(tmp_path), pytest.raises(FolderInUseError, match=str(os.getpid())):
        Finetune(recipe, tmp_path, worker["TuningData"](8, worker["Squares"], None)).run()

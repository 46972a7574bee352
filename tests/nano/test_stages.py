"""The whole road from nothing to a model that answers, at a size that takes seconds."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from perceptio.files import FolderInUseError, OutputError, locked
from perceptio.model.design import Design
from perceptio.model.loading import load_depth_tokenizer
from perceptio.model.objectives import LossWeights
from perceptio.nano.build import Sizes
from perceptio.nano.recipe import AlignStage, DepthSizes, JointStage, Recipe, ScenePlan
from perceptio.nano.stages import STAGES, Run
from perceptio.pipeline import Perceptio
from perceptio.training.stage import Stage

WEIGHTS = "model.safetensors"
STAGE = Stage(steps=2, batch=2, warmup=1, workers=0, log_every=1, save_every=2)
RECIPE = Recipe(
    name="tiny",
    vocabulary=400,
    scenes=ScenePlan(train=6, val=2, size=128),
    model=Sizes(
        image=128, patch=8, vision_width=32, vision_layers=1, vision_heads=2, text_width=64, text_layers=1,
        text_heads=2, text_mlp=64, design=Design(depth_positions="image", pointing=True, mask_gate=True),
    ),
    depth_tokenizer=DepthSizes(image_size=64, downsample=16, codes=16, code_dim=8, width=16, blocks=1),
    vision=STAGE,
    sam=STAGE,
    depth=STAGE,
    align=AlignStage(steps=2, batch=2, warmup=1, workers=0, log_every=1, save_every=2),
    words=JointStage(
        steps=2, batch=2, warmup=1, workers=0, log_every=1, save_every=2, evaluate_every=2, questions=3,
        losses=LossWeights(bce=0, dice=0, score=0, object=0),
    ),
    joint=JointStage(
        steps=2, batch=2, warmup=1, workers=0, log_every=1, save_every=2, evaluate_every=2, questions=3, dense=0.5,
        attention=1.0, self_generated_depth=0.5,
    ),
    finish=JointStage(
        steps=2, batch=2, warmup=0, workers=0, log_every=1, save_every=2, evaluate_every=2, questions=3, tower_rate=0.0
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    Run(RECIPE, folder).run()
    return folder


def test_half_of_the_scenes_have_depth_codes_that_the_model_wrote(finished: Path) -> None:
    (path,) = (finished / "joint" / "self-generated-depth").iterdir()
    stored = load_file(path)
    assert stored["scenes"].shape == (2,)  # of the four that two steps of two visit
    assert stored["codes"].shape == (2, 16)


def test_the_exported_folder_is_a_model_that_answers(finished: Path) -> None:
    answer = Perceptio.from_pretrained(finished / "model").ask(
        Image.new("RGB", (50, 40)), "Segment the cube.", seg="on", depth="on", max_new_tokens=60
    )
    assert answer.depth is not None
    assert answer.depth.array.shape == (40, 50)


def test_a_stage_on_questions_leaves_a_whole_model(finished: Path) -> None:
    model = Perceptio.from_pretrained(finished / "words" / "final")
    assert model.ask(Image.new("RGB", (50, 40)), "How many?", max_new_tokens=40).depth is None


def test_each_stage_leaves_its_curves(finished: Path) -> None:
    for stage in ("vision", "sam", "depth", "align", "words", "joint", "finish"):
        assert (finished / stage / "curves.png").is_file(), stage
    assert "eval_loss/token" in (finished / "joint" / "log.jsonl").read_text()


def test_a_vision_tower_at_no_rate_is_frozen(finished: Path) -> None:
    before, after = (load_file(finished / stage / "final" / WEIGHTS) for stage in ("joint", "finish"))
    changed = {name: not torch.equal(before[name], after[name]) for name in before}
    assert not any(moved for name, moved in changed.items() if "vision_tower" in name)
    assert any(moved for name, moved in changed.items() if "language_model" in name)


def test_the_dense_head_goes_on_from_stage_to_stage(finished: Path) -> None:
    first, second = (load_file(finished / stage / "head.safetensors") for stage in ("vision", "joint"))
    change = (second["1.weight"] - first["1.weight"]).abs().max()
    assert 0 < float(change) < 0.01  # two steps of it
    assert not (finished / "finish" / "head.safetensors").exists()  # teaches the tower nothing


def test_a_finished_stage_is_not_run_again(finished: Path) -> None:
    weights = finished / "sam" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    Run(RECIPE, finished).run(STAGES[1:-1])
    assert weights.stat().st_mtime_ns == before


@pytest.mark.slow  # the trainer's own tests resume too, with Muon's state and without
def test_a_joint_stage_that_was_killed_resumes_exactly(finished: Path, tmp_path: Path) -> None:
    """With its objective: the dense head and Muon's state go on, and so does its noise (sampled points)."""
    recipe = replace(RECIPE, joint=replace(RECIPE.joint, steps=4, muon=1e-3))
    for stage in ("tokenizer", "words"):
        shutil.copytree(finished / stage, tmp_path / "unbroken" / stage)
    Run(recipe, tmp_path / "unbroken", finished / "scenes").run(("joint",))
    shutil.copytree(tmp_path / "unbroken", tmp_path / "killed")
    shutil.rmtree(tmp_path / "killed" / "joint" / "final")
    shutil.rmtree(tmp_path / "killed" / "joint" / "checkpoint-4")
    Run(recipe, tmp_path / "killed", finished / "scenes").run(("joint",))
    unbroken, resumed = (load_file(tmp_path / kind / "joint" / "final" / WEIGHTS) for kind in ("unbroken", "killed"))
    start = load_file(tmp_path / "killed" / "joint" / "checkpoint-2" / WEIGHTS)
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
    heads = [load_file(tmp_path / kind / "joint" / "head.safetensors") for kind in ("unbroken", "killed")]
    assert torch.equal(heads[0]["1.weight"], heads[1]["1.weight"])
    same = {
        name: start.get(f"model.{name}") for name in resumed
    }  # transformers names some weights otherwise in its files
    assert any(value is not None and not torch.equal(value, resumed[name]) for name, value in same.items())


def test_a_stage_whose_forerunner_is_missing_says_which(finished: Path, tmp_path: Path) -> None:
    run = Run(RECIPE, tmp_path, finished / "scenes")
    with pytest.raises(ValueError, match="run the stage `words` first"):
        run.run(("joint",))
    with pytest.raises(ValueError, match="run the stage `tokenizer` first"):
        run.run(("align",))
    shutil.copytree(finished / "tokenizer", tmp_path / "tokenizer")
    with pytest.raises(ValueError, match="run the stage `vision` first"):
        run.run(("align",))


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown stage 'nope'"):
        Run(RECIPE, tmp_path).run(("nope",))


def test_a_run_with_another_seed_is_refused(finished: Path) -> None:
    with pytest.raises(ValueError, match=r"\(seed: 0, now 1\)"):
        Run(replace(RECIPE, seed=1), finished).run()


def test_a_stage_with_other_settings_is_refused_finished_or_not(finished: Path) -> None:
    changed = replace(RECIPE, joint=replace(RECIPE.joint, steps=3))
    with pytest.raises(ValueError, match=r"joint was begun with another recipe \(steps: 2, now 3\)"):
        Run(changed, finished).run(("joint",))
    Run(replace(RECIPE, joint=replace(RECIPE.joint, workers=1)), finished).run(("joint",))


def test_a_stage_that_starts_from_other_weights_than_before_is_refused(finished: Path, tmp_path: Path) -> None:
    for name in ("recipe.json", "tokenizer", "words", "joint"):
        (shutil.copytree if (finished / name).is_dir() else shutil.copy)(finished / name, tmp_path / name)
    (tmp_path / "words" / "final" / WEIGHTS).write_bytes(b"others")
    with pytest.raises(ValueError, match=f"words/final/{WEIGHTS} has changed"):
        Run(RECIPE, tmp_path, finished / "scenes").run(("joint",))


def test_a_stage_that_another_run_is_at_is_refused(finished: Path) -> None:
    with locked(finished / "sam"):
        Run(RECIPE, finished).run(("vision",))  # side by side
        with pytest.raises(FolderInUseError, match=str(os.getpid())):
            Run(RECIPE, finished).run(("sam",))


def test_photographs_are_no_place_for_scenes_or_a_run(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "0001.jpg").write_bytes(b"a picture")
    for run in (Run(RECIPE, tmp_path / "run", photos), Run(RECIPE, photos)):
        with pytest.raises(OutputError, match=r"photos holds files that Perceptio did not make, such as 0001\.jpg"):
            run.run(("scenes",))
    assert [path.name for path in photos.rglob("*")] == ["0001.jpg"]


def test_run_is_accepted_as_the_depth_tokenizer_that_it_made(finished: Path) -> None:
    found = load_depth_tokenizer(finished).state_dict()
    assert all(torch.equal(found[name], value) for name, value in load_file(finished / "depth/final" / WEIGHTS).items())

"""Recipes are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.training.finetune.settings import FinetuneRecipe
from perceptio.training.recipe import Recipe, RecipeError, load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
OF_OTHER_KINDS = ("ablation",)  # tests/evaluation/test_ablation_plan.py
TRAINING = [path for path in sorted(RECIPES.glob("*.yaml")) if path.stem not in OF_OTHER_KINDS]


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", TRAINING, ids=lambda path: path.stem)
def test_every_recipe_in_the_repository_loads(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "name: x\njoint:\n  steps: 5\n  losses:\n    count: 0\n"))
    assert recipe.joint.steps == 5
    assert recipe.joint.losses.count == 0.0
    assert recipe.joint.losses.token == 1.0
    assert recipe.vision == Recipe("x").vision


def test_a_base_makes_it_a_fine_tune(tmp_path: Path) -> None:
    text = "name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: 2\ntuning:\n  batch: 4\n"
    recipe = load_recipe(write(tmp_path, text))
    assert isinstance(recipe, FinetuneRecipe)
    assert recipe.data.train == {"a.jsonl": 2.0}
    assert recipe.tuning.accumulate(2) == 8
    assert recipe.tuning.total_steps(640) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nstpes: 3\n", "unknown setting 'stpes'"),
        ("name: x\njoint:\n  losses:\n    depht: 1\n", "unknown setting 'depht'"),
        ("name: x\njoint:\n  steps: many\n", "steps must be of type int, not 'many'"),
        ("name: x\njoint:\n  steps: 1.5\n", "steps must be of type int"),
        ("name: x\njoint:\n  bf16: 1\n", "bf16 must be of type bool"),
        (
            "name: x\njoint:\n  dense: 0.5\n  tower_rate: 0.0\n",
            "joint: dense 0.5 teaches the vision tower, which tower_rate 0 freezes: set one of them",
        ),
        ("name: x\njoint:\n  own_depth: 1.5\n", "joint: own_depth is a share of the scenes, from 0 to 1, not 1.5"),
        ("seed: 1\n", "name"),
        ("name: x\nbase: nano\n", "data"),
        ("name: x\nbase: nano\ndata:\n  train: [a.jsonl]\n", "train must be a mapping with names as keys"),
        ("name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: often\n", "a.jsonl must be of type float, not 'often'"),
        ("name: x\nbase: nano\ndata:\n  train: {}\nlora:\n  rank: 0\n", "need rank >= 1"),
        ("- a\n- b\n", "must be a mapping"),
        ("name: [\n", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")

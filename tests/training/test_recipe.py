"""Recipes are read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.finetune.settings import FinetuneRecipe, PackPlan
from perceptio.training.recipe import RecipeError, build_recipe, read_recipe, read_settings

RECIPES = Path(__file__).parents[2] / "recipes"
OF_OTHER_KINDS = ("ablation", "nano")  # tests/evaluation/ablation, tests/nano
FINETUNES = [path for path in sorted(RECIPES.glob("*.yaml")) if path.stem not in OF_OTHER_KINDS]
BASE = "name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: 2\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", FINETUNES, ids=lambda path: path.stem)
def test_every_fine_tune_in_the_repository_loads(path: Path) -> None:
    recipe = read_recipe(path, FinetuneRecipe)
    assert recipe.name == path.stem
    assert recipe.packing.weights == PackPlan().weights  # plain cross-entropy, as in the paper's parents
    assert recipe.pointer_losses == PointerWeights()


def test_what_is_said_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, f"{BASE}tuning:\n  batch: 4\n"), FinetuneRecipe)
    assert recipe.data.train == {"a.jsonl": 2.0}
    assert recipe.tuning.accumulate(2) == 8
    assert recipe.tuning.total_steps(640) == 10


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    text = f"{BASE}losses:\n  count: 0\npointer_losses:\n  click: 3\npacking:\n  weights:\n    target: 2\n"
    recipe = read_recipe(write(tmp_path, text), FinetuneRecipe)
    assert (recipe.losses.count, recipe.losses.token) == (0.0, 1.0)
    assert (recipe.pointer_losses.click, recipe.pointer_losses.cells) == (3.0, PointerWeights().cells)
    assert (recipe.packing.weights.target, recipe.packing.weights.word) == (2.0, 1.0)
    assert recipe.tuning == FinetuneRecipe("x", "nano", recipe.data).tuning


def test_settings_that_are_read_once_can_be_built_to_any_kind(tmp_path: Path) -> None:
    path = write(tmp_path, BASE)
    settings = read_settings(path)
    assert "base" in settings  # by which `perceptio train` knows a fine-tune
    assert build_recipe(settings, FinetuneRecipe, path) == read_recipe(path, FinetuneRecipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BASE}stpes: 3\n", "unknown setting 'stpes'"),
        (f"{BASE}losses:\n  depht: 1\n", "unknown setting 'depht'"),
        (f"{BASE}losses:\n  cells: 1\n", "unknown setting 'cells'"),  # of a pointer
        (f"{BASE}tuning:\n  steps: many\n", "steps must be of type int, not 'many'"),
        (f"{BASE}tuning:\n  steps: 1.5\n", "steps must be of type int"),
        (f"{BASE}tuning:\n  bf16: 1\n", "bf16 must be of type bool"),
        ("base: nano\ndata:\n  train: {}\n", "name"),
        ("name: x\nbase: nano\n", "data"),
        ("name: x\nbase: nano\ndata:\n  train: [a.jsonl]\n", "train must be a mapping with names as keys"),
        ("name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: often\n", "a.jsonl must be of type float, not 'often'"),
        (f"{BASE}lora:\n  rank: 0\n", "need rank >= 1"),
        ("- a\n- b\n", "must be a mapping"),
        ("name: [\n", "not valid YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text), FinetuneRecipe)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.yaml", FinetuneRecipe)

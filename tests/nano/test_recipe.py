"""The recipe of a model that is made from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.design import Design
from perceptio.nano.recipe import Recipe
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.recipe import RecipeError, read_recipe

NANO = Path(__file__).parents[2] / "recipes" / "nano.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_the_recipe_of_the_repository_loads() -> None:
    recipe = read_recipe(NANO, Recipe)
    assert recipe.name == NANO.stem
    assert recipe.model.design == Design(depth_positions="image", pointing=True)
    depth, parent = recipe.depth_configuration, DepthTokenizerConfig()
    assert (depth.codes, depth.grid, depth.tokens_per_map) == (parent.codes, parent.grid, parent.tokens_per_map)
    assert recipe.words.supervision == recipe.joint.supervision == recipe.finish.supervision
    assert recipe.finish.supervision.weights.target == 3.0


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    text = "name: x\njoint:\n  steps: 5\n  losses:\n    count: 0\n  pointer_losses:\n    click: 10\n"
    recipe = read_recipe(write(tmp_path, text), Recipe)
    assert recipe.joint.steps == 5
    assert recipe.joint.losses.count == 0.0
    assert recipe.joint.losses.token == 1.0
    assert recipe.joint.pointer_losses.cells == PointerWeights().cells
    assert recipe.vision == Recipe("x").vision
    assert recipe.model.design == Design()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nstpes: 3\n", "unknown setting 'stpes'"),
        ("name: x\nbase: nano\n", "unknown setting 'base'"),
        ("name: x\njoint:\n  losses:\n    depht: 1\n", "unknown setting 'depht'"),
        ("name: x\njoint:\n  steps: many\n", "steps must be of type int, not 'many'"),
        (
            "name: x\njoint:\n  dense: 0.5\n  tower_rate: 0.0\n",
            "joint: dense 0.5 teaches the vision tower, which tower_rate 0 freezes: set one of them",
        ),
        (
            "name: x\njoint:\n  self_generated_depth: 1.5\n",
            "joint: self_generated_depth is a share of the scenes, from 0 to 1, not 1.5",
        ),
        ("name: x\ndepth_tokenizer:\n  cods: 16\n", "depth_tokenizer has the unknown setting 'cods'"),
        ("name: x\ndepth_tokenizer:\n  image_size: 100\n  downsample: 16\n", "divides image_size 100, not 16"),
        ("name: x\nmodel:\n  design:\n    depth_positions: above\n", "must be one of sequence, image, not 'above'"),
        ("seed: 1\n", "name"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text), Recipe)

"""The recipe of a model that is made from nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.design import Design
from perceptio.nano.recipe import Recipe
from perceptio.scenes.samples import TASKS
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
    assert recipe.model.design == Design(depth_positions="image", pointing=True, mask_gate=True)
    depth, parent = recipe.depth_tokenizer.configuration, DepthTokenizerConfig()
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
        ("name: x\njonit: 3\n", "no setting 'jonit': did you mean 'joint'"),
        ("name: x\nbase: nano\n", "no setting 'base'"),
        ("name: x\njoint:\n  losses:\n    depht: 1\n", r"no setting 'joint\.losses\.depht'"),
        ("name: x\njoint:\n  steps: many\n", r"joint\.steps must be a whole number .*, not 'many'"),
        (
            "name: x\njoint:\n  dense: 0.5\n  tower_rate: 0.0\n",
            "joint: dense 0.5 teaches the vision tower, which tower_rate 0 freezes: set one of them",
        ),
        (
            "name: x\njoint:\n  self_generated_depth: 1.5\n",
            r"joint\.self_generated_depth must be a number from 0 to 1, not 1\.5",
        ),
        ("name: x\ndepth_tokenizer:\n  cods: 16\n", "no setting 'depth_tokenizer.cods': did you mean 'codes'"),
        ("name: x\ndepth_tokenizer:\n  image_size: 100\n  downsample: 16\n", "divides image_size 100, not 16"),
        ("name: x\nmodel:\n  design:\n    depth_positions: above\n", "must be one of sequence, image, not 'above'"),
        ("seed: 1\n", "name"),
        ("name: x\nmodel:\n  patch: 0\n", r"model\.patch must be .*, not 0"),
        ("name: x\nmodel:\n  patch: 6\n", "model: image 224 .* 6 px"),
        ("name: x\nmodel:\n  image: 100\n", "model: image 100 "),
        ("name: x\nmodel:\n  patch: 2\n", "image 224 makes 3,136 visual tokens"),
        ("name: x\nmodel:\n  vision_heads: 5\n", "vision_width 192 .* vision_heads, 5"),
        ("name: x\nmodel:\n  text_width: 252\n  text_heads: 4\n", "text_width 252 .* text_heads, 4"),
        ("name: x\nmodel:\n  text_width: 4096\n", "text_width 4096"),
        ("name: x\ndepth_tokenizer:\n  downsample: 4\n", "downsample 4"),
        ("name: x\ndepth_tokenizer:\n  blocks: 1000000000\n", r"depth_tokenizer\.blocks .* 1000000000"),
        ("name: x\nvision:\n  steps: 1000000000000\n", r"vision\.steps"),
        ("name: x\nsam:\n  batch: 1000000000\n", r"sam\.batch"),
        ("name: x\nalign:\n  workers: 100000\n", r"align\.workers"),
        ("name: x\nwords:\n  learning_rate: 1e30\n", r"words\.learning_rate"),
        ("name: x\nwords:\n  losses:\n    text: .nan\n", r"words\.losses\.text .* not nan"),
        (f"name: x\njoint:\n  mixture: {dict.fromkeys(TASKS, 0)}\n", "mixture asks nothing"),
        ("name: x\njoint:\n  mixture:\n    marked: 2\n", r"mixture\.marked .* 2"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text), Recipe)

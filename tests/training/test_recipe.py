"""Recipes are read strictly."""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from perceptio.data.adapters.registry import ADAPTERS
from perceptio.evaluation.ablation.plan import AblationPlan
from perceptio.model.objectives import LossWeights
from perceptio.nano.recipe import Recipe
from perceptio.segmentation.pointing.pointer_losses import PointerWeights
from perceptio.training.finetune.settings import FinetuneRecipe, PackPlan
from perceptio.training.recipe import RecipeError, build_recipe, read_recipe, read_settings

RECIPES = Path(__file__).parents[2] / "recipes"
OF_OTHER_KINDS = ("ablation", "depth-tokenizer", "nano")  # tests/evaluation/ablation, training/codebook, nano
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
    if recipe.base != "nano":  # which has a pointer and weights of its own
        assert recipe.packing.weights == PackPlan().weights  # plain cross-entropy, as in the paper's parents
        assert recipe.pointer_losses == PointerWeights()


def test_the_published_sizes_share_one_mixture() -> None:
    mixtures = [read_recipe(path, FinetuneRecipe).data for path in FINETUNES if path.stem.startswith("internvl")]
    assert len(mixtures) == 5
    assert all(mixture == mixtures[0] for mixture in mixtures)
    assert {"data/grefcoco.jsonl", "data/refcocog-gcg.jsonl"} <= mixtures[0].train.keys()


@pytest.mark.parametrize("path", FINETUNES, ids=lambda path: path.stem)
def test_the_commands_that_make_a_recipes_files_name_data_sets_and_these_files(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if re.match(r" +data/\S+: ", line)]
    for line in lines:
        name, _, command = line.strip().partition(": ")
        if convert := re.search(r"# perceptio data convert (\S+) \S+ raw/(\S+)", command):
            assert convert[1] in ADAPTERS
            assert f"data/{convert[2]}" == name
        elif "# perceptio" in command:
            assert command.endswith(name)
    assert len(lines) >= 2


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
        (f"{BASE}tunnig: 3\n", "no setting 'tunnig': did you mean 'tuning'"),
        (f"{BASE}losses:\n  depht: 1\n", r"no setting 'losses\.depht'"),
        (f"{BASE}losses:\n  cells: 1\n", r"no setting 'losses\.cells'"),  # of a pointer
        (f"{BASE}tuning:\n  steps: many\n", r"tuning\.steps .* not 'many'"),
        (f"{BASE}tuning:\n  steps: 1.5\n", r"tuning\.steps .* not 1\.5"),
        (f"{BASE}tuning:\n  steps: '5'\n", r"tuning\.steps .* not '5'"),
        (f"{BASE}tuning:\n  steps: true\n", r"tuning\.steps .* not True"),
        (f"{BASE}tuning:\n  steps:\n", r"tuning\.steps .* not nothing"),
        (f"{BASE}tuning:\n  bf16: 1\n", r"tuning\.bf16 .* not 1"),
        (f"{BASE}tuning:\n  bf16: yes\n", r"tuning\.bf16 .* true or false, not 'yes'"),
        (f"{BASE}tuning: [steps, 5]\n", "tuning must be a mapping"),
        ("base: nano\ndata:\n  train:\n    a.jsonl: 1\n", "name"),
        ("name: x\nbase: nano\n", "data"),
        ("name: x\nbase: nano\ndata: {}\n", r"data\.train is missing"),
        ("name: x\nbase: nano\ndata:\n  train: {}\n", r"data\.train .* not {}"),
        ("name: x\nbase: nano\ndata:\n  train: [a.jsonl]\n", r"data\.train must be a mapping"),
        ("name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: often\n", r"data\.train\.a\.jsonl .* not 'often'"),
        ("name: x\nbase: nano\ndata:\n  train:\n    a.jsonl: 1e12\n", r"data\.train\.a\.jsonl .* not 1000000000000"),
        (f"{BASE}lora:\n  rank: 0\n", r"lora\.rank .* not 0"),
        (f"{BASE}lora:\n  rank: 1000000\n", r"lora\.rank .* not 1000000"),
        (f"{BASE}lora:\n  dropout: 1.0\n", r"lora\.dropout .* not 1\.0"),
        (f"{BASE}tuning:\n  learning_rate: -0.1\n", r"tuning\.learning_rate .* not -0\.1"),
        (f"{BASE}tuning:\n  learning_rate: .nan\n", r"tuning\.learning_rate .* not nan"),
        (f"{BASE}tuning:\n  learning_rate: .inf\n", r"tuning\.learning_rate .* not inf"),
        (f"{BASE}tuning:\n  workers: -1\n", r"tuning\.workers .* not -1"),
        (f"{BASE}tuning:\n  batch: 1000000000\n", r"tuning\.batch .* not 1000000000"),
        (f"{BASE}tuning:\n  steps: {'9' * 5000}\n", r"tuning\.steps .* not inf"),
        (f"{BASE}losses:\n  dice: -1\n", r"losses\.dice .* not -1"),
        (f"{BASE}losses: {dict.fromkeys(vars(LossWeights()), 0)}\n", "losses are all switched off"),
        (f"{BASE}packing:\n  weights:\n    digit: 1e12\n", r"packing\.weights\.digit"),
        (f"{BASE}seed: -1\n", "seed .* not -1"),
        (f"{BASE}sizes: InternVL3-3B\n", "sizes 'InternVL3-3B'"),
        (BASE.replace("name: x", "name: ../x"), r"name .* not '\.\./x'"),
        ("- a\n- b\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("name: [\n", "not valid YAML"),
        (f"{BASE}seed: 1\nseed: 2\n", r"recipe\.yaml:7: 'seed' stands twice"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(tmp_path, text), FinetuneRecipe)


def test_a_path_in_the_home_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    recipe = read_recipe(write(tmp_path, BASE.replace("nano", "~/m").replace("a.jsonl", "~/a.jsonl")), FinetuneRecipe)
    assert (recipe.base, list(recipe.data.train)) == ("/home/me/m", ["/home/me/a.jsonl"])


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="larger than any recipe"):
        read_recipe(write(tmp_path, "#" * 300_000), FinetuneRecipe)


def test_every_number_of_every_recipe_has_bounds() -> None:
    """Whole numbers name theirs; others have the bounds of weights by default."""

    def check(kind: Any) -> None:
        for name, inner in get_type_hints(kind, include_extras=True).items():
            if is_dataclass(inner):
                check(inner)
            assert inner is not int, f"{kind.__name__}.{name} has no bounds"

    for kind in (FinetuneRecipe, Recipe, AblationPlan):
        check(kind)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"there is no file .*none\.yaml"):
        read_recipe(tmp_path / "none.yaml", FinetuneRecipe)

"""The recipe of a depth tokenizer: which grids there are, and what belongs together."""

from __future__ import annotations

from pathlib import Path

import pytest

from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.training.codebook.settings import CodebookRecipe, DepthSizes, MapSource, downsample_of
from perceptio.training.recipe import RecipeError, read_recipe

RECIPE = Path(__file__).parents[3] / "recipes" / "depth-tokenizer.yaml"


@pytest.mark.parametrize(("size", "grid", "downsample"), [(320, 10, 32), (320, 20, 16), (64, 8, 8), (96, 3, 32)])
def test_grid_decides_the_downsampling(size: int, grid: int, downsample: int) -> None:
    assert downsample_of(size, grid) == downsample
    assert DepthTokenizerConfig(image_size=size, downsample=downsample).tokens_per_map == grid**2


@pytest.mark.parametrize(
    ("size", "grid", "works"), [(320, 9, "5, 10, 20, 40, 80"), (320, 0, "5, 10"), (300, 10, "75"), (96, 12, "3, 6, 12")]
)
def test_grid_that_cannot_be_names_those_that_can(size: int, grid: int, works: str) -> None:
    if (size, grid) == (96, 12):
        assert downsample_of(size, grid) == 8
    else:
        with pytest.raises(ValueError, match=f"grid of {grid} x {grid} codes: grids that work are {works}"):
            downsample_of(size, grid)


def test_shipped_recipe_is_the_parent_s_scale_on_the_pictures_of_the_mixture() -> None:
    recipe = read_recipe(RECIPE, CodebookRecipe)
    assert recipe.sizes == DepthSizes()
    assert recipe.sizes.configuration.tokens_per_map == 100
    assert {source.kind for source in recipe.data.values()} == {"samples"}
    assert recipe.stored_size == 400


def test_pictures_need_a_teacher_and_a_teacher_pictures() -> None:
    with pytest.raises(ValueError, match="photos holds pictures, whose depth a `teacher` must say"):
        CodebookRecipe("one", {"photos": MapSource("images")})
    with pytest.raises(ValueError, match="the teacher hub/id has no pictures to look at"):
        CodebookRecipe("one", {"maps": MapSource("metric")}, teacher="hub/id")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\n", "the setting data is missing"),
        ("name: a\ndata: {}\n", "data must be a mapping with at least one entry"),
        ("name: a\ndata: {m: {kind: depth}}\n", "data.m.kind must be one of images, samples, metric"),
        ("name: a\ndata: {m: {kind: metric}}\nsizes: {downsample: 24}\n", "power of two"),
        ("name: a\ndata: {m: {kind: metric}}\ncrop: 0\n", "crop must be a number from 0.1 to 1"),
    ],
)
def test_recipe_that_cannot_be_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "r.yaml", CodebookRecipe)

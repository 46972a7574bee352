"""What an ablation compares: each variant changes one thing, and plans that compare apples with pears are refused."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from perceptio.data.packing import TokenWeights
from perceptio.evaluation.ablation.plan import VARIANTS, AblationPlan, Job, Seeds
from perceptio.nano.recipe import JointStage
from perceptio.training.recipe import RecipeError, read_recipe

RECIPE = Path(__file__).parents[3] / "recipes" / "ablation.yaml"


def flat(settings: dict[str, object], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize(
    ("variant", "changes"),
    [
        ("full", {}),
        ("no_depth", {"supervision.depth": False}),
        ("no_segmentation", {"supervision.seg": False}),
        ("neither", {"supervision.seg": False, "supervision.depth": False}),
        ("answer_first", {}),
        ("no_weighting", {f"supervision.weights.{item.name}": 1.0 for item in fields(TokenWeights)}),
        ("no_marker", {"losses.marker": 0.0}),
        ("no_count", {"losses.count": 0.0}),
        ("no_reconstruction", {"losses.reconstruction": 0.0}),
    ],
)
def test_a_variant_changes_its_part_and_nothing_else(variant: str, changes: dict[str, object]) -> None:
    stage = JointStage(steps=7)
    before, after = flat(asdict(stage)), flat(asdict(VARIANTS[variant].of(stage)))
    assert after == before | changes
    assert (VARIANTS[variant].order == "answer_first") == (variant == "answer_first")


def test_every_variant_has_its_number_of_seeds() -> None:
    assert set(VARIANTS) == {item.name for item in fields(Seeds)}


def test_the_recipe_in_the_repository_loads_and_repeats_the_main_three() -> None:
    plan = read_recipe(RECIPE, AblationPlan)
    assert plan.name == RECIPE.stem
    jobs = plan.jobs()
    assert len(set(jobs)) == len(jobs) == 12
    assert {job.variant for job in jobs if job.seed == 1} == {"full", "no_depth", "neither"}
    assert jobs[:2] == [Job("full", 0), Job("no_depth", 0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": JointStage(length=448)}, "stage.length is 448, but must be 0"),
        ({"seeds": Seeds(**dict.fromkeys(vars(Seeds()), 0))}, "seeds.full must be at least 1"),
        ({"seeds": Seeds(no_count=3)}, r"seeds.no_count is 3, but must lie in 0\.\.2"),
        ({"seeds": Seeds(no_marker=-1)}, "seeds.no_marker is -1"),
    ],
)
def test_runs_that_could_not_be_compared_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        replace(AblationPlan("x", "start"), **changes)  # type: ignore[arg-type]


def test_recipes_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("name: x\nstart: y\nseeds:\n  no_dpeth: 1\n")
    with pytest.raises(RecipeError, match=r"no setting 'seeds.no_dpeth': did you mean 'no_depth'"):
        read_recipe(path, AblationPlan)

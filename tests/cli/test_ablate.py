"""`perceptio ablate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from perceptio.cli.app import app
from perceptio.evaluation.ablation.plan import VARIANTS

RECIPE = """
name: tiny
start: nowhere
scenes: {train: 2, val: 1, size: 128}
stage: {steps: 1, batch: 1, warmup: 0, workers: 0, log_every: 1, save_every: 1, evaluate_every: 1, questions: 2}
judging: {scenes: 1, free: 1, batch: 16}
"""
PAGE = "<!-- results: here -->\n<!-- end of results -->\n"


def recipe(folder: Path) -> Path:
    path = folder / "recipe.yaml"
    counts = ", ".join(f"{variant}: {int(variant == 'full')}" for variant in VARIANTS)
    path.write_text(f"{RECIPE}seeds: {{{counts}}}\n")
    return path


def test_a_missing_start_is_one_sentence(tmp_path: Path) -> None:
    arguments = ["ablate", str(recipe(tmp_path)), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "error: nowhere/model.safetensors is missing" in result.stderr


@pytest.mark.slow
def test_an_ablation_is_run_and_its_reports_are_kept(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "ablation.md").write_text(PAGE)
    arguments = ["ablate", str(recipe(tmp_path)), "--start", str(tiny_folder), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*arguments, "--docs", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "### Other depth tokens, full model" in result.stdout
    assert (tmp_path / "ablation" / "tokens-random.json").is_file()
    assert "1 steps of 1 images a run" in (tmp_path / "ablation.md").read_text()

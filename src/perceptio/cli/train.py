"""`perceptio train`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import Recipe, RunFolder, TrainScenes


def train(
    recipe: Recipe,
    out: RunFolder = None,
    scenes: TrainScenes = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="Run only this stage (repeatable).", show_default=False)
    ] = None,
) -> None:
    """Train a model from a recipe; the same command again resumes where it stopped."""
    from perceptio.training.recipe import load_recipe

    plan = load_recipe(recipe)
    from perceptio.training.stages import STAGES, Run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = out or Path("runs") / plan.name
    Run(plan, folder, scenes).run(tuple(stage) if stage else STAGES)
    typer.echo(f"done: {folder}")

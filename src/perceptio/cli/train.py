"""`perceptio train`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/nano.yaml.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME by default.", show_default=False)
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="Folder with rendered train and val splits.", show_default=False)
    ] = None,
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

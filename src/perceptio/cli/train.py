"""`perceptio train`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.cli.options import Recipe, RunFolder, TrainScenes, quiet

if TYPE_CHECKING:
    from perceptio.training.finetune.settings import FinetuneRecipe


def train(
    recipe: Recipe,
    out: RunFolder = None,
    scenes: TrainScenes = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="Run only this stage (repeatable).", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Of a fine-tune: print memory and time, check the data, load nothing.")
    ] = False,
    devices: Annotated[int, typer.Option(help="Of a dry run: GPUs that share the work.", min=1)] = 1,
) -> None:
    """Train a model from a recipe; the same command again resumes where it stopped."""
    from perceptio.nano.recipe import Recipe as FromNothing
    from perceptio.training.finetune.settings import FinetuneRecipe
    from perceptio.training.recipe import build_recipe, read_settings

    settings = read_settings(recipe)
    if "data" in settings and "base" not in settings:
        raise ValueError(
            f"{recipe} has data and no base: name the base of a fine-tune, or, if it makes a depth tokenizer, give it "
            "to `perceptio tokenizer train`"
        )
    kind: type[FinetuneRecipe] | type[FromNothing] = FinetuneRecipe if "base" in settings else FromNothing
    plan = build_recipe(settings, kind, recipe)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = out or Path("runs") / plan.name
    if isinstance(plan, FinetuneRecipe):
        if stage or scenes:
            raise ValueError(f"{recipe} is a fine-tune: it has no stages and no scenes")
        _finetune(plan, folder, dry_run, devices)
        return
    if dry_run:
        raise ValueError(f"{recipe} starts from nothing: --dry-run plans fine-tunes only")
    from perceptio.nano.stages import STAGES, Run

    Run(plan, folder, scenes).run(tuple(stage) if stage else STAGES)
    typer.echo(f"done: {folder}")


def _finetune(plan: FinetuneRecipe, folder: Path, dry_run: bool, devices: int) -> None:
    quiet()
    if dry_run:
        from perceptio.training.finetune.dry_run import dry_run as planned

        for text in planned(plan, folder, devices):
            typer.echo(text)
        return
    from perceptio.training.finetune.run import Finetune

    Finetune(plan, folder).run()
    typer.echo(f"done: {folder}")

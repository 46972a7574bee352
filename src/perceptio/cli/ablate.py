"""`perceptio ablate`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.options import Recipe, RunFolder, TrainScenes


def ablate(
    recipe: Recipe,
    start: Annotated[
        Path | None, typer.Option(help="Folder with the weights to start from; the recipe's by default.")
    ] = None,
    out: RunFolder = None,
    scenes: TrainScenes = None,
    jobs: Annotated[int, typer.Option(help="Models in the making at once, one thread each.", min=1)] = 1,
    docs: Annotated[
        Path | None,
        typer.Option(help="Folder of the documentation: keep the reports in it, and render ablation.md from them."),
    ] = None,
) -> None:
    """Train and judge variants of one training, each with a part taken away; the same command again resumes."""
    from perceptio.evaluation.ablation.plan import AblationPlan
    from perceptio.training.recipe import read_recipe

    plan = read_recipe(recipe, AblationPlan)
    if start is not None:
        plan = replace(plan, start=str(start))
    from perceptio.evaluation.ablation.page import check_page, publish, summarize
    from perceptio.evaluation.ablation.run import Ablation

    if docs is not None:
        check_page(docs)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = out or Path("runs") / plan.name
    Ablation(plan, folder, scenes or folder / "scenes").run(jobs)
    typer.echo(summarize(plan, folder))
    if docs is not None:
        publish(folder, docs)
    typer.echo(f"done: {folder}", err=True)

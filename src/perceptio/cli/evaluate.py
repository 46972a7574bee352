"""`perceptio eval scenes`."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.scenes import Split

app = typer.Typer(help="Measure a model.", no_args_is_help=True)


class DepthTokens(StrEnum):
    """Which depth tokens an answer can read."""

    own = "own"
    off = "off"
    oracle = "oracle"
    random = "random"


@app.callback()
def _group() -> None:
    """Measure a model."""


@app.command()
def scenes(
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub id.")] = "nano",
    split: Annotated[Split, typer.Option(help="Which split.")] = Split.test,
    folder: Annotated[
        Path | None,
        typer.Option("--scenes", help="Folder of rendered splits; rendered afresh by default.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use the first scenes only.", min=1, show_default=False)] = None,
    depth_tokens: Annotated[
        DepthTokens, typer.Option(help="Which depth tokens answers can read: a control of what they are worth.")
    ] = DepthTokens.own,
    free: Annotated[bool, typer.Option("--free", help="Decode without the grammar.")] = False,
    batch_size: Annotated[int, typer.Option(help="Questions decoded together.", min=1)] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Referring expressions, marked points, questions and depth on procedural scenes."""
    from transformers.utils import logging

    from perceptio.evaluation import scenes as evaluation
    from perceptio.pipeline import Perceptio
    from perceptio.scenes.render_job import TEST_SPLITS, render_split
    from perceptio.scenes.storage import SceneStore

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    loaded = Perceptio.from_pretrained(model)
    with tempfile.TemporaryDirectory() as fresh:
        if folder is not None:
            store = SceneStore(folder / split.value)
        else:
            count = TEST_SPLITS.get(split.value, 256)
            store = render_split(fresh, split.value, count if limit is None else min(limit, count))
        report = evaluation.evaluate_scenes(
            loaded,
            store,
            limit=limit,
            depth_tokens=evaluation.DepthTokens(depth_tokens.value),
            constrained=not free,
            batch_size=batch_size,
        )
    typer.echo(report.to_json() if as_json else report.to_markdown())

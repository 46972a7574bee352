"""`perceptio eval scenes`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from perceptio.cli.options import AsJson, Limit, OneSplit, Rendered, Split, open_split, quiet

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
    split: OneSplit = Split.test,
    folder: Rendered = None,
    limit: Limit = None,
    depth_tokens: Annotated[
        DepthTokens, typer.Option(help="Which depth tokens answers can read: a control of what they are worth.")
    ] = DepthTokens.own,
    free: Annotated[bool, typer.Option("--free", help="Decode without the grammar.")] = False,
    batch_size: Annotated[int, typer.Option(help="Questions decoded together.", min=1)] = 32,
    as_json: AsJson = False,
) -> None:
    """Referring expressions, marked points, questions and depth on procedural scenes."""
    from perceptio.evaluation import scenes as evaluation
    from perceptio.pipeline import Perceptio

    quiet()
    loaded = Perceptio.from_pretrained(model)
    with open_split(folder, split, limit) as store:
        report = evaluation.evaluate_scenes(
            loaded,
            store,
            limit=limit,
            depth_tokens=evaluation.DepthTokens(depth_tokens.value),
            constrained=not free,
            batch_size=batch_size,
        )
    typer.echo(report.to_json() if as_json else report.to_markdown())

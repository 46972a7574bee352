"""`perceptio data convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert_data(
    name: Annotated[str, typer.Argument(help="Data set: see docs/datasets.md.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="Where it lies, in its original layout.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="Samples: .jsonl or .parquet.", show_default=False)],
    split: Annotated[str, typer.Option(help="The data set's training split by default.", show_default=False)] = "",
    scale: Annotated[float, typer.Option(help="Steps a metre of 16-bit PNG depth: NYU 1000, KITTI 256.")] = 1000.0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Convert what is there, and say how much is not.")
    ] = False,
) -> None:
    """Convert a public data set in its original format to samples for a fine-tune."""
    from perceptio.data.adapters.registry import ADAPTERS, convert, told
    from perceptio.scenes.export import ADAPTERS as SCENES

    done = convert(name, folder, out, split, allow_missing=allow_missing, scale=scale, adapters=ADAPTERS | SCENES)
    typer.echo(f"{done.samples} samples with {done.turns} turns and {done.masks} masks in {out}")
    if done.files is not None:
        typer.echo(f"files that they need are in {done.files}")
    for what, count in done.left_out.items():
        typer.echo(f"left out: {told(what, count, done.first)}")

"""`perceptio eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptio.cli.options import AsJson, Limit, OneSplit, Rendered, Split, open_split, quiet

if TYPE_CHECKING:
    from perceptio.evaluation.runner import Results

app = typer.Typer(help="Measure a model.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure a model."""


Model = Annotated[str, typer.Option(help="nano, a folder, or a hub id.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the report; out/eval/NAME-HASH by default. An interrupted run goes on.", show_default=False
    ),
]
Free = Annotated[bool, typer.Option("--free", help="Decode without the grammar.")]
BatchSize = Annotated[int, typer.Option(help="Questions decoded together.", min=1)]


@app.command()
def scenes(
    model: Model = "nano",
    split: OneSplit = Split.test,
    folder: Rendered = None,
    limit: Limit = None,
    depth_tokens: Annotated[
        Literal["own", "off", "oracle", "random", "constant", "other"],
        typer.Option(help="Which depth tokens answers can read: a control of what they are worth."),
    ] = "own",
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Referring expressions, marked points, questions and depth on procedural scenes."""
    from perceptio.evaluation.runner import run_benchmark
    from perceptio.evaluation.scenes import DepthTokens, ScenesBenchmark
    from perceptio.pipeline import Perceptio

    quiet()
    loaded = Perceptio.from_pretrained(model)
    with open_split(folder, split, limit) as store:
        benchmark = ScenesBenchmark(loaded, store, limit=limit, depth_tokens=DepthTokens(depth_tokens))
        _show(run_benchmark(loaded, benchmark, out, constrained=not free, batch_size=batch_size), as_json)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of one evaluation.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Folder of another, of the same samples.", show_default=False)],
    show: Annotated[int, typer.Option(help="Changed samples to list.", min=0)] = 10,
) -> None:
    """Paired differences of two evaluations, with 95 % intervals, and the samples that changed."""
    from perceptio.evaluation import compare as comparison
    from perceptio.evaluation.runner import load_samples

    one, two = load_samples(first), load_samples(second)
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    typer.echo(comparison.to_markdown(comparison.compare(one, two), names))
    pairs = comparison.changed(one, two)
    typer.echo(f"\n{len(pairs)} of {len(one)} samples changed")
    for before, after in pairs[:show]:
        typer.echo(f"- {before.key} {before.record.get('prompt', '')!r}")
        typer.echo(f"    {names[0]}: {before.record.get('answer', '')!r}")
        typer.echo(f"    {names[1]}: {after.record.get('answer', '')!r}")


def _show(results: Results, as_json: bool) -> None:
    typer.echo(results.report.to_json() if as_json else results.report.to_markdown())
    typer.echo(f"report and samples: {results.folder}", err=True)

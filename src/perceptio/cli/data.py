"""`perceptio data check | show | convert`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from perceptio.cli.convert_data import convert_data
from perceptio.cli.options import AsJson, quiet

app = typer.Typer(help="A person's own data: check it, look at it, convert public data sets.", no_args_is_help=True)

Files = Annotated[list[Path], typer.Argument(help="Files of samples, .jsonl or .parquet.", show_default=False)]


@app.command()
def check(
    files: Files,
    model: Annotated[
        str | None,
        typer.Option(help="nano, a folder, or a hub id: the model that samples must fit.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that read; 0: this one.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Count what is there, and list whatever is missing or malformed; exit code 1 if anything is."""
    from perceptio.data.check import check_files
    from perceptio.data.fit import Learner
    from perceptio.model.configuration import PerceptioConfig
    from perceptio.model.loading import find
    from perceptio.model.processing import PerceptioProcessor

    learner = None
    if model is not None:
        quiet()
        folder = find(model)
        learner = Learner(PerceptioProcessor.from_pretrained(folder), PerceptioConfig.from_pretrained(folder))
    report = check_files(files, learner=learner, workers=workers)
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=1))
    else:
        for problem in report.problems:
            typer.echo(str(problem))
        typer.echo(report.to_text())
        typer.echo(f"{report.bad_samples} bad samples, {len(report.problems)} problems")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def show(
    files: Files,
    out: Annotated[Path, typer.Option(help="The contact sheet, a PNG.")] = Path("samples.png"),
    count: Annotated[int, typer.Option(help="Samples, spread evenly over the files.", min=1, max=64)] = 6,
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub id: the model that would be trained.")] = "nano",
    explicit: Annotated[
        float, typer.Option(help="Share of questions that say which spans they want.", min=0, max=1)
    ] = 0.0,
) -> None:
    """Draw what a model will see: pictures with marks, masks, depth, and each token with its weight."""
    from perceptio.data.contact_sheet import Reader, draw_samples
    from perceptio.data.sample_files import SampleFile
    from perceptio.model.configuration import PerceptioConfig
    from perceptio.model.loading import find, load_depth_tokenizer
    from perceptio.model.processing import PerceptioProcessor

    quiet()
    opened = [SampleFile(path) for path in files]
    folder = find(model)
    config = PerceptioConfig.from_pretrained(folder)
    reader = Reader(PerceptioProcessor.from_pretrained(folder), config, load_depth_tokenizer(folder))
    number = draw_samples(opened, count, reader, out, explicit=explicit)
    print(f"wrote {out}: {number} samples", file=sys.stderr)


app.command("convert")(convert_data)

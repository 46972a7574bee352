"""`perceptio data check | show | convert | enrich | marks`."""

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
    length: Annotated[
        int, typer.Option(help="With --model: tokens of a sequence, the recipe's packing.length; 0: no limit.", min=0)
    ] = 0,
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
    if length and model is None:
        raise ValueError("--length counts the tokens of a model: give --model too")
    if model is not None:
        quiet()
        folder = find(model)
        learner = Learner(PerceptioProcessor.from_pretrained(folder), PerceptioConfig.from_pretrained(folder), length)
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


@app.command()
def enrich(
    samples: Annotated[Path, typer.Argument(help="File of samples, .jsonl or .parquet.", show_default=False)],
    labels: Annotated[Path, typer.Option(help="Folder that `perceptio label` wrote.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The samples with labels: .jsonl or .parquet.", show_default=False)],
    share: Annotated[
        float, typer.Option(help="Of the turns that teach text: how many get a depth span.", min=0, max=1)
    ] = 1.0,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Keep samples as they are whose picture has no labels.")
    ] = False,
) -> None:
    """Join depth codes, and masks of phrases that have none, to samples, so that answers come after them."""
    from perceptio.data.sample_files import SampleFile
    from perceptio.labeling.enrich import enrich as join

    done = join(SampleFile(samples), labels, out, share=share, allow_missing=allow_missing)
    turns = f"{done.turns['depth']} turns gained a depth span and {done.turns['masks']} masks"
    typer.echo(f"{done.samples} samples in {out}: {turns}")
    if done.replaced:
        typer.echo(f"other depth codes were replaced: {done.replaced} samples")
    if done.unmatched:
        typer.echo(f"masks left out, phrases without one are not as many: {done.unmatched} samples")
    if done.unlabelled:
        more = ", ..." if done.unlabelled > len(done.first) else ""
        typer.echo(f"kept as they are, without labels: {done.unlabelled} samples ({', '.join(done.first)}{more})")


@app.command()
def marks(
    source: Annotated[
        Path, typer.Argument(help="Folder of labels, or a file of samples with depth maps.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The questions: .jsonl or .parquet.", show_default=False)],
    points: Annotated[list[int] | None, typer.Option(help="Numbers of points: 3, 4 and 5 by default.")] = None,
    per_picture: Annotated[int, typer.Option(help="Questions about one picture.", min=1, max=100)] = 1,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
) -> None:
    """Ask HardBLINK's question, which marked point is closest, about pictures whose depth is known."""
    from perceptio.data.marked_samples import MarkPlan
    from perceptio.labeling.to_marks import write_marked

    report = write_marked(source, out, MarkPlan(tuple(points or MarkPlan().points), per_picture, seed))
    typer.echo(f"{report.questions} questions about {report.pictures} pictures in {out}")
    for what, number in report.left_out.items():
        typer.echo(f"left out: {number} {what}")


app.command("convert")(convert_data)

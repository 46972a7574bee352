"""`perceptio eval`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from perceptio.cli.options import AsJson, Limit, OneSplit, Rendered, Split, open_split, quiet
from perceptio.tokens import DepthDecoding

if TYPE_CHECKING:
    from perceptio.evaluation.questions import Benchmark
    from perceptio.evaluation.ranks import Ranks
    from perceptio.pipeline import Perceptio
    from perceptio.scenes.storage import SceneStore

app = typer.Typer(help="Measure a model.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure a model."""


def _writable(out: Path | None) -> Path | None:
    """Refuse a folder before minutes of reading and loading; what is finished is read, wherever it lies."""
    from perceptio.evaluation.folder import RUNS, is_finished
    from perceptio.files import check_writable_folder

    if not (out and is_finished(out)):
        check_writable_folder(out or RUNS)
    return out


Model = Annotated[str, typer.Option(help="nano, a folder, or a hub id.")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the report; out/eval/NAME-HASH by default. An interrupted run goes on.",
        show_default=False,
        callback=_writable,
    ),
]
Free = Annotated[bool, typer.Option("--free", help="Decode without the grammar.")]
Root = Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Run on what is there; the report says how much is not.")
]
HowDepth = Annotated[
    DepthDecoding | None,
    typer.Option(help="How depth codes are found; as the model says by default.", show_default=False),
]
HardDepth = Annotated[
    bool, typer.Option("--hard-depth", help="Make depth maps of the codes, not of the vectors that are expected.")
]
BatchSize = Annotated[int, typer.Option(help="Questions decoded together.", min=1)]
Tokens = Annotated[
    Literal["own", "off", "oracle", "random", "matched-random", "constant", "first-repeat", "other"],
    typer.Option(help="Which depth tokens answers can read: a control of what they are worth."),
]


@app.command()
def scenes(
    model: Model = "nano",
    split: OneSplit = Split.test,
    folder: Rendered = None,
    limit: Limit = None,
    depth_tokens: Tokens = "own",
    depth_decoding: HowDepth = None,
    hard_depth: HardDepth = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Referring expressions, marked points, questions and depth on procedural scenes."""
    from perceptio.evaluation.depth_tokens import DepthTokens
    from perceptio.evaluation.scenes import ScenesBenchmark

    ranks, loaded = _load(model)
    with _shared_split(ranks, folder, split, limit) as store:
        benchmark = ScenesBenchmark(loaded, store, limit=limit, depth_tokens=DepthTokens(depth_tokens))
        _measure(ranks, loaded, benchmark, out, free, batch_size, as_json, depth_decoding, hard_depth)


@contextmanager
def _shared_split(ranks: Ranks, folder: Path | None, split: Split, limit: int | None) -> Iterator[SceneStore]:
    """As `open_split`; what is rendered afresh is rendered by the first process, for all."""
    from perceptio.scenes.storage import SceneStore

    with open_split(folder, split, limit) if ranks.is_first else nullcontext() as opened:
        place = ranks.share(str(opened.folder) if opened else None)
        yield opened or SceneStore(place)
        ranks.wait()  # it is removed as soon as the first has left the block


@app.command()
def refer(
    root: Annotated[
        Path, typer.Argument(help="Folder with refcoco/, refcoco+/, refcocog/, grefcoco/.", show_default=False)
    ],
    images: Annotated[Path, typer.Argument(help="Folder of COCO's train2014 pictures.", show_default=False)],
    dataset: Annotated[str, typer.Option(help="refcoco, refcoco+, refcocog, grefcoco or refcoco-m.")] = "refcoco",
    split: Annotated[str, typer.Option(help="val, testA, testB; val, test of refcocog.")] = "val",
    model: Model = "nano",
    allow_missing: AllowMissing = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Referring segmentation from the original annotation files: cIoU, gIoU, P@0.5 to P@0.9."""
    from perceptio.evaluation.refseg import open_refer

    benchmark = open_refer(root, images, dataset, split, allow_missing=allow_missing)
    _measure(*_load(model), benchmark, out, free, batch_size, as_json)


@app.command()
def hardblink(
    root: Root,
    model: Model = "nano",
    depth_tokens: Tokens = "own",
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Folder of `perceptio label` over ROOT/images, for oracle, matched-random, constant and other tokens.",
            show_default=False,
        ),
    ] = None,
    allow_missing: AllowMissing = False,
    depth_decoding: HowDepth = None,
    hard_depth: HardDepth = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """HardBLINK: which of 3, 4 or 5 marked points is closest, in AURORA's layout."""
    from perceptio.evaluation.depth_tokens import DepthTokens, check_labels
    from perceptio.evaluation.hardblink import open_hardblink

    kind = DepthTokens(depth_tokens)
    check_labels(kind, labels)
    benchmark = open_hardblink(root, allow_missing=allow_missing)
    ranks, loaded = _load(model)
    benchmark.replace_depth(loaded, kind, labels)
    _measure(ranks, loaded, benchmark, out, free, batch_size, as_json, depth_decoding, hard_depth)


@app.command()
def blink_depth(
    root: Root,
    model: Model = "nano",
    allow_missing: AllowMissing = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """BLINK's relative depth: which of two marked points is closer."""
    from perceptio.evaluation.hardblink import open_blink_depth

    benchmark = open_blink_depth(root, allow_missing=allow_missing)
    _measure(*_load(model), benchmark, out, free, batch_size, as_json)


@app.command()
def mmbench(
    tsv: Annotated[Path, typer.Argument(help="The official TSV of dev-EN.", show_default=False)],
    model: Model = "nano",
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """MMBench dev, circular: right only if right for every order of the options."""
    from perceptio.evaluation.mmbench import open_mmbench

    benchmark = open_mmbench(tsv)
    _measure(*_load(model), benchmark, out, free, batch_size, as_json)


@app.command()
def depth(
    root: Annotated[Path, typer.Argument(help="Folder with images/ and depth/ of equal names.", show_default=False)],
    model: Model = "nano",
    scale: Annotated[float, typer.Option(help="Steps a metre of 16-bit PNG depth: NYU 1000, KITTI 256.")] = 1000.0,
    allow_missing: AllowMissing = False,
    depth_decoding: HowDepth = None,
    hard_depth: HardDepth = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Depth maps against measured depth: AbsRel, RMSE and deltas after alignment of scale and shift."""
    from perceptio.evaluation.depth_pairs import open_depth_pairs

    benchmark = open_depth_pairs(root, scale=scale, allow_missing=allow_missing)
    _measure(*_load(model), benchmark, out, free, batch_size, as_json, depth_decoding, hard_depth)


@app.command()
def photos(
    folder: Annotated[
        Path, typer.Option("--from", help="Folder that scripts/fetch_photos.sh has filled.", show_default=False)
    ],
    model: Model = "nano",
    allow_missing: AllowMissing = False,
    depth_decoding: HowDepth = None,
    hard_depth: HardDepth = False,
    free: Free = False,
    batch_size: BatchSize = 32,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Real photographs judged by eye: order of points by the map and in words, and boxes of named things."""
    from perceptio.evaluation.photos.benchmark import open_photos

    benchmark = open_photos(folder, allow_missing=allow_missing)
    _measure(*_load(model), benchmark, out, free, batch_size, as_json, depth_decoding, hard_depth)


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of one evaluation.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="Folder of another, of the same samples.", show_default=False)],
    show: Annotated[int, typer.Option(help="Changed samples to list.", min=0)] = 10,
) -> None:
    """Paired differences of two evaluations, with 95 % intervals, and the samples that changed."""
    from perceptio.evaluation import compare as comparison
    from perceptio.evaluation.folder import load_samples

    one, two = load_samples(first), load_samples(second)
    names = (first.name, second.name) if first.name != second.name else (str(first), str(second))
    typer.echo(comparison.to_markdown(comparison.compare(one, two), names))
    pairs = comparison.changed(one, two)
    typer.echo(f"\n{len(pairs)} of {len(one)} samples changed")
    for before, after in pairs[:show]:
        typer.echo(f"- {before.key} {before.record.get('prompt', '')!r}")
        typer.echo(f"    {names[0]}: {before.record.get('answer', '')!r}")
        typer.echo(f"    {names[1]}: {after.record.get('answer', '')!r}")


def _load(model: str) -> tuple[Ranks, Perceptio]:
    """The processes that share the work, and the model on the device of this one."""
    from perceptio.evaluation.ranks import join_ranks, own_device
    from perceptio.pipeline import Perceptio

    quiet()
    return join_ranks(), Perceptio.from_pretrained(model, device=own_device())


def _measure(
    ranks: Ranks,
    model: Perceptio,
    benchmark: Benchmark,
    out: Path | None,
    free: bool,
    batch_size: int,
    as_json: bool,
    depth_decoding: DepthDecoding | None = None,
    hard_depth: bool = False,
) -> None:
    from perceptio.evaluation.runner import run_benchmark

    results = run_benchmark(
        model,
        benchmark,
        out,
        constrained=not free,
        batch_size=batch_size,
        depth_decoding=depth_decoding,
        soft_depth=not hard_depth,
        ranks=ranks,
    )
    if ranks.is_first:
        typer.echo(results.report.to_json() if as_json else results.report.to_markdown())
        typer.echo(f"report and samples: {results.folder}", err=True)

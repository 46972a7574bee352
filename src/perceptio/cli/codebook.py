"""`perceptio tokenizer train | maps`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from perceptio.cli.options import quiet
from perceptio.cli.teaching import (
    TEACHER_HELP,
    AllowBad,
    Batch,
    Device,
    Ray,
    Shard,
    Workers,
    part_of,
    refuse_bad,
    tell_left_out,
)
from perceptio.labeling import limits

if TYPE_CHECKING:
    from perceptio.training.codebook.run import HowMaps
    from perceptio.training.codebook.settings import CodebookRecipe, MapSource

Folders = list[Path] | None
Teacher = Annotated[str | None, typer.Option(help=TEACHER_HELP, show_default=False)]
DepthKind = Annotated[str, typer.Option(help="What files of depth hold: metric (metres) or inverse depth.")]
DepthScale = Annotated[float, typer.Option(help="Values per metre of PNGs of metric depth.", min=1e-6, max=1e6)]
_OPTIONS = ("images", "depth", "maps", "samples", "teacher", "size", "grid", "codes", "steps", "batch", "held_out")


def train(
    recipe: Annotated[
        Path | None,
        typer.Argument(help="A recipe, such as recipes/depth-tokenizer.yaml; or give sources.", show_default=False),
    ] = None,
    images: Annotated[
        Folders, typer.Option(help="Folder or .tar file of pictures, for the teacher (repeatable).", show_default=False)
    ] = None,
    samples: Annotated[
        Folders,
        typer.Option(help="File of samples; the teacher sees pictures without a depth map.", show_default=False),
    ] = None,
    depth: Annotated[Folders, typer.Option(help="Folder of depth maps (repeatable).", show_default=False)] = None,
    depth_kind: DepthKind = "metric",
    depth_scale: DepthScale = 1000.0,
    maps: Annotated[
        Folders, typer.Option(help="Folder of `perceptio tokenizer maps` (repeatable).", show_default=False)
    ] = None,
    scenes: Annotated[
        Folders,
        typer.Option(
            help="Rendered scenes (repeatable); with a recipe of nano: where they are or will be.", show_default=False
        ),
    ] = None,
    teacher: Teacher = None,
    size: Annotated[int | None, typer.Option(help="Side of a map, px; 320 by default.", show_default=False)] = None,
    grid: Annotated[
        int | None, typer.Option(help="Codes along a side, 10 by default; --size / --grid is a power of two.")
    ] = None,
    codes: Annotated[int | None, typer.Option(help="Entries of the codebook; 128 by default.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps; 50,000 by default.")] = None,
    batch: Annotated[int | None, typer.Option(help="Maps a step; 32 by default.")] = None,
    held_out: Annotated[
        float | None, typer.Option(help="Share of the maps that are judged by, not trained on; 0.02 by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME by default.", show_default=False)
    ] = None,
    teacher_batch: Annotated[
        int, typer.Option(help="Pictures that the teacher reads at once.", min=1, max=limits.BATCH_SIZE)
    ] = 8,
    device: Annotated[str, typer.Option(help="Of the teacher: cpu, cuda or cuda:0.")] = "cpu",
    workers: Annotated[
        int, typer.Option(help="Processes that make maps; with --ray, actors.", min=1, max=limits.WORKERS)
    ] = 1,
    ray: Ray = None,
    allow_bad: AllowBad = False,
) -> None:
    """Distil a depth tokenizer; the same command again resumes where it stopped."""
    from perceptio.labeling.running import LabelWorkers
    from perceptio.training.codebook.run import HowMaps

    given = {
        name: value
        for name, value in zip(
            _OPTIONS, (images, depth, maps, samples, teacher, size, grid, codes, steps, batch, held_out), strict=True
        )
        if value not in (None, [])
    }
    how = HowMaps(LabelWorkers(workers, ray=ray), teacher_batch, device, allow_bad)
    if recipe is None:
        sources = _sources(images or [], samples or [], depth or [], maps or [], scenes or [], depth_kind, depth_scale)
        _run(_recipe(sources, given, out), out, how)
        return
    if given:
        raise ValueError(f"{recipe} says what is trained on what: write {_flag(next(iter(given)))} into it")
    from perceptio.training.codebook.settings import CodebookRecipe
    from perceptio.training.recipe import build_recipe, read_settings

    settings = read_settings(recipe)
    if "data" in settings:
        if scenes:
            raise ValueError(f"{recipe} says what is trained on what: write --scenes into it")
        _run(build_recipe(settings, CodebookRecipe, recipe), out, how)
        return
    from perceptio.cli.train import train as run

    if len(scenes or []) > 1:
        raise ValueError(f"{recipe} is trained on one folder of scenes, not on {len(scenes or [])}")
    run(recipe, out, scenes[0] if scenes else None, ["depth"])


def maps(
    sources: Annotated[list[Path], typer.Argument(help="Folders or .tar files of pictures.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the maps.", show_default=False)],
    teacher: Annotated[str, typer.Option(help=TEACHER_HELP, show_default=False)],
    size: Annotated[int, typer.Option(help="Side of a map, px: a quarter more than the tokenizer's.", min=16)] = 400,
    shard_size: Annotated[int, typer.Option(help="Maps in one file.", min=1, max=limits.SHARD_SIZE)] = 256,
    batch: Batch = 8,
    device: Device = "cpu",
    workers: Workers = 1,
    shard: Shard = None,
    ray: Ray = None,
    allow_bad: AllowBad = False,
) -> None:
    """Compute a teacher's depth maps, for `tokenizer train --maps`; the same command again resumes."""
    part = part_of(shard)
    from perceptio.labeling.map_job import MapPlan, make_maps
    from perceptio.labeling.networks import Network
    from perceptio.labeling.pictures import find_pictures
    from perceptio.labeling.running import LabelWorkers
    from perceptio.pretrained.folder import locate

    quiet()
    announce_teacher(teacher)
    plan = MapPlan(size, shard_size, batch, device)
    report = make_maps(
        find_pictures(sources), out, Network(teacher, locate(teacher)), plan, LabelWorkers(workers, part, ray)
    )
    typer.echo(f"{report.labelled} maps in {report.finished} of {report.shards} files in {out} ({report.licence})")
    tell_left_out(report)
    refuse_bad(report, allow_bad)


def _run(recipe: CodebookRecipe, out: Path | None, how: HowMaps) -> None:
    from transformers.utils.logging import disable_progress_bar

    from perceptio.training.codebook.run import CodebookRun

    disable_progress_bar()  # of loading a teacher; that of the training stays
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if recipe.teacher:
        announce_teacher(recipe.teacher)
    folder = out or Path("runs") / recipe.name
    result = CodebookRun(recipe, folder, how).run()
    typer.echo(f"done: the depth tokenizer is in {result}; --tokenizer {folder} finds it too")


def _sources(
    images: list[Path],
    samples: list[Path],
    depth: list[Path],
    maps: list[Path],
    scenes: list[Path],
    kind: str,
    scale: float,
) -> dict[str, MapSource]:
    from perceptio.training.codebook.settings import MapSource

    sources: dict[str, MapSource] = {}
    named: list[tuple[list[Path], dict[str, Any]]] = [
        (images, {"kind": "images"}),
        (samples, {"kind": "samples"}),
        (depth, {"kind": checked_kind(kind), "scale": scale}),
        (maps, {"kind": "maps"}),
        (scenes, {"kind": "scenes"}),
    ]
    for paths, fields in named:
        for path in paths:
            if str(path) in sources:
                raise ValueError(f"{path} is named twice: name each source once")
            sources[str(path)] = MapSource(**fields)
    if not sources:
        raise ValueError("there is nothing to train on: name a recipe, or --images, --samples, --depth, --scenes")
    return sources


def _recipe(sources: dict[str, MapSource], given: dict[str, Any], out: Path | None) -> CodebookRecipe:
    """The recipe that the options stand for, with the defaults of a recipe."""
    from perceptio.training.codebook.settings import CodebookRecipe, downsample_of
    from perceptio.training.recipe import build_recipe

    size, grid = given.get("size", 320), given.get("grid", 10)
    settings: dict[str, Any] = {
        "name": out.resolve().name if out is not None else "depth-tokenizer",
        "data": {path: {"kind": each.kind, "scale": each.scale} for path, each in sources.items()},
        "sizes": {"image_size": size, "downsample": downsample_of(size, grid)},
        "training": {name: given[name] for name in ("steps", "batch") if name in given},
    }
    if "codes" in given:
        settings["sizes"]["codes"] = given["codes"]
    settings |= {name: given[name] for name in ("teacher", "held_out") if name in given}
    steps = settings["training"].get("steps")
    if steps is not None:
        settings["training"]["warmup"] = min(500, steps // 10)
    return build_recipe(settings, CodebookRecipe, "the command")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def checked_kind(kind: str) -> Literal["metric", "inverse"]:
    """What `--depth-kind` says.

    Raises:
        ValueError: if it is another word.
    """
    if kind not in ("metric", "inverse"):
        raise ValueError(f"--depth-kind must be metric or inverse, not {kind!r}")
    return "metric" if kind == "metric" else "inverse"


def announce_teacher(name: str) -> dict[str, str]:
    """A teacher's name and the licence of its weights, which is printed where the teacher is chosen."""
    from perceptio.labeling.networks import Network
    from perceptio.pretrained.folder import locate

    licence = Network(name, locate(name)).licence
    print(f"teacher {name}: {licence}", file=sys.stderr)
    return {"teacher": name, "licence": licence}

"""`perceptio label`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


def label(
    sources: Annotated[list[Path], typer.Argument(help="Folders or .tar files of pictures.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the labels.", show_default=False)],
    teacher: Annotated[str, typer.Option(help=TEACHER_HELP, show_default=False)],
    tokenizer: Annotated[
        str, typer.Option(help="'nano', or a folder of a model, a depth tokenizer or its run.")
    ] = "nano",
    sam: Annotated[
        str | None, typer.Option(help="SAM 2, folder or hub id, for masks (Apache-2.0).", show_default=False)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON lines of boxes and points, for masks.", show_default=False)
    ] = None,
    shard_size: Annotated[
        int, typer.Option(help="Pictures in one file of labels.", min=1, max=limits.SHARD_SIZE)
    ] = 1000,
    batch: Batch = 8,
    device: Device = "cpu",
    workers: Workers = 1,
    shard: Shard = None,
    ray: Ray = None,
    allow_bad: AllowBad = False,
    samples: Annotated[
        Path | None, typer.Option(help="Write training samples (JSON lines) when all is labelled.", show_default=False)
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            help="Write the masks for a program for annotation (.json) when all is labelled.", show_default=False
        ),
    ] = None,
    kind: Annotated[
        Literal["coco", "label-studio"] | None,
        typer.Option("--format", help="Of --annotations; coco by default.", show_default=False),
    ] = None,
) -> None:
    """Label pictures with depth codes, and with masks; the same command again resumes where it stopped."""
    part = part_of(shard)
    from perceptio.labeling.job import LabelPlan
    from perceptio.labeling.job import label as run
    from perceptio.labeling.networks import Network
    from perceptio.labeling.running import LabelWorkers
    from perceptio.labeling.to_annotations import check_annotations, label_masks
    from perceptio.labeling.to_samples import check_samples, write_samples
    from perceptio.model.loading import load_depth_tokenizer
    from perceptio.pretrained.folder import locate
    from perceptio.results.annotations import write_annotations

    quiet()
    who = LabelWorkers(workers, part, ray)
    if samples is not None:
        check_samples(samples, sources)
    if kind is not None and annotations is None:
        raise ValueError(f"--format {kind} belongs to --annotations: name the file to write")
    if annotations is not None:
        if sam is None:
            raise ValueError("--annotations writes masks: give --sam and --prompts")
        check_annotations(annotations, kind or "coco", sources)
    plan = LabelPlan(
        teacher=Network(teacher, locate(teacher)),
        tokenizer=load_depth_tokenizer(tokenizer),
        segmenter=None if sam is None else Network(sam, locate(sam)),
        prompts=prompts,
        shard_size=shard_size,
        batch_size=batch,
        device=device,
    )
    report = run(sources, out, plan, who)
    typer.echo(
        f"{report.labelled} pictures labelled in {report.finished} of {report.shards} files in {out} ({report.licence})"
    )
    tell_left_out(report)
    refuse_bad(report, allow_bad)
    for file in (samples, annotations):
        if file is not None and report.finished < report.shards:
            raise ValueError(f"{file} is not written before all is labelled: run this again when the others are done")
    if samples is not None:
        typer.echo(f"{write_samples(out, samples)} samples in {samples}")
    if annotations is not None:
        count = write_annotations(annotations, label_masks(out), kind or "coco")
        typer.echo(f"masks of {count} pictures in {annotations}")

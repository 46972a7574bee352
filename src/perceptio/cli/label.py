"""`perceptio label`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.cli.options import quiet
from perceptio.labeling import limits

if TYPE_CHECKING:
    from perceptio.labeling.job import LabelReport

_SHOWN = 20  # bad pictures on the screen; the reports list all


def label(
    sources: Annotated[list[Path], typer.Argument(help="Folders or .tar files of pictures.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the labels.", show_default=False)],
    teacher: Annotated[
        str,
        typer.Option(
            help="Depth Anything V2, folder or hub id (Small: Apache-2.0; Base, Large: CC-BY-NC-4.0).",
            show_default=False,
        ),
    ],
    tokenizer: Annotated[str, typer.Option(help="'nano', or a folder of a model or of a depth tokenizer.")] = "nano",
    sam: Annotated[
        str | None, typer.Option(help="SAM 2, folder or hub id, for masks (Apache-2.0).", show_default=False)
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSON lines of boxes and points, for masks.", show_default=False)
    ] = None,
    shard_size: Annotated[
        int, typer.Option(help="Pictures in one file of labels.", min=1, max=limits.SHARD_SIZE)
    ] = 1000,
    batch: Annotated[
        int, typer.Option(help="Pictures that the networks read at once.", min=1, max=limits.BATCH_SIZE)
    ] = 8,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:0.")] = "cpu",
    workers: Annotated[int, typer.Option(help="Processes; with --ray, actors.", min=1, max=limits.WORKERS)] = 1,
    shard: Annotated[
        str | None, typer.Option(help="I/N: only every N-th file of labels, from the I-th on.", show_default=False)
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Run on a Ray cluster: its address, 'auto', or 'local' for a new one.", show_default=False),
    ] = None,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Succeed although pictures cannot be labelled.")
    ] = False,
    samples: Annotated[
        Path | None, typer.Option(help="Write training samples (JSON lines) when all is labelled.", show_default=False)
    ] = None,
) -> None:
    """Label pictures with depth codes, and with masks; the same command again resumes where it stopped."""
    part = _part(shard)
    from perceptio.labeling.job import LabelPlan, LabelWorkers
    from perceptio.labeling.job import label as run
    from perceptio.labeling.networks import Network
    from perceptio.labeling.to_samples import check_samples, write_samples
    from perceptio.model.loading import load_depth_tokenizer
    from perceptio.pretrained.folder import locate

    quiet()
    who = LabelWorkers(workers, part, ray)
    if samples is not None:
        check_samples(samples, sources)
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
    _tell_left_out(report)
    if report.bad and not allow_bad:
        raise ValueError(
            f"{len(report.bad)} pictures could not be labelled: mend them and run this again, or give --allow-bad"
        )
    if samples is not None:
        if report.finished < report.shards:
            raise ValueError(
                f"{samples} is not written before all is labelled: run this again when the others are done"
            )
        typer.echo(f"{write_samples(out, samples)} samples in {samples}")


def _part(shard: str | None) -> tuple[int, int]:
    if shard is None:
        return 1, 1
    numbers = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    if numbers is None:
        raise ValueError(f"--shard must be I/N, such as 1/4, not {shard!r}")
    return int(numbers[1]), int(numbers[2])


def _tell_left_out(report: LabelReport) -> None:
    for each in report.bad[:_SHOWN]:
        _tell(f"not labelled: {each.image}: {each.error}")
    if len(report.bad) > _SHOWN:
        _tell(f"not labelled: {len(report.bad) - _SHOWN} more, see the reports (*.json)")
    if report.again:
        _tell(f"{report.again} files of labels were made again: prompts or bad pictures have changed")
    if report.others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(report.others.items()))
        _tell(f"no pictures by their names, left out: {kinds}")
    if report.links.followed:
        _tell(f"links to folders, followed: {report.links.followed}")
    for link in report.links.left_out[:_SHOWN]:
        _tell(f"link to a folder, left out: {link}")
    if len(report.links.left_out) > _SHOWN:
        _tell(f"links to folders, left out: {len(report.links.left_out) - _SHOWN} more")


def _tell(line: str) -> None:
    """Print one line, whatever characters the names of files hold."""
    print("".join(each if each.isprintable() else ascii(each)[1:-1] for each in line), file=sys.stderr)

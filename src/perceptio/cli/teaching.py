"""What the commands share that run teachers over folders: options, and what they tell of pictures left out."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from perceptio.labeling import limits

if TYPE_CHECKING:
    from perceptio.labeling.running import LabelReport

TEACHER_HELP = (
    "Depth network, folder or hub id: Depth Anything V2 (Small: Apache-2.0; Base, Large: CC-BY-NC-4.0), ZoeDepth "
    "(MIT), Depth Pro (apple-amlr, research only)."
)
AllowBad = Annotated[bool, typer.Option("--allow-bad", help="Succeed although pictures cannot be labelled.")]
Batch = Annotated[int, typer.Option(help="Pictures that the networks read at once.", min=1, max=limits.BATCH_SIZE)]
Device = Annotated[str, typer.Option(help="Of the networks: cpu, cuda or cuda:0.")]
Ray = Annotated[
    str | None,
    typer.Option(help="Run on a Ray cluster: its address, 'auto', or 'local' for a new one.", show_default=False),
]
Shard = Annotated[str | None, typer.Option(help="I/N: only every N-th file, from the I-th on.", show_default=False)]
Workers = Annotated[int, typer.Option(help="Processes; with --ray, actors.", min=1, max=limits.WORKERS)]

_SHOWN = 20  # bad pictures on the screen; the reports list all


def part_of(shard: str | None) -> tuple[int, int]:
    """Which shards `--shard I/N` means; all of them without it.

    Raises:
        ValueError: if it is of another form.
    """
    if shard is None:
        return 1, 1
    numbers = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    if numbers is None:
        raise ValueError(f"--shard must be I/N, such as 1/4, not {shard!r}")
    return int(numbers[1]), int(numbers[2])


def tell_left_out(report: LabelReport) -> None:
    """Print what became of files that gave no result, on stderr."""
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


def refuse_bad(report: LabelReport, allow_bad: bool) -> None:
    """Fail where pictures gave no result, unless that is allowed.

    Raises:
        ValueError: with their number.
    """
    if report.bad and not allow_bad:
        raise ValueError(
            f"{len(report.bad)} pictures could not be labelled: mend them and run this again, or give --allow-bad"
        )


def _tell(line: str) -> None:
    """Print one line, whatever characters the names of files hold."""
    print("".join(each if each.isprintable() else ascii(each)[1:-1] for each in line), file=sys.stderr)

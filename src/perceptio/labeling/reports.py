"""What a shard leaves in its folder: a file of results, and a report with the pictures that gave none.

Both are written beside and renamed, the results last: a shard is finished when its file of results is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from perceptio.data.errors import DataError
from perceptio.files import read_json, replacing


@dataclass(frozen=True)
class ShardFiles:
    """Where one shard lies."""

    folder: Path
    name: str  # "labels-000012"
    suffix: str  # of the results: ".parquet"

    @property
    def results(self) -> Path:
        return self.folder / f"{self.name}{self.suffix}"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def lock(self) -> Path:
        return self.folder / f".{self.name}.lock"


@dataclass(frozen=True)
class BadPicture:
    """A picture without a result."""

    key: str
    image: str  # its path, relative to the folder of the shards
    error: str  # one sentence
    content: str | None = None  # hash of its file, where not the file but what the networks make of it is at fault


@dataclass(frozen=True)
class ShardReport:
    """What became of the pictures of one shard."""

    labelled: int
    bad: tuple[BadPicture, ...]
    prompts: str  # hash of those of its pictures; "" where there are no prompts


def write_report(files: ShardFiles, labelled: int, bad: Sequence[BadPicture], prompts: str = "") -> None:
    """Write the report of a shard, before its results.

    Raises:
        OutputError: if the folder cannot be written.
    """
    report = ShardReport(labelled, tuple(bad), prompts)
    with replacing(files.report) as beside:
        beside.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")


def read_report(files: ShardFiles) -> ShardReport:
    """What became of the pictures of a finished shard.

    Raises:
        DataError: if the report is missing or damaged.
    """
    try:
        report = read_json(files.report)
        bad = tuple(BadPicture(**each) for each in report["bad"])
        return ShardReport(int(report["labelled"]), bad, report["prompts"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{files.report} is damaged ({error}): remove it and {files.results.name}") from error

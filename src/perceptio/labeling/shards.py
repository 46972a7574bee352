"""A folder of labels: for each shard one parquet file, and one report with the pictures that could not be labelled.

Both are written beside and renamed, the parquet file last: a shard is finished when its parquet file is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceptio.data.errors import DataError
from perceptio.files import read_json, replacing
from perceptio.labeling.labeler import Labels


@dataclass(frozen=True)
class LabelRow:
    """One row of a parquet file."""

    key: str  # unique in the folder
    image: str  # path of the picture, relative to the folder of the labels
    labels: Labels
    teacher: str  # identity of the depth network
    segmenter: str | None  # identity of the SAM 2
    tokenizer: str  # hash of the depth tokenizer
    licence: str  # of the labels


@dataclass(frozen=True)
class BadPicture:
    """A picture that could not be labelled."""

    key: str
    image: str  # as in `LabelRow`
    error: str  # one sentence
    content: str | None = None  # hash of its file, where not the file but what the networks make of it is at fault


@dataclass(frozen=True)
class ShardReport:
    """What became of the pictures of one shard."""

    labelled: int
    bad: tuple[BadPicture, ...]
    prompts: str  # hash of those of its pictures


def shard_file(folder: Path, shard: int) -> Path:
    return folder / f"labels-{shard:06d}.parquet"


def report_file(folder: Path, shard: int) -> Path:
    return folder / f"labels-{shard:06d}.json"


def write_shard(folder: Path, shard: int, rows: Sequence[LabelRow], bad: Sequence[BadPicture], prompts: str) -> None:
    """Write one shard, its parquet file last.

    Args:
        folder: of labels.
        shard: its number.
        rows: of the pictures that are labelled.
        bad: the others.
        prompts: hash of the prompts of all of them.

    Raises:
        OutputError: if the folder cannot be written.
    """
    import pyarrow
    from pyarrow import parquet

    texts: dict[str, Any] = dict.fromkeys(("teacher", "segmenter", "tokenizer", "licence"), pyarrow.string())
    schema = pyarrow.schema(
        {
            "key": pyarrow.string(),
            "image": pyarrow.string(),
            "width": pyarrow.int32(),
            "height": pyarrow.int32(),
            "codes": pyarrow.list_(pyarrow.int32()),
            "masks": pyarrow.list_(
                pyarrow.struct({"size": pyarrow.list_(pyarrow.int32()), "counts": pyarrow.string()})
            ),
            "scores": pyarrow.list_(pyarrow.float32()),
            **texts,
        }
    )
    report = ShardReport(len(rows), tuple(bad), prompts)
    with replacing(report_file(folder, shard)) as beside:
        beside.write_text(json.dumps(asdict(report), indent=2) + "\n", encoding="utf-8")
    with replacing(shard_file(folder, shard)) as beside:
        table = pyarrow.Table.from_pylist([_flat(row) for row in rows], schema)
        parquet.write_table(table, beside, compression="zstd")


def read_shard(path: Path) -> list[LabelRow]:
    """The rows of one parquet file.

    Raises:
        DataError: if it is damaged or of another form.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        return [_row(flat) for flat in parquet.read_table(path).to_pylist()]
    except (pyarrow.ArrowException, OSError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of labels ({error}): remove it and label again") from error


def is_whole(folder: Path, shard: int) -> bool:
    """Whether the parquet file of a finished shard can be opened, and has as many rows as its report says."""
    import pyarrow
    from pyarrow import parquet

    try:
        rows: int = parquet.read_metadata(shard_file(folder, shard)).num_rows
        return rows == read_report(folder, shard).labelled
    except (pyarrow.ArrowException, OSError, DataError):
        return False


def read_report(folder: Path, shard: int) -> ShardReport:
    """What became of the pictures of a finished shard.

    Raises:
        DataError: if the report is missing or damaged.
    """
    path = report_file(folder, shard)
    try:
        report = read_json(path)
        bad = tuple(BadPicture(**each) for each in report["bad"])
        return ShardReport(int(report["labelled"]), bad, report["prompts"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it and {shard_file(folder, shard).name}") from error


def _flat(row: LabelRow) -> dict[str, Any]:
    flat = asdict(row)
    return {**flat.pop("labels"), **flat}


def _row(flat: dict[str, Any]) -> LabelRow:
    masks, scores = flat["masks"], flat["scores"]
    labels = Labels(
        width=flat["width"],
        height=flat["height"],
        codes=tuple(flat["codes"]),
        masks=None if masks is None else tuple(masks),
        scores=None if scores is None else tuple(scores),
    )
    texts = ("key", "image", "teacher", "segmenter", "tokenizer", "licence")
    return LabelRow(labels=labels, **{name: flat[name] for name in texts})

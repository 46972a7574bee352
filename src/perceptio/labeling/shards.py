"""A folder of labels: for each shard one parquet file, and a report (`reports.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perceptio.data.errors import DataError
from perceptio.files import replacing
from perceptio.labeling.labeler import Labels
from perceptio.labeling.reports import BadPicture, ShardFiles, read_report, write_report

LABELS, LABELS_SUFFIX = "labels", ".parquet"


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


def label_files(folder: Path, shard: int) -> ShardFiles:
    """Where a shard of labels lies."""
    return ShardFiles(folder, f"{LABELS}-{shard:06d}", LABELS_SUFFIX)


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
    files = label_files(folder, shard)
    write_report(files, len(rows), bad, prompts)
    with replacing(files.results) as beside:
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
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no file of labels ({reason}): remove it and label again") from error


def is_whole(folder: Path, shard: int) -> bool:
    """Whether the parquet file of a finished shard can be opened, and has as many rows as its report says."""
    import pyarrow
    from pyarrow import parquet

    files = label_files(folder, shard)
    try:
        rows: int = parquet.read_metadata(files.results).num_rows
        return rows == read_report(files).labelled
    except (pyarrow.ArrowException, OSError, DataError):
        return False


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

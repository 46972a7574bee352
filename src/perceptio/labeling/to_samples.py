"""Labels as samples that training reads (`data/schema.py`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pycocotools import mask as coco

from perceptio.data import sample_files
from perceptio.data.errors import DataError
from perceptio.data.rle import segmentation_rles
from perceptio.data.schema import Sample, Turn
from perceptio.files import check_writable
from perceptio.labeling.shards import LabelRow, read_shard

QUESTION, ANSWER, TASK = "Show the depth map.", "Here is the depth map.", "depth"


def label_rows(folder: Path) -> Iterator[LabelRow]:
    """All rows of a folder of labels, in the order of their keys.

    Raises:
        DataError: if the folder has no labels, or a file is damaged.
    """
    paths = sorted(folder.glob("labels-*.parquet"))
    if not paths:
        raise DataError(f"{folder} holds no labels: make them with `perceptio label`")
    for path in paths:
        for row in read_shard(path):
            try:
                _check(row)
            except ValueError as error:
                raise DataError(
                    f"{path} is damaged, its row {row.key!r}: {error}: remove it and label again"
                ) from error
            yield row


def _check(row: LabelRow) -> None:
    """Refuse what no labelling writes, before it is used as an array or a mask.

    Raises:
        ValueError: if a field is of another type, or a mask is no run-length code of the picture's size.
    """
    fields = (row.key, row.image, row.teacher, row.tokenizer, row.licence)
    if not all(isinstance(each, str) for each in fields) or not isinstance(row.segmenter, (str, type(None))):
        raise ValueError("a text is missing")
    if not all(type(code) is int for code in row.labels.codes):
        raise ValueError("its codes are no whole numbers")
    for mask in row.labels.masks or ():
        segmentation_rles(mask, row.labels.height, row.labels.width)


def label_samples(folder: Path, home: Path) -> Iterator[Sample]:
    """A sample for each labelled picture, with one request for its depth map; masks go along, for turns of one's own.

    Masks that cover no pixel stay behind: a sample's masks are of objects that are there.

    Args:
        folder: of labels.
        home: the folder that the samples' paths are relative to: that of the file they are written to.

    Raises:
        DataError: as `label_rows`, or if a picture lies in a tar file, which samples cannot name.
    """
    for row in label_rows(folder):
        yield replace(
            bare_sample(row, folder, home),
            turns=(Turn(QUESTION, ANSWER, TASK, depth=True),),
            masks=tuple(mask for mask in row.labels.masks or () if coco.area(mask)),
        )


def bare_sample(row: LabelRow, folder: Path, home: Path) -> Sample:
    """A labelled picture with its depth codes, without turns.

    Args:
        row: of the labels.
        folder: of the labels.
        home: the folder that the sample's paths are relative to.

    Raises:
        DataError: if the picture lies in a tar file.
    """
    return Sample(
        image=Path(os.path.relpath(picture_file(row, folder), home)).as_posix(),
        turns=(),
        key=row.key,
        codes=row.labels.codes,
        source=source_of(row),
        licence=f"{row.licence}; pictures: the user's own",
    )


def picture_file(row: LabelRow, folder: Path) -> Path:
    """The file of a labelled picture.

    Raises:
        DataError: if the picture lies in a tar file.
    """
    image = folder / row.image
    archive = next((parent for parent in image.parents if parent.suffix.lower() == ".tar"), None)
    if archive is not None and archive.is_file():
        raise DataError(f"a picture's file is needed, but {row.key} lies in {archive}: unpack it, and label the folder")
    return image


def refuse_archives(sources: Sequence[Path], written: Path) -> None:
    """Refuse tar files, whose pictures no other file can name.

    Args:
        sources: of the pictures.
        written: what would name them.

    Raises:
        DataError: if a source is a tar file.
    """
    archive = next((source for source in sources if source.suffix.lower() == ".tar" and source.is_file()), None)
    if archive is not None:
        raise DataError(f"{written} names picture files, but {archive} is a tar file: unpack it, and label the folder")


def source_of(row: LabelRow) -> str:
    """Which networks made the labels of a row."""
    teachers = " and ".join(name for name in (row.teacher, row.segmenter) if name is not None)
    return f"labelled by {teachers}, depth tokenizer {row.tokenizer}"


def check_samples(path: Path, sources: Sequence[Path]) -> None:
    """Refuse, before the labels are made, what could not be written afterwards.

    Args:
        path: of the samples.
        sources: of the pictures.

    Raises:
        DataError: if the suffix is unknown, or a source is a tar file.
        OutputError: if the file cannot be written.
    """
    if path.suffix not in (".jsonl", ".parquet"):
        raise DataError(f"{path} is neither .jsonl nor .parquet: give the file one of these suffixes")
    refuse_archives(sources, path)
    check_writable(path)


def write_samples(folder: Path, path: Path) -> int:
    """Write the samples of a folder of labels as JSON lines or parquet, by the suffix; returns how many.

    Raises:
        DataError: as `label_samples`, or if the suffix is another.
        OutputError: if the file cannot be written.
    """
    return sample_files.write_samples(path, label_samples(folder, path.parent))

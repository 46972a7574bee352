"""Files of samples, JSONL or parquet: each sample read when it is asked for, and all of them written at once."""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError, plain, shown
from perceptio.data.parquet_rows import ParquetRows
from perceptio.data.schema import Sample
from perceptio.files import json_line, parse_json, replacing

NESTED = ("turns", "masks", "marks")  # columns of parquet that are JSON text: a mask is of one type or another
TEXTS = ("image", "key", "depth", "depth_kind", "source", "licence", *NESTED)  # columns of text, if not nested
ROWS = 64  # of a row group: one sample is read with its whole group


class SampleFile:
    """The samples of one file, each read when it is asked for.

    Args:
        path: of JSONL or parquet.

    Raises:
        DataError: if there is no such file, it is of another kind or damaged as a whole, or holds nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise DataError(f"{self.path} is a folder: name the file of samples in it")
        if not self.path.is_file():
            raise DataError(f"there is no file {self.path}")
        if self.path.suffix not in (".jsonl", ".parquet"):
            raise DataError(f"{self.path} is neither .jsonl nor .parquet: see docs/data.md for the format")
        self._rows: ParquetRows | None = None
        if self.path.suffix == ".parquet":
            self._rows = ParquetRows(self.path, TEXTS)
            self._count = len(self._rows)
        else:
            self._starts, self._lines = self._line_places()
            self._count = len(self._lines)
        if not self._count:
            raise DataError(f"{self.path} holds no samples")

    def __len__(self) -> int:
        return self._count

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hexadecimal digits."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def line(self, index: int) -> int:
        """The line (of parquet: the row) of a sample, from 1."""
        return index + 1 if self._rows is not None else int(self._lines[index])

    def where(self, index: int) -> str:
        """File and line of a sample, for messages."""
        return f"{self.path}:{self.line(index)}"

    def __getitem__(self, index: int) -> Sample:
        """One sample.

        Raises:
            SampleError: if its line is not of the form.
        """
        if not 0 <= index < self._count:
            raise IndexError(f"{self.path} has no sample {index}")
        where = self.where(index)
        if self._rows is not None:
            return Sample.from_dict(_row(self._rows, index, where), where)
        try:
            with self.path.open("rb") as file:
                file.seek(int(self._starts[index]))
                line = file.readline()
        except OSError as error:
            raise SampleError(where, "", f"cannot be read: {error.strerror}") from error
        return Sample.from_dict(_parse(line, where, ""), where)

    def _line_places(self) -> tuple[np.ndarray, np.ndarray]:
        starts, lines, place = array("q"), array("q"), 0
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    mark = len(codecs.BOM_UTF8) if number == 1 and line.startswith(codecs.BOM_UTF8) else 0
                    if line[mark:].strip():
                        starts.append(place + mark)
                        lines.append(number)
                    place += len(line)
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}") from error
        return np.array(starts, np.int64), np.array(lines, np.int64)


def write_samples(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples as JSONL or parquet, by the suffix, and return their number. Nothing half-written is left.

    Numbers and arrays may be numpy's, and run-length codes pycocotools' own, whose counts are bytes. What is written
    has the form that `SampleFile` reads.

    Raises:
        DataError: if the suffix is another.
        SampleError: if a sample is not of the form; with its number, its key and the field.
        OutputError: if the system refuses to write.
    """
    suffix = Path(path).suffix
    if suffix not in (".jsonl", ".parquet"):
        raise DataError(f"{path} is neither .jsonl nor .parquet: give the file one of these suffixes")
    with replacing(path) as beside:
        return (_write_parquet if suffix == ".parquet" else _write_lines)(beside, _lines(samples))


def _lines(samples: Iterable[Sample]) -> Iterator[dict[str, Any]]:
    """What stands in each line; it was read once before it is written."""
    for number, sample in enumerate(samples, 1):
        if not isinstance(sample, Sample):
            raise TypeError(f"sample {number} is {type(sample).__name__}: give each as a perceptio.data.schema.Sample")
        where = f"sample {number}" + (f" ({shown(sample.key)})" if isinstance(sample.key, str) and sample.key else "")
        line = sample.to_dict(where)
        Sample.from_dict(line, where)
        yield line


def _write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, line in enumerate(lines, 1):  # noqa: B007
            file.write(json_line(line) + "\n")
    return count


def _write_parquet(path: Path, lines: Iterator[dict[str, Any]]) -> int:
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {"codes": arrow.list_(arrow.int32()), "depth_scale": arrow.float64()}
    schema = arrow.schema([(each.name, kinds.get(each.name, arrow.string())) for each in dataclasses.fields(Sample)])
    count = 0
    with path.open("wb") as file, parquet.ParquetWriter(file, schema) as writer:
        while rows := list(islice(lines, ROWS)):
            texts = [{name: json.dumps(row[name]) for name in NESTED if name in row} for row in rows]
            table = arrow.Table.from_pylist([row | text for row, text in zip(rows, texts, strict=True)], schema)
            writer.write_table(table)
            count += len(rows)
    return count


def _row(rows: ParquetRows, index: int, where: str) -> dict[str, Any]:
    try:
        row = rows[index]
    except DataError as error:
        raise SampleError(where, "", f"cannot be read: {error}") from error
    texts = {name: _parse(value, where, name) for name in NESTED if isinstance(value := row.get(name), str)}
    return {name: texts[name] if name in texts else plain(value, where, name) for name, value in row.items()}


def _parse(text: str | bytes, where: str, field: str) -> Any:
    try:
        return parse_json(text, "it")
    except ValueError as error:
        raise SampleError(where, field, f"is no JSON: {error}") from error

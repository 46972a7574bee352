"""Files of samples, JSONL or parquet: each sample read when it is asked for, and all of them written at once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError
from perceptio.data.schema import Sample
from perceptio.files import replacing

NESTED = ("turns", "masks", "marks")  # columns of parquet that are JSON text: a mask is of one type or another
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
        if not self.path.is_file():
            raise DataError(f"there is no file {self.path}")
        if self.path.suffix not in (".jsonl", ".parquet"):
            raise DataError(f"{self.path} is neither .jsonl nor .parquet: see docs/data.md for the format")
        self._group: tuple[int, list[dict[str, Any]]] = (-1, [])
        if self.path.suffix == ".parquet":
            self._starts = self._row_groups()  # the first row of each group, and the number of all rows
            self._count = int(self._starts[-1])
        else:
            self._starts, self._lines = self._line_places()
            self._count = len(self._lines)
        if not self._count:
            raise DataError(f"{self.path} holds no samples")

    def __len__(self) -> int:
        return self._count

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_group": (-1, [])}

    def line(self, index: int) -> int:
        """The line (of parquet: the row) of a sample, from 1."""
        return index + 1 if self.path.suffix == ".parquet" else int(self._lines[index])

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
        if self.path.suffix == ".parquet":
            return Sample.from_dict(self._row(index, where), where)
        with self.path.open("rb") as file:
            file.seek(int(self._starts[index]))
            line = file.readline()
        return Sample.from_dict(_parse(line, where, ""), where)

    def _line_places(self) -> tuple[np.ndarray, np.ndarray]:
        starts, lines, place = [], [], 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    starts.append(place)
                    lines.append(number)
                place += len(line)
        return np.array(starts, np.int64), np.array(lines, np.int64)

    def _row_groups(self) -> np.ndarray:
        from pyarrow import ArrowException, parquet

        try:
            metadata = parquet.read_metadata(self.path)
        except (ArrowException, OSError) as error:
            raise DataError(f"{self.path} is no parquet file, or damaged: {error}") from error
        return np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])

    def _row(self, index: int, where: str) -> dict[str, Any]:
        from pyarrow import ArrowException, parquet

        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        if self._group[0] != group:
            try:
                self._group = (group, parquet.ParquetFile(self.path).read_row_group(group).to_pylist())
            except (ArrowException, OSError) as error:
                raise SampleError(where, "", f"cannot be read: {error}") from error
        row = self._group[1][index - int(self._starts[group])]
        texts = {name: _parse(value, where, name) for name in NESTED if isinstance(value := row.get(name), str)}
        return row | texts


def write_samples(path: str | Path, samples: Iterable[Sample]) -> int:
    """Write samples as JSONL or parquet, by the suffix, and return their number. Nothing half-written is left.

    Raises:
        DataError: if the suffix is another.
        OutputError: if the system refuses to write.
    """
    suffix = Path(path).suffix
    if suffix not in (".jsonl", ".parquet"):
        raise DataError(f"{path} is neither .jsonl nor .parquet: give the file one of these suffixes")
    with replacing(path) as beside:
        return (_write_parquet if suffix == ".parquet" else _write_lines)(beside, samples)


def _write_lines(path: Path, samples: Iterable[Sample]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, sample in enumerate(samples, 1):  # noqa: B007
            file.write(json.dumps(sample.to_dict(), ensure_ascii=False) + "\n")
    return count


def _write_parquet(path: Path, samples: Iterable[Sample]) -> int:
    import pyarrow as arrow
    from pyarrow import parquet

    kinds = {"codes": arrow.list_(arrow.int32()), "depth_scale": arrow.float64()}
    schema = arrow.schema([(each.name, kinds.get(each.name, arrow.string())) for each in dataclasses.fields(Sample)])
    count, rest = 0, iter(samples)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rest, ROWS)):
            rows = [sample.to_dict() for sample in group]
            texts = [{name: json.dumps(row[name]) for name in NESTED if name in row} for row in rows]
            table = arrow.Table.from_pylist([row | text for row, text in zip(rows, texts, strict=True)], schema)
            writer.write_table(table)
            count += len(rows)
    return count


def _parse(text: str | bytes, where: str, field: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SampleError(where, field, f"is no JSON ({error})") from error

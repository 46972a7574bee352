"""The rows of a parquet file, a few at a time."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perceptio.data.errors import DataError

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyarrow.parquet import ParquetSchema

BATCH = 64  # rows that are turned into Python's objects together
LARGEST_GROUP = 2**31  # bytes of a row group, without compression: it may be read as a whole
_ROWS_PER_BYTE = 100  # of a file: rows that are all alike take next to nothing, but no file of data has more


class ParquetRows:
    """The rows of a file as dictionaries; those that follow each other are read fastest.

    Args:
        path: of the file.
        texts: columns that hold text, where the file has them.

    Raises:
        DataError: if it is no parquet file, damaged, or its row groups are too large to be read.
    """

    def __init__(self, path: Path, texts: Collection[str] = ()) -> None:
        from pyarrow import parquet

        self.path = path
        try:
            with path.open("rb") as file:
                metadata = parquet.read_metadata(file)
            _check_texts(metadata.schema, texts)
            # not their columns: on damaged statistics of one pyarrow aborts the process when it is asked for
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            largest = max((group.total_byte_size for group in groups), default=0)
            self._starts = np.cumsum([0, *(group.num_rows for group in groups)])  # of each group; then all rows
        except Exception as error:  # pyarrow fails in many ways on damaged files
            raise DataError(f"{path} is no parquet file, or damaged: {_reason(error)}") from error
        count, size = int(self._starts[-1]), path.stat().st_size
        if not 0 <= count <= _ROWS_PER_BYTE * size:
            raise DataError(f"{path} is damaged: it claims {count} rows in {size} bytes")
        if largest > LARGEST_GROUP:
            raise DataError(f"{path} has a row group of {largest / 1e9:.1f} GB: write it in smaller row groups")
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()  # a fork would share the open file, and its position
        self._batches: Iterator[RecordBatch] = iter(())
        self._group, self._next = -1, 0  # of the rows that come next
        self._first, self._rows = 0, list[dict[str, Any]]()  # the rows that were turned last

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_starts": self._starts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One row.

        Raises:
            DataError: if it cannot be read.
        """
        if self._process != os.getpid():
            self._reset()
        if not self._first <= index < self._first + len(self._rows):
            try:
                self._find(index)
            except Exception as error:  # pyarrow fails in many ways on damaged files
                self._reset()
                raise DataError(_reason(error)) from error
        return self._rows[index - self._first]

    def _find(self, index: int) -> None:
        group = int(np.searchsorted(self._starts, index, side="right")) - 1
        if group != self._group or index < self._next:
            self._batches, self._group, self._next = self._read(group), group, int(self._starts[group])
        for batch in self._batches:
            self._next += batch.num_rows
            if index < self._next:
                self._first, self._rows = self._next - batch.num_rows, batch.to_pylist()
                return
        raise ValueError("the row group is cut short")

    def _read(self, group: int) -> Iterator[RecordBatch]:
        from pyarrow import parquet

        with self.path.open("rb") as file:
            yield from parquet.ParquetFile(file).iter_batches(BATCH, row_groups=[group])


def _check_texts(schema: ParquetSchema, texts: Collection[str]) -> None:
    for column in (schema.column(number) for number in range(len(schema))):
        is_empty = column.logical_type.type == "UNKNOWN"  # parquet's word for a column of nulls
        if column.path in texts and column.physical_type != "BYTE_ARRAY" and not is_empty:
            raise ValueError(f"the column {column.path} holds {column.physical_type}, not text")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

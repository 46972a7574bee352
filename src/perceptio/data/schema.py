"""One sample of a person's own data, as a line of JSONL or a row of parquet holds it (docs/data.md).

Only the form is checked here: fields, their types and their few allowed words. What they point at (pictures, masks,
depth maps) is read and checked by `data/opening.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from perceptio.data import form
from perceptio.data.errors import DataError
from perceptio.data.form import SampleError
from perceptio.files import replacing

__all__ = ["Point", "Sample", "SampleError", "SampleFile", "SampleTurn", "read_samples", "write_samples"]

Span = Literal["seg", "depth", "text"]
DepthKind = Literal["metric", "inverse"]
Polygons = list[list[float]]  # [[x, y, x, y, ...], ...], px of the upright picture
MaskCode = dict[str, Any] | Polygons  # or {"size": [H, W], "counts": str or list}, COCO's run-length code

SPANS: tuple[Span, ...] = ("seg", "depth", "text")  # in the order of an answer
DEPTH_KINDS: tuple[DepthKind, ...] = ("metric", "inverse")
ABSENT = -1  # in place of a mask: an object that is spoken of, and is not there
NESTED = ("turns", "masks", "points")  # columns of parquet that are JSON text: a mask is of one type or another
ROWS = 64  # of a row group: one sample is read with its whole group


@dataclass(frozen=True)
class Point:
    """One labelled point that is drawn into the picture."""

    letter: str
    x: int  # px of the upright picture, to the right
    y: int  # px, down

    def to_dict(self) -> dict[str, Any]:
        return {"letter": self.letter, "x": self.x, "y": self.y}

    @classmethod
    def from_dict(cls, data: Any, where: str, field: str = "") -> Point:
        """Read one.

        Raises:
            SampleError: if it is not of this form.
        """
        return cls(
            **form.read_fields(cls, {"letter": form.text, "x": form.integer, "y": form.integer}, data, where, field)
        )


@dataclass(frozen=True)
class SampleTurn:
    """One question with its answer."""

    question: str
    answer: str  # referred phrases may be wrapped in <p>...</p>, in the order of the masks
    task: str = "other"  # any name; losses, weights and counts go by it
    masks: tuple[int, ...] = ()  # indices into the sample's masks or `ABSENT`, one for each [SEG], in order of mention
    depth: bool = False  # a depth span precedes the answer
    target: str = ""  # the telling word of the answer ("B", "3", "yes"), which weighs most
    supervise: tuple[Span, ...] = SPANS  # parts of the answer that are taught; the others are read only

    def to_dict(self) -> dict[str, Any]:
        return form.without_defaults(self, {"masks": list(self.masks), "supervise": list(self.supervise)})

    @classmethod
    def from_dict(cls, data: Any, where: str, field: str = "") -> SampleTurn:
        """Read one.

        Raises:
            SampleError: if it is not of this form.
        """
        readers: dict[str, form.Reader] = {
            "question": form.text,
            "answer": form.text,
            "task": form.text,
            "masks": partial(form.items, form.integer),
            "depth": form.truth,
            "target": form.text,
            "supervise": partial(form.items, partial(form.word, SPANS)),
        }
        return cls(**form.read_fields(cls, readers, data, where, field))


@dataclass(frozen=True)
class Sample:
    """One picture with what is asked about it, and its truth where there is one."""

    image: str  # path, relative to the file that holds the sample
    turns: tuple[SampleTurn, ...]
    key: str = ""  # names the sample in messages
    masks: tuple[MaskCode, ...] = ()
    depth: str | None = None  # path of a depth map: PNG of 16 bits or .npy
    depth_kind: DepthKind = "metric"  # metres, or inverse depth of any scale, larger is nearer
    depth_scale: float = 1000.0  # a PNG's values per metre
    codes: tuple[int, ...] | None = None  # the depth map as the model's tokenizer writes it (`perceptio label`)
    points: tuple[Point, ...] = ()  # marks drawn into the picture
    source: str = ""  # where the sample comes from
    licence: str = ""  # of the sample

    def to_dict(self) -> dict[str, Any]:
        changed: dict[str, Any] = {
            "turns": [turn.to_dict() for turn in self.turns],
            "masks": list(self.masks),
            "codes": None if self.codes is None else list(self.codes),
            "points": [point.to_dict() for point in self.points],
        }
        return form.without_defaults(self, changed)

    @classmethod
    def from_dict(cls, data: Any, where: str) -> Sample:
        """Read one.

        Args:
            data: what a line holds; fields that are absent or null have their default.
            where: file and line, for messages.

        Raises:
            SampleError: if it is not of this form, with the field.
        """
        readers: dict[str, form.Reader] = {
            "image": form.text,
            "turns": partial(form.items, SampleTurn.from_dict),
            "key": form.text,
            "masks": partial(form.items, _mask),
            "depth": form.text,
            "depth_kind": partial(form.word, DEPTH_KINDS),
            "depth_scale": form.positive,
            "codes": partial(form.items, form.integer),
            "points": partial(form.items, Point.from_dict),
            "source": form.text,
            "licence": form.text,
        }
        return cls(**form.read_fields(cls, readers, data, where, ""))


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


def read_samples(path: str | Path) -> SampleFile:
    """Open a file of samples.

    Raises:
        DataError: if there is none, or it cannot be used as a whole.
    """
    return SampleFile(path)


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
    schema = arrow.schema([(each.name, kinds.get(each.name, arrow.string())) for each in fields(Sample)])
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


def _mask(value: Any, where: str, field: str) -> MaskCode:
    if isinstance(value, dict):
        size, counts = value.get("size"), value.get("counts")
        if len(value) != 2 or not _are_integers(size) or not (isinstance(counts, str) or _are_integers(counts)):
            raise SampleError(where, field, 'must be {"size": [height, width], "counts": text or list of numbers}')
        return value
    numbers = isinstance(value, list) and all(
        isinstance(polygon, list) and all(isinstance(x, (int, float)) for x in polygon) for polygon in value
    )
    if not numbers:
        raise SampleError(where, field, "must be a run-length code or polygons, [[x, y, x, y, ...], ...]")
    return cast(Polygons, value)


def _are_integers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)

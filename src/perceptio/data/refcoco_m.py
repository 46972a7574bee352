"""Reading RefCOCO-M, RefCOCO's val split with finer masks, from its own parquet files.

FOLDER/data/validation-*.parquet   one row a picture: image {bytes, path}, file_name (of COCO's train2014), and samples,
                                   a list of {id, sentences, mask {size: [height, width], counts: compressed}, ...}

Source: the data set's card, huggingface.co/datasets/moondream/refcoco-m (MIT), which names all fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perceptio.data.entries import entry, given, listed, text
from perceptio.data.errors import DataError
from perceptio.data.fields import kind
from perceptio.data.parquet_rows import ParquetRows
from perceptio.data.rle import check_sides, segmentation_rles

NAME, FILES = "refcoco-m", "data/validation-*.parquet"


@dataclass(frozen=True, eq=False)
class ReferredObject:
    """One object, and what people said of it."""

    place: int  # in all files, counted from 0
    expressions: tuple[str, ...]
    rle: dict[str, Any]  # compressed


@dataclass(frozen=True, eq=False)
class ReferredPicture:
    """One picture with its objects."""

    file_name: str
    height: int
    width: int
    objects: tuple[ReferredObject, ...]
    content: bytes  # of the picture's file; empty where the row holds none


def refcoco_m_files(folder: Path) -> list[Path]:
    """The files, in their order.

    Raises:
        DataError: if there are none.
    """
    paths = sorted(folder.glob(FILES))
    if not paths:
        raise DataError(f"{folder / FILES} is missing: put the files of moondream/refcoco-m there")
    return paths


def file_hashes(folder: Path) -> dict[str, str]:
    """First 16 hex digits of the SHA-256 of each file, by its name."""
    hashes = {}
    for path in refcoco_m_files(folder):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return hashes


def read_refcoco_m(folder: Path, *, leave_out: Callable[[str, int], None] | None = None) -> Iterator[ReferredPicture]:
    """Every picture that has an object.

    Args:
        folder: of the data set.
        leave_out: is told why an object or a row cannot be used, and its number of expressions; by default that is an
            error.

    Raises:
        DataError: if there are no files, or one is damaged.
    """
    place = 0
    for path in refcoco_m_files(folder):
        rows = ParquetRows(path, ("file_name",))
        for index in range(len(rows)):
            where = f"row {index} of {path}"

            def refuse(reason: object, expressions: int, where: str = where) -> None:
                message = f"{where} cannot be used: {reason}"
                if leave_out is None:
                    raise DataError(f"{message}: fetch it again")
                leave_out(message, expressions)

            try:
                row = rows[index]
            except DataError as error:
                raise DataError(f"{where} cannot be read ({error}): fetch it again") from error
            try:
                samples = listed(row, "samples")
                picture = _picture(row, samples)
            except ValueError as error:
                refuse(error, 1)
                continue
            objects = []
            for sample in samples:
                try:
                    objects.append(_object(sample, place, picture))
                except ValueError as error:
                    sentences = sample.get("sentences") if isinstance(sample, dict) else None
                    refuse(f"its object {place}: {error}", len(sentences) if isinstance(sentences, list) else 1)
                place += 1
            if objects:
                yield ReferredPicture(*picture, tuple(objects), _content(row))


def _picture(row: dict[str, Any], samples: list[Any]) -> tuple[str, int, int]:
    """Name, height and width; the size is that of the masks, which is checked against the picture where it is read."""
    name = Path(text(row, "file_name")).name
    if name in ("", ".."):
        raise ValueError("its file_name is no name of a file")
    size = entry(given(entry(samples[0]), "mask")).get("size") if samples else None
    if not isinstance(size, list) or len(size) != 2:
        raise ValueError(f"the size of its first mask is {kind(size)}")
    check_sides(*size)
    return name, size[0], size[1]


def _object(sample: Any, place: int, picture: tuple[str, int, int]) -> ReferredObject:
    sentences = listed(entry(sample), "sentences")
    wrong = next((each for each in sentences if not isinstance(each, str)), None)
    if wrong is not None:
        raise ValueError(f"a sentence is no text but {kind(wrong)}")
    (rle,) = segmentation_rles(entry(given(sample, "mask")), *picture[1:])
    return ReferredObject(place, tuple(sentences), rle)


def _content(row: dict[str, Any]) -> bytes:
    image = row.get("image")
    content = image.get("bytes") if isinstance(image, dict) else None
    return content if isinstance(content, bytes) else b""

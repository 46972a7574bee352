"""A user's copy of a public data set: what is there, what is missing, and what was left out of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from perceptio.data.errors import DataError
from perceptio.files import parse_json, read_text
from perceptio.images import ImageError, open_image, upright_size


@dataclass
class Source:
    """One conversion: where it reads, what may be missing, and a count of all that it leaves out."""

    folder: Path  # of the data set
    split: str
    home: Path  # the folder that paths in the samples are relative to: that of the file to be written
    made: Path  # folder to write files into that the data set does not have ...
    kept: Path  # ... and where they will be in the end
    allow_missing: bool = False
    scale: float = 1000.0  # values of 16-bit metric depth per metre
    left_out: Counter[str] = field(default_factory=Counter)  # what, and how many
    first: dict[str, str] = field(default_factory=dict)  # of what was left out, where it stands

    def relative(self, path: Path) -> str:
        """How a sample names a file; links of folders are followed, as opening the name will do."""
        if path.is_relative_to(self.made):
            path = self.kept / path.relative_to(self.made)
        place = Path(os.path.realpath(path.parent), path.name)
        return Path(os.path.relpath(place, os.path.realpath(self.home))).as_posix()

    def place(self, name: str) -> Path:
        """Where a file that a sample names lies during the conversion."""
        path = Path(os.path.normpath(Path(os.path.realpath(self.home), name)))
        kept = Path(os.path.realpath(self.kept))
        return self.made / path.relative_to(kept) if path.is_relative_to(kept) else path

    def leave_out(self, what: str, count: int = 1, where: str = "") -> None:
        """Count something that no sample will hold, and keep where the first of its kind stands."""
        if count:
            self.left_out[what] += count
            if where:
                self.first.setdefault(what, where)

    def json(self, *names: str) -> Any:
        """The content of the first of several files that is there.

        Raises:
            DataError: if none is there, or it is damaged.
        """
        paths = [self.folder / name for name in names]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise DataError(f"{paths[0]} is missing: put the original annotation file there")
        try:
            return parse_json(read_text(path), str(path))
        except ValueError as error:
            raise DataError(f"{error}: fetch it again") from error

    def find(self, what: str, wanted: Mapping[str, Iterable[Path]]) -> dict[str, Path]:
        """The files that are there.

        Args:
            what: they are, in the plural: "pictures".
            wanted: for each name the places where it may lie, the best one first.

        Returns:
            The name and place of each that was found, in their order.

        Raises:
            DataError: if any is missing and `allow_missing` is not set, or all are.
        """
        there = {
            name: path
            for name, places in wanted.items()
            if (path := next((place for place in places if os.path.isfile(place)), None)) is not None
        }
        missing = [name for name in wanted if name not in there]
        if missing and not (self.allow_missing and there):
            hint = ", or give --allow-missing to convert the rest" if there else ""
            place = next(iter(wanted[missing[0]]))
            count = f"{len(missing)} of {len(wanted)} {what} are missing"
            raise DataError(f"{count}, the first is {missing[0]}: put it at {place}{hint}")
        self.leave_out(f"{what} that are missing", len(missing))
        return there

    def files(self, folder: str, suffixes: Sequence[str]) -> dict[str, Path]:
        """The files of a folder by their names without suffix, in the order of the alphabet.

        Raises:
            DataError: if there is no such folder, it holds none, or two of one name.
        """
        place = self.folder / folder
        if not place.is_dir():
            raise DataError(f"there is no folder {place}: see docs/datasets.md for the files that are expected")
        found: dict[str, Path] = {}
        for path in sorted(place.iterdir()):
            if path.suffix.lower() not in suffixes or path.name.startswith("."):
                continue
            if path.stem in found:
                raise DataError(f"{place} holds both {found[path.stem].name} and {path.name}: keep one of them")
            found[path.stem] = path
        if not found:
            raise DataError(f"{place} holds no files that end in {', '.join(suffixes)}")
        return found


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of an upright picture, from its header.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        width, height = upright_size(path)
    except ImageError as error:
        raise DataError(f"{error}: fetch it again") from error
    return height, width


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse a picture whose annotations are for another size.

    Raises:
        DataError: if it is of another size, or cannot be read.
    """
    actual = picture_size(path)
    if actual != (height, width):
        raise DataError(
            f"{path} is {actual[1]} x {actual[0]} pixels but its annotations are for {width} x {height}: "
            "use the original pictures"
        )


def read_labels(path: Path) -> np.ndarray:
    """(H, W) uint8 of a picture whose pixels are the numbers of classes.

    Raises:
        DataError: if it is not one channel of 8 bits, or cannot be read.
    """
    try:
        with open_image(path) as image:
            if image.mode not in ("L", "P"):
                raise DataError(f"{path} is no label map of one 8-bit channel but of mode {image.mode}")
            return np.array(image)
    except ImageError as error:
        raise DataError(f"{error}, so it cannot be read as a label map: fetch it again") from error

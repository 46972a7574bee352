"""A folder of depth maps: shards of one tensor each, read memory-mapped, and their reports (`reports.py`).

FOLDER/settings.json             what the maps are, and of which pictures
FOLDER/maps-000000.safetensors   "maps": (n, S, S) float16, inverse depth in [-1, 1]; the keys of the pictures beside it
FOLDER/maps-000000.json          the report
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from perceptio.data.errors import DataError
from perceptio.files import read_json, replacing
from perceptio.labeling.reports import BadPicture, ShardFiles, read_report, write_report
from perceptio.labeling.settings import SETTINGS_FILE

MAPS, MAPS_SUFFIX = "maps", ".safetensors"
STORED = np.float16  # to a thousandth of the range, a tenth of what 128 codes can tell apart
_TENSOR, _KEYS = "maps", "keys"


@dataclass(frozen=True, eq=False)
class TeacherMap:
    """The map of one picture."""

    key: str
    values: np.ndarray  # (S, S) float16 in [-1, 1], larger is nearer


@dataclass(frozen=True)
class MapSettings:
    """Equal settings give equal maps."""

    pictures: str  # how many, and a hash of their keys
    shard_size: int  # pictures in one shard; the last one may be shorter
    teacher: str  # identity of the depth network, or what the files of depth are
    size: int  # side of a map, px
    format: int = 1


def map_files(folder: Path, shard: int) -> ShardFiles:
    """Where a shard of maps lies."""
    return ShardFiles(folder, f"{MAPS}-{shard:06d}", MAPS_SUFFIX)


def write_maps(files: ShardFiles, size: int, maps: Sequence[TeacherMap], bad: Sequence[BadPicture]) -> None:
    """Write one shard, its maps last.

    Args:
        files: where.
        size: side of the maps, px.
        maps: of the pictures that have one.
        bad: the others.

    Raises:
        OutputError: if the folder cannot be written.
    """
    values = np.stack([each.values for each in maps]) if maps else np.zeros((0, size, size), STORED)
    write_report(files, len(maps), bad)
    with replacing(files.results) as beside:
        save_file({_TENSOR: values}, beside, {_KEYS: json.dumps([each.key for each in maps])})


def is_whole(files: ShardFiles) -> bool:
    """Whether the maps of a finished shard can be opened, and are as many as its report says."""
    try:
        return len(_read_keys(files.results)) == read_report(files).labelled
    except DataError:
        return False


class MapStore(Sequence[np.ndarray]):
    """All maps of a folder, each read when it is asked for; safe to share between processes.

    Args:
        folder: written by `perceptio tokenizer maps`, or beside a run of `perceptio tokenizer train`.

    Raises:
        DataError: if the folder holds no maps, not all of them yet, or damaged ones.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / SETTINGS_FILE
        try:
            self.settings = MapSettings(**read_json(path))
            count, shard_size = int(self.settings.pictures.partition(" ")[0]), int(self.settings.shard_size)
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self.folder} holds no depth maps ({error}): make them with `perceptio tokenizer maps`"
            ) from error
        files = [map_files(self.folder, shard) for shard in range(-(-count // max(shard_size, 1)))]
        missing = [each for each in files if not each.results.is_file()]
        if missing:
            raise DataError(f"{self.folder} lacks {len(missing)} of {len(files)} files of maps: finish making them")
        self._paths = [each.results for each in files]
        self._places: list[tuple[int, int]] = []  # shard and row of each map
        self.keys: list[str] = []  # of the pictures
        for shard, path in enumerate(self._paths):
            keys = _read_keys(path)
            self.keys += keys
            self._places += [(shard, row) for row in range(len(keys))]
        self._open: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        """(S, S) float32 in [-1, 1], larger is nearer."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        shard, row = self._places[index]
        try:
            if shard not in self._open:
                self._open[shard] = safe_open(self._paths[shard], "np").get_slice(_TENSOR)
            values: np.ndarray = self._open[shard][row]
        except (SafetensorError, OSError) as error:
            raise DataError(f"{self._paths[shard]} is damaged: {error}") from error
        return values.astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}  # what is open cannot be sent to another process


def _read_keys(path: Path) -> list[str]:
    try:
        with safe_open(path, "np") as file:
            keys: list[str] = json.loads((file.metadata() or {})[_KEYS])
            if file.get_slice(_TENSOR).get_shape()[0] != len(keys):
                raise ValueError("it holds another number of maps than of keys")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of depth maps ({error}): remove it, and make it again") from error
    return keys

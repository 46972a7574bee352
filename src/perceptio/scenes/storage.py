"""A folder of rendered scenes, read memory-mapped: some shards (`shards.py`), and beside them

folder/split.json                  what was rendered, by which generator, and a hash of all of it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from perceptio.files import read_json, read_lines
from perceptio.scenes.language.entities import Entity
from perceptio.scenes.language.lexicon import Lexicon
from perceptio.scenes.rendering.context import SIZES
from perceptio.scenes.shards import (
    ARRAYS,
    MOST_SHARDS,
    SCENES,
    SHARD_SIZE,
    SceneStoreError,
    check_shard,
    finished_shards,
    hash_shard,
    shard_folder,
    shard_length,
)
from perceptio.scenes.views import ObjectView
from perceptio.scenes.worlds import TABLETOP, World, world_named

META_FILE = "split.json"


@dataclass(frozen=True)
class StoredScene:
    """One rendered scene with its labels."""

    scene: Any  # of the world's kind
    rgb: np.ndarray  # (S, S, 3) uint8
    depth: np.ndarray  # (S, S) float32, view-space z in metres
    ids: np.ndarray  # (S, S) uint8; 0 no entity; `NEVER_MARKED` neither, nor may a point be marked there
    views: tuple[ObjectView, ...]  # in order of the scene's entities
    world: World = TABLETOP

    @property
    def seed(self) -> int:
        """The scene's number within its split."""
        return self.scene.seed

    @property
    def split(self) -> str:
        """One of the world's splits."""
        return self.scene.split

    @property
    def lexicon(self) -> Lexicon:
        """The words of its world."""
        return self.world.lexicon

    @cached_property
    def entities(self) -> tuple[Entity, ...]:
        """The things that words may speak of."""
        return self.world.entities_of(self.scene)

    @property
    def place(self) -> str | None:
        """A key of the lexicon's places, or None where the scene has none."""
        return self.world.place_of(self.scene)


@dataclass(frozen=True)
class SplitMeta:
    """What a folder holds."""

    split: str
    count: int  # scenes
    size: int  # side of the pictures, px
    generator_version: str  # of the world
    driver: str  # OpenGL driver; pictures are repeatable on the same one only
    content_hash: str  # SHA-256 over the hashes of the shards in order
    world: str = TABLETOP.name
    pack: str | None = None  # content hash of the models and surfaces that it was drawn with

    def __post_init__(self) -> None:
        for name, kind in (("count", int), ("size", int), ("driver", str), ("content_hash", str), ("world", str)):
            if type(getattr(self, name)) is not kind:
                raise TypeError(f"{name} is {getattr(self, name)!r}")
        if self.split not in world_named(self.world).splits:
            raise ValueError(f"the split is {self.split!r}")
        if self.size not in SIZES or not 1 <= self.count <= MOST_SHARDS * SHARD_SIZE:
            raise ValueError(f"it speaks of {self.count} scenes of {self.size} pixels")


class SceneStore(Sequence[StoredScene]):
    """A folder of rendered scenes, read lazily; safe to share between processes.

    Args:
        folder: written by `perceptio scenes render`.

    Raises:
        SceneStoreError: if the folder holds no complete split, or one of another generator version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / META_FILE
        if not path.is_file():
            raise SceneStoreError(f"{self.folder} holds no finished scenes ({META_FILE} is missing): render them first")
        try:
            self.meta = SplitMeta(**read_json(path))
        except (ValueError, TypeError) as error:
            raise SceneStoreError(f"{path} is damaged ({error}): render the split again") from error
        self.world = world_named(self.meta.world)
        if self.meta.generator_version != self.world.version:
            raise SceneStoreError(
                f"{self.folder} was made by scene generator {self.meta.generator_version}, this is "
                f"{self.world.version}: render it again"
            )
        shards = range(-(-self.meta.count // SHARD_SIZE))
        missing = sorted(set(shards) - set(finished_shards(self.folder)))
        if missing:
            raise SceneStoreError(f"{self.folder} lacks {len(missing)} shards (first: {missing[0]}): render it again")
        for shard in shards:
            check_shard(self.folder, shard, shard_length(shard, self.meta.count), self.meta.size)
        self._arrays: dict[int, tuple[np.ndarray, ...]] = {}
        self._lines: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return self.meta.count

    @overload
    def __getitem__(self, index: int) -> StoredScene: ...
    @overload
    def __getitem__(self, index: slice) -> list[StoredScene]: ...
    def __getitem__(self, index: int | slice) -> StoredScene | list[StoredScene]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        shard, row = divmod(index % len(self), SHARD_SIZE)
        rgb, depth, ids = self._open(shard)
        try:
            data: dict[str, Any] = json.loads(self._lines[shard][row])
            views = tuple(
                ObjectView(**{**view, "box": tuple(view["box"]), "center": tuple(view["center"])})
                for view in data["views"]
            )
            scene = self.world.scene_from(data["scene"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            path = shard_folder(self.folder, shard) / SCENES
            raise SceneStoreError(f"{path}:{row + 1} is damaged: it describes no scene ({error})") from error
        return StoredScene(scene, np.array(rgb[row]), np.array(depth[row]), np.array(ids[row]), views, self.world)

    def __iter__(self) -> Iterator[StoredScene]:
        return (self[index] for index in range(len(self)))

    def first(self, count: int) -> SceneStore:
        """The first scenes alone, as if no more had been rendered; the content hash stays that of all files."""
        part = copy(self)
        part.meta = replace(self.meta, count=min(count, len(self)))
        return part

    def pictures(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """RGB, metric depth and ids of one scene without its description, which takes longer to read."""
        shard, row = divmod(index, SHARD_SIZE)
        rgb, depth, ids = self._open(shard)
        return np.array(rgb[row]), np.array(depth[row]), np.array(ids[row])

    @cached_property
    def actual_hash(self) -> str:
        """The content hash recomputed from the files."""
        digest = hashlib.sha256()
        for shard in finished_shards(self.folder):
            digest.update(f"{hash_shard(shard_folder(self.folder, shard))}\n".encode())
        return digest.hexdigest()

    def _open(self, shard: int) -> tuple[np.ndarray, ...]:
        if shard not in self._arrays:
            place = shard_folder(self.folder, shard)
            try:
                lines = [line for _, line in read_lines(place / SCENES)]
            except ValueError as error:
                raise SceneStoreError(str(error)) from error
            self._arrays[shard] = tuple(self._open_array(place / f"{name}.npy", name, len(lines)) for name in ARRAYS)
            self._lines[shard] = lines
        return self._arrays[shard]

    def _open_array(self, path: Path, name: str, length: int) -> np.ndarray:
        kind, rest = ARRAYS[name]
        shape = (length, self.meta.size, self.meta.size, *rest)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SceneStoreError(f"{path} is damaged: {error}") from error
        if (array.shape, array.dtype) != (shape, kind):
            raise SceneStoreError(f"{path} is damaged: it is {array.dtype} {array.shape}, not {kind.__name__} {shape}")
        return array

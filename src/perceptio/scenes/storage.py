"""Rendered scenes on disk: folders of a few dozen scenes each, complete or not there at all, read memory-mapped.

folder/split.json                  what was rendered, by which generator, and a hash of all of it
folder/shard-00000/rgb.npy         (n, S, S, 3) uint8
folder/shard-00000/depth.npy       (n, S, S) float32, metres
folder/shard-00000/ids.npy         (n, S, S) uint8, 0 is background
folder/shard-00000/scenes.jsonl    n lines: the scene and what each object looks like in the picture
folder/shard-00000/hash.txt        SHA-256 of the four files above
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from perceptio.scenes.renderer import RenderedScene
from perceptio.scenes.world import Scene

GENERATOR_VERSION = "1"  # raise it whenever the same seed would give another picture, label or scene
SHARD_SIZE = 64
META_FILE = "split.json"
_ARRAYS = ("rgb", "depth", "ids")


class SceneStoreError(ValueError):
    """A folder of scenes cannot be used; the message is one sentence for people."""


@dataclass(frozen=True)
class ObjectView:
    """What one object looks like in the picture."""

    index: int  # its value in the id map
    pixels: int  # visible pixels
    visible: float  # visible pixels / pixels it would have alone, its part outside the frame included
    box: tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels, the ends excluded; zeros if hidden
    center: tuple[float, float]  # centroid x, y of the visible pixels
    depth: float  # median view-space z of the visible pixels, metres
    nearest: float  # least view-space z of the visible pixels, metres


@dataclass(frozen=True)
class StoredScene:
    """One rendered scene with its labels."""

    scene: Scene
    rgb: np.ndarray  # (S, S, 3) uint8
    depth: np.ndarray  # (S, S) float32, view-space z in metres
    ids: np.ndarray  # (S, S) uint8
    views: tuple[ObjectView, ...]  # in order of the scene's objects


@dataclass(frozen=True)
class SplitMeta:
    """What a folder holds."""

    split: str
    count: int  # scenes
    size: int  # side of the pictures, px
    generator_version: str
    driver: str  # OpenGL driver; pictures are repeatable on the same one only
    content_hash: str  # SHA-256 over the hashes of the shards in order


def describe_view(rendered: RenderedScene, scene: Scene) -> tuple[ObjectView, ...]:
    """Measure every object's visible pixels."""
    ids, depth = rendered.ids, rendered.depth
    views = []
    for thing, visible in zip(scene.objects, rendered.visible, strict=True):
        rows, columns = np.nonzero(ids == thing.index)
        if not len(rows):
            views.append(ObjectView(thing.index, 0, 0.0, (0, 0, 0, 0), (0.0, 0.0), 0.0, 0.0))
            continue
        z = depth[rows, columns]
        views.append(
            ObjectView(
                index=thing.index,
                pixels=len(rows),
                visible=round(visible, 4),
                box=(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1),
                center=(round(float(columns.mean()), 2), round(float(rows.mean()), 2)),
                depth=float(np.median(z)),
                nearest=float(z.min()),
            )
        )
    return tuple(views)


def shard_folder(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{shard:05d}"


def write_shard(folder: Path, shard: int, scenes: Sequence[tuple[Scene, RenderedScene]]) -> None:
    """Write one shard beside its place and rename it when it is complete."""
    target = shard_folder(folder, shard)
    beside = target.with_name(f".{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        for name in _ARRAYS:
            np.save(beside / f"{name}.npy", np.stack([getattr(rendered, name) for _, rendered in scenes]))
        lines = [
            json.dumps({"scene": scene.to_dict(), "views": [asdict(view) for view in describe_view(rendered, scene)]})
            for scene, rendered in scenes
        ]
        (beside / "scenes.jsonl").write_text("\n".join(lines) + "\n")
        (beside / "hash.txt").write_text(_hash_files(beside) + "\n")
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def finished_shards(folder: Path) -> list[int]:
    """Numbers of the shards that are complete."""
    return sorted(int(path.name.removeprefix("shard-")) for path in folder.glob("shard-*") if path.is_dir())


def content_hash(folder: Path) -> str:
    """SHA-256 over the hashes of all shards in order."""
    digest = hashlib.sha256()
    for shard in finished_shards(folder):
        digest.update((shard_folder(folder, shard) / "hash.txt").read_bytes())
    return digest.hexdigest()


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
            self.meta = SplitMeta(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise SceneStoreError(f"{path} is damaged ({error}): render the split again") from error
        if self.meta.generator_version != GENERATOR_VERSION:
            raise SceneStoreError(
                f"{self.folder} was made by scene generator {self.meta.generator_version}, this is "
                f"{GENERATOR_VERSION}: render it again"
            )
        missing = sorted(set(range(-(-self.meta.count // SHARD_SIZE))) - set(finished_shards(self.folder)))
        if missing:
            raise SceneStoreError(f"{self.folder} lacks {len(missing)} shards (first: {missing[0]}): render it again")
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
        data: dict[str, Any] = json.loads(self._lines[shard][row])
        views = tuple(
            ObjectView(**{**view, "box": tuple(view["box"]), "center": tuple(view["center"])}) for view in data["views"]
        )
        return StoredScene(
            Scene.from_dict(data["scene"]), np.array(rgb[row]), np.array(depth[row]), np.array(ids[row]), views
        )

    def __iter__(self) -> Iterator[StoredScene]:
        return (self[index] for index in range(len(self)))

    def first(self, count: int) -> SceneStore:
        """The first scenes alone, as if no more had been rendered; the content hash stays that of all files."""
        part = SceneStore(self.folder)
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
            digest.update(f"{_hash_files(shard_folder(self.folder, shard))}\n".encode())
        return digest.hexdigest()

    def _open(self, shard: int) -> tuple[np.ndarray, ...]:
        if shard not in self._arrays:
            folder = shard_folder(self.folder, shard)
            self._arrays[shard] = tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
            self._lines[shard] = (folder / "scenes.jsonl").read_text().splitlines()
        return self._arrays[shard]


def _hash_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (*(f"{array}.npy" for array in _ARRAYS), "scenes.jsonl"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()

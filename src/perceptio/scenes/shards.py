"""Shards: folders of a few dozen rendered scenes, complete or not there at all, and checked before they are trusted.

folder/shard-00000/rgb.npy         (n, S, S, 3) uint8
folder/shard-00000/depth.npy       (n, S, S) float32, metres
folder/shard-00000/ids.npy         (n, S, S) uint8, 0 is background
folder/shard-00000/scenes.jsonl    n lines: the scene and what each object looks like in the picture
folder/shard-00000/hash.txt        SHA-256 of the four files above
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from perceptio.files import replacing_folder
from perceptio.scenes.rendering.rendered import RenderedScene
from perceptio.scenes.views import describe_view

SHARD_SIZE = 64  # scenes
MOST_SHARDS = 100_000  # five digits
PIXEL_BYTES = 8  # of all three arrays
SCENES, HASH = "scenes.jsonl", "hash.txt"
ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {  # type, and what follows (n, S, S) of the shape
    "rgb": (np.uint8, (3,)),
    "depth": (np.float32, ()),
    "ids": (np.uint8, ()),
}


class SceneStoreError(ValueError):
    """A folder of scenes cannot be used; the message is one sentence for people."""


def shard_folder(folder: Path, shard: int) -> Path:
    """Where a shard lies."""
    return folder / f"shard-{shard:05d}"


def shard_length(shard: int, count: int) -> int:
    """How many of `count` scenes a shard holds."""
    return min(SHARD_SIZE, count - shard * SHARD_SIZE)


def finished_shards(folder: Path) -> list[int]:
    """Numbers of the shards that are there."""
    names = (path.name for path in folder.glob("shard-*") if path.is_dir())
    return sorted(int(name[-5:]) for name in names if re.fullmatch(r"shard-[0-9]{5}", name))


def scenes_in(folder: Path, shard: int) -> int:
    """How many scenes a shard describes, damaged ones included."""
    try:
        return (shard_folder(folder, shard) / SCENES).read_bytes().count(b"\n")
    except OSError:
        return 0


def write_shard(folder: Path, shard: int, length: int, size: int, scenes: Iterable[tuple[Any, RenderedScene]]) -> None:
    """Write one shard beside its place, scene by scene as they come, and rename it when it is complete.

    Args:
        folder: of the split.
        shard: its number.
        length: scenes.
        size: side of the pictures, px.
        scenes: as many, of one world, with their pictures.

    Raises:
        OutputError: if the system refuses to write.
    """
    with replacing_folder(shard_folder(folder, shard)) as beside:
        with ExitStack() as stack:
            arrays = {name: stack.enter_context((beside / f"{name}.npy").open("wb")) for name in ARRAYS}
            lines = stack.enter_context((beside / SCENES).open("w", encoding="utf-8", newline="\n"))
            for name, file in arrays.items():
                file.write(_header(name, length, size))
            count = 0
            for count, (scene, rendered) in enumerate(scenes, 1):  # noqa: B007
                for name, file in arrays.items():
                    _write_array(file, name, getattr(rendered, name), size)
                views = [asdict(view) for view in describe_view(rendered, scene)]
                lines.write(json.dumps({"scene": scene.to_dict(), "views": views}) + "\n")
        assert count == length, "there are other scenes than were to be written"
        (beside / HASH).write_text(hash_shard(beside) + "\n", encoding="utf-8")


def check_shard(folder: Path, shard: int, length: int, size: int) -> None:
    """Look at the sizes of a shard's files.

    Raises:
        SceneStoreError: if one is missing, or is of another size than its scenes have.
    """
    place = shard_folder(folder, shard)
    try:
        for name, (kind, rest) in ARRAYS.items():
            path = place / f"{name}.npy"
            values = int(np.prod((length, size, size, *rest), dtype=np.int64))
            wanted, there = len(_header(name, length, size)) + values * np.dtype(kind).itemsize, path.stat().st_size
            if there != wanted:
                raise SceneStoreError(
                    f"{path} is damaged: it has {there:,} bytes, but {length} pictures of {size} pixels have {wanted:,}"
                )
    except OSError as error:
        raise SceneStoreError(f"{path} cannot be read: {error.strerror}") from error
    lines = scenes_in(folder, shard)
    if lines != length:
        raise SceneStoreError(f"{place / SCENES} is damaged or missing: it has {lines} whole lines for {length} scenes")


def verify_shard(folder: Path, shard: int) -> None:
    """Compare every byte of a shard with the hash that was noted when it was written.

    Raises:
        SceneStoreError: if it is another.
    """
    place = shard_folder(folder, shard)
    try:
        noted, actual = (place / HASH).read_bytes(), hash_shard(place)
    except OSError as error:
        raise SceneStoreError(f"{error.filename} cannot be read: {error.strerror}") from error
    if noted != f"{actual}\n".encode():
        raise SceneStoreError(f"{place} is damaged: its files are not those that {HASH} was written for")


def content_hash(folder: Path) -> str:
    """SHA-256 over the noted hashes of all shards in order.

    Raises:
        SceneStoreError: if one is missing.
    """
    digest = hashlib.sha256()
    for shard in finished_shards(folder):
        path = shard_folder(folder, shard) / HASH
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise SceneStoreError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def hash_shard(place: Path) -> str:
    """SHA-256 of the files in a shard's folder."""
    digest = hashlib.sha256()
    for name in (*(f"{array}.npy" for array in ARRAYS), SCENES):
        with (place / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _header(name: str, length: int, size: int) -> bytes:
    """How an array's file begins, as `numpy.save` writes it."""
    kind, rest = ARRAYS[name]
    described = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(kind)),
        "fortran_order": False,
        "shape": (length, size, size, *rest),
    }
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def _write_array(file: IO[bytes], name: str, array: np.ndarray, size: int) -> None:
    kind, rest = ARRAYS[name]
    assert array.shape == (size, size, *rest), f"{name} is of shape {array.shape}"
    file.write(np.ascontiguousarray(array, kind).tobytes())

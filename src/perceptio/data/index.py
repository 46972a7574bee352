"""What a mixture has to know of each sample before the first is drawn: read once, in parallel, and kept in a file.

A run's other processes, and its later starts, read that file: an index is a few arrays, where reading a million samples
and their pictures' headers takes minutes.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from perceptio.data.fields import SampleError
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample
from perceptio.files import replacing
from perceptio.images import ImageError, upright_size
from perceptio.processes import check_workers, end_with_parent

DEPTH_TASK = "depth"  # a sample whose turns all have this task is one of depth generation
_BLOCK = 256  # samples that a process reads at a time

# The length of a sample, roughly: it is for sorting alone.
_LETTERS = 4  # of a token
_TURN, _SPAN = 12, 100  # tokens of a turn beside its words, and of a depth span


@dataclass(frozen=True, eq=False)
class SampleIndex:
    """Of the n samples of one file that are not left out."""

    places: np.ndarray  # (n,) int64, in the file
    lengths: np.ndarray  # (n,) int64, tokens without the picture's, roughly
    generation: np.ndarray  # (n,) bool, of depth: all turns ask for the depth map
    sizes: np.ndarray  # (n, 2) int32, width and height of the upright picture; (0, 2) where they were not wanted


def index_samples(
    file: SampleFile, kept: Sequence[int], *, sizes: bool = False, workers: int = 0, folder: Path | None = None
) -> SampleIndex:
    """Read samples, or what an earlier start has noted of them.

    Args:
        file: of the samples.
        kept: those that are not left out.
        sizes: read the headers of their pictures too, which are taken to stay as they are.
        workers: processes that read; 0: this one.
        folder: that keeps the index; without one it is made anew each time.

    Raises:
        SampleError: if a sample is not of the form, or its picture cannot be used.
        OutputError: if the index cannot be written.
    """
    path = folder / f"{hashlib.sha256(str(file.path).encode()).hexdigest()[:16]}.npz" if folder else None
    state = _state(file, kept, sizes)
    found = _earlier(path, state) if path else None
    if found is None:
        found = _read(file, kept, sizes, workers)
        if path:
            with replacing(path) as beside, beside.open("wb") as opened:
                np.savez(opened, state=np.array(state), **vars(found))
    return found


def _state(file: SampleFile, kept: Sequence[int], sizes: bool) -> str:
    """Changes when the file does, or what is wanted of it."""
    status = file.path.stat()
    parts = (status.st_size, status.st_mtime_ns, sizes, hashlib.sha256(np.array(kept, np.int64).tobytes()).hexdigest())
    return repr(parts)


def _earlier(path: Path, state: str) -> SampleIndex | None:
    """An earlier index; None where there is none of this state, or a damaged one: it is made anew."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["state"]) == state:
                return SampleIndex(**{each.name: arrays[each.name] for each in fields(SampleIndex)})
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None
    return None


def _read(file: SampleFile, kept: Sequence[int], sizes: bool, workers: int) -> SampleIndex:
    check_workers(workers)
    blocks = _Blocks(file, np.array(kept, np.int64), sizes)
    workers = min(workers, len(blocks))  # a small file is not worth a process
    loader = DataLoader(
        blocks,
        batch_size=None,
        num_workers=workers if len(blocks) > 1 else 0,
        collate_fn=_alone,
        worker_init_fn=end_with_parent,
    )
    rows = []
    with tqdm(total=len(kept), desc="indexing", unit="sample", leave=False, disable=None) as bar:
        for block in loader:
            if isinstance(block, SampleError):
                raise block
            rows.append(block)
            bar.update(len(block))
    table = np.concatenate(rows)
    return SampleIndex(
        places=blocks.kept,
        lengths=table[:, 0],
        generation=table[:, 1].astype(bool),
        sizes=table[:, 2:].astype(np.int32) if sizes else np.zeros((0, 2), np.int32),
    )


class _Blocks(Dataset["np.ndarray | SampleError"]):
    """Length, whether it is of depth generation, width and height of some samples in a row; or what is wrong."""

    def __init__(self, file: SampleFile, kept: np.ndarray, sizes: bool) -> None:
        self.file, self.kept, self.sizes = file, kept, sizes

    def __len__(self) -> int:
        return -(-len(self.kept) // _BLOCK)

    def __getitem__(self, block: int) -> np.ndarray | SampleError:
        try:
            return np.array(list(self._rows(self.kept[block * _BLOCK : (block + 1) * _BLOCK])), np.int64)
        except SampleError as error:
            return error

    def _rows(self, places: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
        for place in places.tolist():
            sample = self.file[place]
            width, height = _size(self.file, sample, place) if self.sizes else (0, 0)
            yield _length(sample), all(turn.task == DEPTH_TASK for turn in sample.turns), width, height


def _alone(block: Any) -> Any:
    """Without batches there is nothing to collate."""
    return block


def _length(sample: Sample) -> int:
    """Tokens of a sample, roughly."""
    letters = sum(len(turn.question) + len(turn.answer) for turn in sample.turns)
    spans = sum(turn.depth for turn in sample.turns)
    return letters // _LETTERS + len(sample.turns) * _TURN + spans * _SPAN


def _size(file: SampleFile, sample: Sample, index: int) -> tuple[int, int]:
    try:
        return upright_size(file.path.parent / sample.image)
    except ImageError as error:
        raise SampleError(file.where(index), "image", str(error)) from error

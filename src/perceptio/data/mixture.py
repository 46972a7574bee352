"""Files of samples mixed to one stream of samples, a pure function of the seed and the number of the visit.

So a run that goes on after a kill sees exactly what it would have seen, and its position is the number of visits that
it has made. A pass goes through every file as often as it is repeated, in a fresh order each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from perceptio.data.errors import DataError
from perceptio.data.index import DEPTH_TASK, SampleIndex, index_samples
from perceptio.data.reading import read_sample
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample

LONGEST_PASS = 50_000_000  # samples
WINDOW = 64  # batches that are put together from samples of similar length at a time


@dataclass(frozen=True)
class Annealing:
    """How the share of depth generation falls through a run, linearly, as AURORA's curriculum (2412.03548) does."""

    first: float = 1.0  # share at the start
    last: float = 0.1  # share at the end
    over: float = 1.0  # share of the run that the fall takes; then the share stays

    def __post_init__(self) -> None:
        if not (0 <= self.first <= 1 and 0 <= self.last <= 1 and 0 < self.over <= 1):
            raise ValueError("the shares of depth generation lie between 0 and 1, and its fall takes some of the run")

    def share(self, progress: np.ndarray) -> np.ndarray:
        """Shares at (V,) points of a run, from 0 to 1."""
        return self.first + (self.last - self.first) * np.minimum(progress / self.over, 1.0)


class _Pool:
    """Samples that are passed through together.

    Args:
        places: (n, 2) int64, file and index of each sample.
        repeats: by file.
        seed: of the order; no two pools share one.
    """

    def __init__(self, places: np.ndarray, repeats: Sequence[float], seed: tuple[int, ...]) -> None:
        self.places, self.seed = places, seed
        self.rows = [np.flatnonzero(places[:, 0] == number) for number in range(len(repeats))]
        self.wanted = [round(len(rows) * repeat) for rows, repeat in zip(self.rows, repeats, strict=True)]
        self.size = sum(self.wanted)  # samples in a pass
        self._order: tuple[int, np.ndarray] | None = None

    def place(self, visit: int) -> np.ndarray:
        """(2,) file and index of the sample of one visit to this pool."""
        number, step = divmod(visit, self.size)
        if self._order is None or self._order[0] != number:
            rng = np.random.default_rng((*self.seed, number))
            drawn = [self._repeated(rows, wanted, rng) for rows, wanted in zip(self.rows, self.wanted, strict=True)]
            self._order = number, rng.permutation(np.concatenate(drawn))
        return np.asarray(self.places[self._order[1][step]])

    @staticmethod
    def _repeated(rows: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
        """Each row equally often, and a fresh choice of rows for what is left over."""
        if not wanted:
            return rows[:0]
        whole, rest = divmod(wanted, len(rows))
        return np.concatenate([np.tile(rows, whole), rng.choice(rows, rest, replace=False)])


class DataMixture:
    """Files of samples, each repeated, read in training order.

    Args:
        files: path -> how often a pass goes through it; fractions are drawn afresh each time.
        seed: of every order.
        batch: visits that make one batch; its samples are of similar length, so that little is padded.
        annealing: of depth generation; by default it has the share that the files give it.
        visual: width and height of a picture -> the number of its visual tokens, where that is not the same for all.
        bad: indices of samples to leave out, by path (`check.Report.bad`).
        workers: processes that read all samples.
        folder: that keeps what they have read (`index.py`); without one they are read again each time.

    Raises:
        DataError: if a file or a sample cannot be used, a repeat is not positive, or nothing is left of one.
    """

    def __init__(
        self,
        files: Mapping[str, float],
        seed: int,
        *,
        batch: int = 1,
        annealing: Annealing | None = None,
        visual: Callable[[int, int], int] | None = None,
        bad: Mapping[str, Sequence[int]] | None = None,
        workers: int = 0,
        folder: Path | None = None,
    ) -> None:
        for path, repeat in files.items():
            if not 0 < repeat < float("inf"):
                raise DataError(f"{path} is to be repeated {repeat} times: give a number above 0, or leave it out")
        if not files:
            raise DataError("the mixture names no file: give at least one to train on")
        if batch < 1:
            raise DataError(f"a batch holds at least 1 sample, not {batch}")
        self.files = [SampleFile(path) for path in files]
        self.seed, self.batch, self.annealing = seed, batch, annealing
        indices: list[SampleIndex] = []
        for path, file in zip(files, self.files, strict=True):
            left_out = set((bad or {}).get(str(file.path), ()))
            kept = [index for index in range(len(file)) if index not in left_out]
            if not kept:
                raise DataError(f"all {len(file)} samples of {path} are bad: run `perceptio data check {path}`")
            if len(kept) * files[path] > LONGEST_PASS:
                count = f"{len(kept)} samples {files[path]:g} times"
                raise DataError(f"{path} is to be repeated, {count}, but a pass has at most {LONGEST_PASS} samples")
            indices.append(index_samples(file, kept, sizes=visual is not None, workers=workers, folder=folder))
        self._lengths = [_by_place(index, len(file), visual) for index, file in zip(indices, self.files, strict=True)]
        numbers = [np.full(len(index.places), number) for number, index in enumerate(indices)]
        rows = np.stack([np.concatenate(numbers), np.concatenate([index.places for index in indices])], axis=1)
        self._rows, depth = rows, np.concatenate([index.generation for index in indices])
        pools = [~depth, depth] if annealing else [np.ones(len(rows), bool)]
        self._pools = [_Pool(rows[pool], list(files.values()), (seed, n)) for n, pool in enumerate(pools)]
        if not self.samples:
            raise DataError(
                f"a pass through {', '.join(files)} draws none of their {len(rows)} samples: repeat them more"
            )
        if annealing and not all(pool.size for pool in self._pools):
            raise DataError(
                f"annealing needs samples of depth generation (all turns of task {DEPTH_TASK!r}) and others, but there "
                f"are {self._pools[1].size} and {self._pools[0].size} a pass"
            )

    @property
    def samples(self) -> int:
        """In one pass."""
        return sum(pool.size for pool in self._pools)

    def training(self, visits: int) -> Dataset[Sample]:
        """The samples of a run of so many visits, in order."""
        return _Samples(self, self.order(visits))

    def once(self) -> Dataset[Sample]:
        """Each sample of each file that is not left out, once, in the order of the files: for validation."""
        return _Samples(self, [(number, index) for number, index in self._rows.tolist()])

    def open(self, number: int, index: int) -> Sample:
        """One sample, read.

        Raises:
            SampleError: if the sample is bad.
        """
        file = self.files[number]
        return read_sample(file[index], file.path.parent, file.where(index))

    def order(self, visits: int) -> Order:
        """Which sample, as file and index, each visit of a run is."""
        return Order(self._pools, self._lengths, self.seed, self.batch, self.annealing, visits)


class Order:
    """Which sample each visit is: the mixture's order, then batches of similar length, window by window."""

    def __init__(
        self,
        pools: Sequence[_Pool],
        lengths: Sequence[np.ndarray],
        seed: int,
        batch: int,
        annealing: Annealing | None,
        visits: int,
    ) -> None:
        self.pools, self.lengths, self.seed, self.batch, self.visits = pools, lengths, seed, batch, visits
        self.window: tuple[int, list[tuple[int, int]]] | None = None
        chosen = np.zeros(visits, np.int64)
        if annealing:
            drawn = np.random.default_rng((seed, len(pools) + 1)).random(visits)  # no other generator's seed
            chosen = (drawn < annealing.share(np.arange(visits) / max(visits, 1))).astype(np.int64)
        self.chosen = chosen  # pool of each visit
        self.steps = np.zeros(visits, np.int64)  # and how often that pool was visited before
        for number in range(len(pools)):
            self.steps[chosen == number] = np.arange((chosen == number).sum())

    def __len__(self) -> int:
        return self.visits

    def __getitem__(self, visit: int) -> tuple[int, int]:
        if not 0 <= visit < self.visits:
            raise IndexError(f"the run has no visit {visit}")
        size = self.batch * WINDOW
        number, step = divmod(visit, size)
        if self.window is None or self.window[0] != number:
            self.window = number, self._arranged(range(number * size, min((number + 1) * size, self.visits)), number)
        return self.window[1][step]

    def _arranged(self, visits: range, number: int) -> list[tuple[int, int]]:
        drawn = [self._drawn(visit) for visit in visits]
        if self.batch == 1:
            return drawn
        drawn.sort(key=lambda place: self.lengths[place[0]][place[1]])  # stable: a pure function of what was drawn
        batches = [drawn[start : start + self.batch] for start in range(0, len(drawn), self.batch)]
        full = len(drawn) // self.batch  # an incomplete batch ends the run
        order = np.random.default_rng((self.seed, len(self.pools), number)).permutation(full)
        return [place for batch in [*order, *range(full, len(batches))] for place in batches[batch]]

    def _drawn(self, visit: int) -> tuple[int, int]:
        number, index = self.pools[self.chosen[visit]].place(int(self.steps[visit]))
        return int(number), int(index)


class _Samples(Dataset[Sample]):
    """Samples of given places, each read when it is asked for."""

    def __init__(self, mixture: DataMixture, places: Sequence[tuple[int, int]] | Order) -> None:
        self.mixture, self.places = mixture, places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, visit: int) -> Sample:
        return self.mixture.open(*self.places[visit])


def _by_place(index: SampleIndex, count: int, visual: Callable[[int, int], int] | None) -> np.ndarray:
    """(count,) int64 lengths of the samples of a file, the picture's tokens included; 0 for those left out."""
    lengths = np.zeros(count, np.int64)
    lengths[index.places] = index.lengths
    if visual is not None:
        sizes, which = np.unique(index.sizes, axis=0, return_inverse=True)  # few, of many pictures
        lengths[index.places] += np.array([visual(*size) for size in sizes.tolist()], np.int64)[which.reshape(-1)]
    return lengths

"""What is in files of samples, and everything in them that is missing or malformed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from perceptio.data.depth_direction import direction, look_inverse
from perceptio.data.fields import SampleError
from perceptio.data.fit import Learner, unfit
from perceptio.data.reading import inspect_sample
from perceptio.data.sample_files import SampleFile
from perceptio.data.schema import Sample
from perceptio.images import upright_size
from perceptio.processes import check_workers, end_with_parent


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    file: str
    line: int
    field: str  # empty: the whole line
    reason: str

    def __str__(self) -> str:
        return str(SampleError(f"{self.file}:{self.line}", self.field, self.reason))


@dataclass
class Report:
    """Counts of what is there, and problems."""

    files: dict[str, int] = field(default_factory=dict)  # lines that hold a sample, good or bad
    turns: Counter[str] = field(default_factory=Counter)  # by task, of good samples, as all that follow
    supervised: Counter[str] = field(default_factory=Counter)  # turns that teach each part of the answer
    masks: int = 0
    depth_maps: Counter[str] = field(default_factory=Counter)  # by kind; "codes" where they are given
    marked: int = 0  # pictures with points
    sizes: Counter[str] = field(default_factory=Counter)  # of pictures, as "640 x 480"
    licences: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    bad: dict[str, list[int]] = field(default_factory=dict)  # indices of bad samples, by file

    @property
    def samples(self) -> int:
        """All of them."""
        return sum(self.files.values())

    @property
    def bad_samples(self) -> int:
        """Those with a problem."""
        return sum(map(len, self.bad.values()))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = {"samples": self.samples, "bad_samples": self.bad_samples, **vars(self)}
        return counts | {"problems": [vars(problem) for problem in self.problems]}

    def to_text(self) -> str:
        """A few lines for people; problems are not among them."""
        parts = [
            f"{self.samples} samples in {len(self.files)} file{'s' if len(self.files) > 1 else ''}",
            f"{sum(self.turns.values())} turns: {_listed(self.turns)}",
            f"parts that are taught, in turns: {_listed(self.supervised)}",
            f"{self.masks} masks",
            f"depth maps: {_listed(self.depth_maps)}",
            f"{self.marked} pictures with marked points",
            f"{len(self.sizes)} sizes of pictures, most often {_listed(self.sizes, 3)}",
            f"licences: {_listed(self.licences)}",
        ]
        return "\n".join(parts)


@dataclass(frozen=True)
class _Finding:
    """What one line gave."""

    file: int
    index: int
    problems: tuple[SampleError, ...]
    sample: Sample | None = None  # None if it is bad
    size: str = ""  # of its picture
    direction: int = 0  # of its metric map, see `depth_direction`


class _Findings(Dataset[_Finding]):
    """All lines of all files, read and inspected when asked for."""

    def __init__(self, files: Sequence[SampleFile], learner: Learner | None) -> None:
        self.files, self.learner = files, learner
        self.starts = np.cumsum([0, *map(len, files)])  # of each file; then all lines

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, place: int) -> _Finding:
        number = int(np.searchsorted(self.starts, place, side="right")) - 1
        index = place - int(self.starts[number])
        file = self.files[number]
        where = file.where(index)
        try:
            sample = file[index]
        except SampleError as error:
            return _Finding(number, index, (error,))
        read, problems = inspect_sample(sample, file.path.parent, where)
        if self.learner is not None:
            found = {problem.field for problem in problems}
            more = unfit(sample, self.learner, where)
            problems += [problem for problem in more if problem.field not in found]
        if read is None or problems:
            return _Finding(number, index, tuple(problems))
        width, height = upright_size(file.path.parent / sample.image)
        lean = direction(read.depth) if sample.depth_kind == "metric" and isinstance(read.depth, np.ndarray) else 0
        return _Finding(number, index, (), sample, f"{width} x {height}", lean)


def check_files(
    paths: Sequence[str | Path], *, learner: Learner | None = None, workers: int = 0, quiet: bool = False
) -> Report:
    """Read every line of some files and all that it points at.

    Args:
        paths: of JSONL or parquet.
        learner: the model that samples must fit; by default their depth codes need only agree in number with the first.
        workers: processes; 0: this one.
        quiet: draw no progress bar.

    Raises:
        DataError: if a file is missing, of another kind, damaged as a whole or empty.
    """
    files = [SampleFile(path) for path in paths]
    report = Report({str(file.path): len(file) for file in files})
    findings = _Findings(files, learner)
    check_workers(workers)
    loader = DataLoader(
        findings, batch_size=None, num_workers=workers, collate_fn=_alone, worker_init_fn=end_with_parent
    )
    counts: set[int] = set()
    directions: list[dict[str, tuple[int, int]]] = [{} for _ in files]  # by map: line of the first sample, direction
    for finding in tqdm(loader, "checking", len(findings), disable=quiet, unit="sample"):
        file, problems, sample = files[finding.file], list(finding.problems), finding.sample
        if sample is not None and sample.codes is not None:
            counts.add(len(sample.codes))
            if len(counts) > 1:
                counts.discard(len(sample.codes))
                reason = f"has {len(sample.codes)} depth codes where earlier samples have {next(iter(counts))}"
                problems.append(SampleError(file.where(finding.index), "codes", reason))
        if problems:
            report.bad.setdefault(str(file.path), []).append(finding.index)
            line = file.line(finding.index)
            report.problems += [Problem(str(file.path), line, each.field, each.reason) for each in problems]
        elif sample is not None:
            _count(report, sample, finding.size)
            if finding.direction:
                at = file.line(finding.index), finding.direction
                directions[finding.file].setdefault(str(sample.depth), at)
    for file, maps in zip(files, directions, strict=True):
        inverse = look_inverse(lean for _, lean in maps.values())
        if inverse is not None:
            line = next(line for line, lean in maps.values() if lean < 0)
            report.problems.append(Problem(str(file.path), line, "depth_kind", inverse))
    return report


def _alone(finding: Any) -> Any:
    """Without batches there is nothing to collate."""
    return finding


def _count(report: Report, sample: Sample, size: str) -> None:
    for turn in sample.turns:
        report.turns[turn.task] += 1
        there = {"seg": bool(turn.masks), "depth": turn.depth, "text": True}
        report.supervised.update(span for span in turn.supervise if there[span])
    report.masks += len(sample.masks)
    report.marked += bool(sample.marks)
    report.sizes[size] += 1
    report.licences[sample.licence or "not stated"] += 1
    if sample.codes is not None:
        report.depth_maps["codes"] += 1
    elif sample.depth is not None:
        report.depth_maps[sample.depth_kind] += 1


def _listed(counter: Counter[str], most: int | None = None) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common(most)) or "none"

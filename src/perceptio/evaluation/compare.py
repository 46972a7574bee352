"""Two evaluations of the same samples: paired differences with intervals, and the samples that changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, Overlap, by_figure
from perceptio.evaluation.report import table

RESAMPLES = 5000
_CHUNK = 500  # resamples held in memory at a time


@dataclass(frozen=True)
class Difference:
    """One figure in two evaluations."""

    name: str
    first: float
    second: float
    low: float  # of the 95 % interval of second - first
    high: float
    count: int  # samples
    first_interval: tuple[float, float]  # 95 %, of each value by itself
    second_interval: tuple[float, float]
    gained: int | None = None  # wrong in the first, right in the second
    lost: int | None = None
    p: float | None = None  # exact McNemar test, two-sided


def compare(first: Sequence[Judged], second: Sequence[Judged], seed: int = 0) -> list[Difference]:
    """Paired differences of every figure that both evaluations have.

    Intervals are percentiles of a bootstrap over pictures: questions about one picture are not independent. Shares get
    McNemar's exact test beside it.

    Raises:
        EvaluationError: if the two did not ask the same samples, or a figure is of another kind.
    """
    keys = [{sample.key for sample in samples} for samples in (first, second)]
    if keys[0] != keys[1]:
        alone = sorted(keys[0] ^ keys[1])
        raise EvaluationError(
            f"the two evaluations are not of the same samples: {len(keys[0] - keys[1])} are in the first alone, "
            f"{len(keys[1] - keys[0])} in the second alone, such as {alone[0]!r}"
        )
    found = [by_figure(samples) for samples in (first, second)]
    differences: list[Difference] = []
    for name in found[0]:
        if name not in found[1]:
            continue
        kinds = [type(outcomes[name][0][1]).__name__ for outcomes in found]
        if kinds[0] != kinds[1]:
            raise EvaluationError(f"{name!r} is a {kinds[0]} in the first evaluation and a {kinds[1]} in the second")
        others = {sample.key: outcome for sample, outcome in found[1][name]}
        pairs = [(sample.image, one, others[sample.key]) for sample, one in found[0][name] if sample.key in others]
        if pairs:
            differences += _differences(name, pairs, np.random.default_rng(seed))
    return differences


def changed(first: Sequence[Judged], second: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    """Samples that went from right to wrong or back, or whose IoU changed by more than a tenth."""
    others = {sample.key: sample for sample in second}
    pairs = [(sample, others[sample.key]) for sample in first if sample.key in others]
    return [pair for pair in pairs if any(_differs(*both) for both in _common(*pair))]


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test: the probability of a split at least as uneven as `gained` against `lost`."""
    number = gained + lost
    if not number:
        return 1.0
    tail = sum(math.comb(number, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**number)


def to_markdown(differences: Sequence[Difference], names: tuple[str, str]) -> str:
    """A table of differences, second less first."""
    rows = [("figure", names[0], names[1], "difference", "95 % interval", "gained / lost", "p", "n")]
    for item in differences:
        rows.append(
            (
                item.name,
                f"{item.first:.3f}",
                f"{item.second:.3f}",
                f"{item.second - item.first:+.3f}",
                f"{item.low:+.3f} to {item.high:+.3f}",
                "" if item.gained is None else f"{item.gained} / {item.lost}",
                "" if item.p is None else f"{item.p:.3g}",
                str(item.count),
            )
        )
    return table(rows)


def _common(one: Judged, two: Judged) -> list[tuple[Outcome, Outcome]]:
    return [(outcome, two.outcomes[name]) for name, outcome in one.outcomes.items() if name in two.outcomes]


def _differs(one: Outcome, two: Outcome) -> bool:
    if isinstance(one, Overlap) and isinstance(two, Overlap):
        return abs(one.iou - two.iou) > 0.1
    return isinstance(one, bool) and one != two


def _differences(name: str, pairs: list[tuple[str, Outcome, Outcome]], rng: np.random.Generator) -> list[Difference]:
    pictures = {picture: number for number, picture in enumerate(dict.fromkeys(picture for picture, _, _ in pairs))}
    of_picture = np.array([pictures[picture] for picture, _, _ in pairs])
    state = rng.bit_generator.state

    def difference(label: str, columns: np.ndarray, ratio: Callable[[np.ndarray], np.ndarray]) -> Difference:
        """`columns` (n, c): what each sample adds up to; `ratio` (r, c) -> (r, 2): both figures of r resamples."""
        rng.bit_generator.state = state  # the same resamples for every figure of these pairs
        sums = np.zeros((len(pictures), columns.shape[1]))
        np.add.at(sums, of_picture, columns)
        values = ratio(sums.sum(0)[None])[0]
        drawn = []
        for start in range(0, RESAMPLES, _CHUNK):
            size = min(_CHUNK, RESAMPLES - start)
            weights = rng.multinomial(len(pictures), np.full(len(pictures), 1 / len(pictures)), size=size)
            both = ratio(weights @ sums)
            drawn.append(np.column_stack([both, both[:, 1] - both[:, 0]]))
        lows, highs = np.nanpercentile(np.concatenate(drawn), [2.5, 97.5], axis=0).tolist()
        first, second, (low, high) = zip(lows, highs, strict=True)
        return Difference(label, float(values[0]), float(values[1]), low, high, len(pairs), first, second)

    def mean_ratio(sums: np.ndarray) -> np.ndarray:
        return sums[:, :2] / sums[:, 2:]

    def union_ratio(sums: np.ndarray) -> np.ndarray:
        return sums[:, 0::2] / np.where(sums[:, 1::2] > 0, sums[:, 1::2], np.nan)

    ones = np.ones((len(pairs), 1))
    if isinstance(pairs[0][1], Overlap):
        overlaps = np.array(
            [
                (a.intersection, a.union, b.intersection, b.union)
                for _, a, b in pairs
                if isinstance(a, Overlap) and isinstance(b, Overlap)
            ],
            float,
        )
        ious = np.array([(a.iou, b.iou) for _, a, b in pairs if isinstance(a, Overlap) and isinstance(b, Overlap)])
        return [
            difference(f"{name} cIoU", overlaps, union_ratio),
            difference(f"{name} gIoU", np.hstack([ious, ones]), mean_ratio),
        ]
    values = np.array(
        [(float(a), float(b)) for _, a, b in pairs if not isinstance(a, Overlap) and not isinstance(b, Overlap)]
    )
    plain = difference(name, np.hstack([values, ones]), mean_ratio)
    if not isinstance(pairs[0][1], bool):
        return [plain]
    gained = int(((values[:, 0] == 0) & (values[:, 1] == 1)).sum())
    lost = int(((values[:, 0] == 1) & (values[:, 1] == 0)).sum())
    return [Difference(**{**vars(plain), "gained": gained, "lost": lost, "p": mcnemar(gained, lost)})]

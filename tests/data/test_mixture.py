"""Mixtures: shares, passes, annealing, batches, and that a resumed run sees what it would have seen."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from perceptio.data.errors import DataError
from perceptio.data.fields import SampleError
from perceptio.data.mixture import WINDOW, Annealing, DataMixture
from perceptio.data.sample_files import write_samples
from perceptio.data.schema import Sample, Turn


def short(number: int, words: int = 1, task: str = "plain") -> Sample:
    return Sample("a.png", (Turn("Where? " * words, "Here.", task),), key=str(number))


@pytest.fixture
def files(home: Path) -> tuple[str, str]:
    """Ten plain samples of rising length, and four of depth generation."""
    one, two = home / "one.jsonl", home / "two.jsonl"
    write_samples(one, [short(number, words=1 + 5 * number) for number in range(10)])
    write_samples(two, [short(number, task="depth") for number in range(4)])
    return str(one), str(two)


def places(mixture: DataMixture, visits: int) -> list[tuple[int, int]]:
    order = mixture.order(visits)
    return [order[visit] for visit in range(len(order))]


def test_a_pass_goes_through_each_file_as_often_as_it_is_repeated(files: tuple[str, str]) -> None:
    mixture = DataMixture({files[0]: 2.0, files[1]: 0.5}, seed=3)
    assert mixture.samples == 22
    passes = [places(mixture, 66)[start : start + 22] for start in (0, 22, 44)]
    for one in passes:
        count = Counter(one)
        assert all(count[0, index] == 2 for index in range(10))
        assert sorted(number for place, number in count.items() if place[0] == 1) == [1, 1]
    assert len({tuple(one) for one in passes}) == 3
    assert {place for one in passes for place in one if place[0] == 1} > set(passes[0]) - {(0, k) for k in range(10)}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("annealing", [None, Annealing()])
def test_what_a_visit_sees_does_not_depend_on_what_was_seen_before(
    files: tuple[str, str], batch: int, annealing: Annealing | None
) -> None:
    plan = {files[0]: 1.5, files[1]: 1.0}
    visits = 3 * WINDOW * batch + 5
    whole = places(DataMixture(plan, 7, batch=batch, annealing=annealing), visits)
    for visit in np.random.default_rng(0).permutation(visits)[:20].tolist():
        resumed = DataMixture(plan, 7, batch=batch, annealing=annealing).order(visits)
        assert [resumed[place] for place in range(visit, visits)] == whole[visit:]
    assert whole != places(DataMixture(plan, 8, batch=batch, annealing=annealing), visits)
    with pytest.raises(IndexError):
        resumed[visits]


def test_samples_come_in_that_order(files: tuple[str, str]) -> None:
    mixture = DataMixture({files[0]: 1.0, files[1]: 1.0}, 0)
    dataset = mixture.training(14)
    samples = [dataset[visit] for visit in range(14)]
    assert all(isinstance(sample.image, np.ndarray) for sample in samples)  # read

    def keys(order: list[tuple[int, int]]) -> list[str]:
        return [f"{files[number]}:{index + 1} ({index})" for number, index in order]

    assert [sample.key for sample in samples] == keys(places(mixture, 14))
    once = mixture.once()
    in_file = [once[visit].key for visit in range(len(once))]  # type: ignore[arg-type]
    assert in_file == keys(sorted(places(mixture, 14)))


def test_batches_hold_samples_of_similar_length_and_nothing_is_lost(files: tuple[str, str]) -> None:
    batch, visits = 4, 4 * WINDOW
    plain = places(DataMixture({files[0]: 1.0}, 0), visits)
    sorted_ = places(DataMixture({files[0]: 1.0}, 0, batch=batch), visits)
    assert Counter(plain) == Counter(sorted_)

    def spread(order: list[tuple[int, int]]) -> float:
        lengths = np.array([index for _, index in order]).reshape(-1, batch)
        return float((lengths.max(1) - lengths.min(1)).mean())

    assert spread(sorted_) < 0.2 < 4 < spread(plain)
    firsts = [index for _, index in sorted_[::batch]]
    assert firsts != sorted(firsts)  # batches are shuffled


def test_visual_tokens_count_as_length(home: Path) -> None:
    from PIL import Image

    Image.new("RGB", (300, 20)).save(home / "wide.png")
    samples = [replace(short(number), image="wide.png" if number % 2 else "a.png") for number in range(20)]
    write_samples(home / "x.jsonl", samples)
    seen: set[tuple[int, int]] = set()

    def visual(width: int, height: int) -> int:
        seen.add((width, height))
        return width

    order = places(DataMixture({str(home / "x.jsonl"): 1.0}, 0, batch=2, visual=visual), 20)
    assert seen == {(48, 32), (300, 20)}
    assert all(order[visit][1] % 2 == order[visit + 1][1] % 2 for visit in range(0, 20, 2))


def test_the_share_of_depth_generation_falls_as_it_is_told(files: tuple[str, str]) -> None:
    visits = 4000
    mixture = DataMixture({files[0]: 1.0, files[1]: 1.0}, 0, annealing=Annealing(over=0.5))
    depth = np.array([number for number, _ in places(mixture, visits)])
    assert depth[:50].mean() > 0.9
    assert depth[900:1100].mean() == pytest.approx(0.55, abs=0.1)
    assert depth[2000:].mean() == pytest.approx(0.1, abs=0.03)
    for number, count in ((0, 10), (1, 4)):  # each kind still goes through all its samples before one comes again
        kind = [index for file, index in places(mixture, visits) if file == number]
        assert all(len(set(kind[k : k + count])) == count for k in range(0, len(kind) - count, count))


def test_shares_follow_a_line() -> None:
    shares = Annealing(0.8, 0.2, over=0.5).share(np.array([0, 0.25, 0.5, 1.0]))
    np.testing.assert_allclose(shares, [0.8, 0.5, 0.2, 0.2])


def test_a_bad_sample_stops_training_when_it_comes_and_is_left_out_when_told(home: Path) -> None:
    path = str(home / "x.jsonl")
    write_samples(path, [short(0), replace(short(1), image="none.png"), short(2)])
    whole = DataMixture({path: 1.0}, 0).training(3)
    with pytest.raises(SampleError, match=r"x\.jsonl:2: image: there is no image file"):
        [whole[visit] for visit in range(3)]
    rest = DataMixture({path: 2.0}, 0, bad={path: [1]})
    assert rest.samples == 4
    assert Counter(places(rest, 4)) == {(0, 0): 2, (0, 2): 2}


@pytest.mark.parametrize(
    ("repeats", "changes", "message"),
    [
        ((), {}, "names no file"),
        ((0.0,), {}, "repeated 0.0 times"),
        ((1e12,), {}, r"one\.jsonl is to be repeated, 10 samples 1e\+12 times, but a pass has at most"),
        ((0.01,), {}, r"one\.jsonl draws none of their 10 samples"),
        ((1.0,), {"batch": 0}, "at least 1 sample"),
        ((1.0,), {"annealing": Annealing()}, "there are 0 and 10 a pass"),
    ],
)
def test_a_mixture_that_cannot_be_is_named(
    files: tuple[str, str], repeats: tuple[float, ...], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        DataMixture(dict(zip(files, repeats, strict=False)), 0, **changes)  # type: ignore[arg-type]


def test_a_line_that_is_not_of_the_form_is_named_at_once(home: Path) -> None:
    path = home / "x.jsonl"
    path.write_text(json.dumps(short(0).to_dict()) + "\n{}\n")
    with pytest.raises(SampleError, match=r"x\.jsonl:2: image: is missing"):
        DataMixture({str(path): 1.0}, 0)

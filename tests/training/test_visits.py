"""What is trained on depends on the number of the visit alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perceptio.data.packing import PackedRow
from perceptio.data.schema import Sample, Turn
from perceptio.data.supervision import Supervision
from perceptio.pipeline import Perceptio
from perceptio.training.visits import Passes, Visits, packer, pass_order


def made(index: int, rng: np.random.Generator) -> tuple[int, int]:
    return index, int(rng.integers(2**40))


def visits(items: int, count: int, seed: int = 0) -> Visits[int, tuple[int, int]]:
    return Visits(Passes(items, count, seed), made, seed)


def test_each_pass_goes_through_every_item_once_in_another_order() -> None:
    order = Passes(items=10, visits=30, seed=0)
    assert len(order) == 30
    passes = [[order[turn * 10 + place] for place in range(10)] for turn in range(3)]
    assert all(sorted(items) == list(range(10)) for items in passes)
    assert passes[0] != passes[1] != passes[2]


def test_a_visit_is_the_same_however_it_is_reached() -> None:
    straight = [visits(7, 20, seed=3)[k] for k in range(20)]
    other = visits(7, 20, seed=3)
    assert [other[k] for k in reversed(range(20))] == straight[::-1]
    assert len(other) == 20


def test_an_item_is_drawn_afresh_in_each_pass_and_for_each_seed() -> None:
    run = visits(items=1, count=5)
    draws = {run[k][1] for k in range(5)} | {visits(1, 5, seed=1)[0][1]}
    assert len(draws) == 6


def test_no_items_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Passes(0, 10, 0)


def test_the_order_of_a_pass_is_known_before_it_starts() -> None:
    order = Passes(items=10, visits=17, seed=4)
    seen = [order[k] for k in range(17)]
    assert seen == [*pass_order(10, 4, 0), *pass_order(10, 4, 1)[:7]]


TURNS = tuple(Turn(f"What is {number}?", f"It is {number}.") for number in range(4))


def packed(tiny: Perceptio, sample: Sample, length: int) -> Visits[Sample, PackedRow]:
    """Eight visits to one sample."""

    class Same(Passes):
        def __getitem__(self, visit: int) -> Sample:  # type: ignore[override]
            return sample

    pack = packer(tiny.model.config, tiny.processor, explicit=0.0, length=length, supervision=Supervision())
    return Visits(Same(1, 8, 0), pack, seed=0)


def test_a_sample_that_is_too_long_loses_other_turns_in_each_pass(tiny: Perceptio) -> None:
    sample = Sample(np.zeros((64, 64, 3), np.uint8), TURNS, "test/0")
    whole = packed(tiny, sample, 0)
    assert {len(whole[visit].branches) for visit in range(8)} == {4}
    short = packed(tiny, sample, len(whole[0].input_ids) - 1)
    rows = [short[visit] for visit in range(8)]
    assert all(row.left_out == 1 for row in rows)
    kept = [frozenset(branch.turn.question for branch in row.branches) for row in rows]
    assert len(set(kept)) > 1
    assert len({row.seed for row in rows}) == 8


def test_a_sample_that_cannot_be_packed_is_named(tiny: Perceptio) -> None:
    sample = Sample(np.zeros((64, 64, 3), np.uint8), (replace(TURNS[0], depth=True),), "people.jsonl:12")
    with pytest.raises(ValueError, match=r"^people\.jsonl:12: "):
        packed(tiny, sample, 0)[0]

"""Samples depend on the number of the visit alone."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.training.visits import Visits, pass_order


def sample(index: int, rng: np.random.Generator) -> tuple[int, int]:
    return index, int(rng.integers(2**40))


def test_each_pass_goes_through_every_item_once_in_another_order() -> None:
    visits = Visits(sample, items=10, visits=30, seed=0)
    passes = [[visits[turn * 10 + place][0] for place in range(10)] for turn in range(3)]
    assert all(sorted(indices) == list(range(10)) for indices in passes)
    assert passes[0] != passes[1] != passes[2]


def test_a_visit_is_the_same_however_it_is_reached() -> None:
    straight = [Visits(sample, 7, 20, seed=3)[k] for k in range(20)]
    visits = Visits(sample, 7, 20, seed=3)
    assert [visits[k] for k in reversed(range(20))] == straight[::-1]


def test_an_item_is_drawn_afresh_in_each_pass_and_for_each_seed() -> None:
    visits = Visits(sample, items=1, visits=5, seed=0)
    draws = {visits[k][1] for k in range(5)} | {Visits(sample, 1, 5, seed=1)[0][1]}
    assert len(draws) == 6


def test_no_items_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        Visits(sample, 0, 10, 0)


def test_the_order_of_a_pass_is_known_before_it_starts() -> None:
    visits = Visits(sample, items=10, visits=17, seed=4)
    seen = [visits[k][0] for k in range(17)]
    assert seen == [*pass_order(10, 4, 0), *pass_order(10, 4, 1)[:7]]

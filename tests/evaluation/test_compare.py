"""Paired comparison: exact tests against enumeration, intervals against their closed form."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from perceptio.evaluation.compare import changed, compare, mcnemar, to_markdown
from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.judged import Judged, Outcome, Overlap


def samples(name: str, outcomes: list[Outcome], per_picture: int = 1) -> list[Judged]:
    return [
        Judged(f"s{number}", f"p{number // per_picture}", {name: outcome}) for number, outcome in enumerate(outcomes)
    ]


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (3, 1), (0, 6), (5, 5)])
def test_mcnemar_is_a_fair_coin_enumerated(gained: int, lost: int) -> None:
    number = gained + lost
    extreme = abs(gained - lost)
    tosses = [abs(2 * sum(toss) - number) >= extreme for toss in product((0, 1), repeat=number)]
    assert mcnemar(gained, lost) == pytest.approx(sum(tosses) / len(tosses))


def test_shares_are_paired() -> None:
    rng = np.random.default_rng(0)
    one = [bool(value) for value in rng.random(400) < 0.5]
    two = [value if rng.random() < 0.8 else bool(rng.random() < 0.7) for value in one]
    (found,) = compare(samples("x", one), samples("x", two))
    assert found.first == pytest.approx(np.mean(one))
    assert found.second == pytest.approx(np.mean(two))
    assert found.gained == sum(b and not a for a, b in zip(one, two, strict=True))
    assert found.lost == sum(a and not b for a, b in zip(one, two, strict=True))
    differences = np.array(two, float) - np.array(one, float)
    half = 1.96 * differences.std() / 20
    assert found.low == pytest.approx(differences.mean() - half, abs=0.01)
    assert found.high == pytest.approx(differences.mean() + half, abs=0.01)


def test_questions_about_one_picture_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    changes = rng.random(40) < 0.5
    one: list[Outcome] = [False] * 400
    two: list[Outcome] = [bool(changes[number // 10]) for number in range(400)]
    (alone,), (together,) = (compare(samples("x", one, size), samples("x", two, size)) for size in (1, 10))
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(10**0.5, rel=0.15)


def test_overlaps_give_ciou_and_giou() -> None:
    one: list[Outcome] = [Overlap(5, 10), Overlap(90, 100), Overlap(0, 20)]
    two: list[Outcome] = [Overlap(10, 10), Overlap(90, 100), Overlap(0, 0)]
    ciou, giou = compare(samples("x", one), samples("x", two))
    assert (ciou.name, ciou.first, ciou.second) == ("x cIoU", 95 / 130, 100 / 110)
    assert giou.first == pytest.approx((0.5 + 0.9 + 0) / 3)
    assert giou.second == pytest.approx((1 + 0.9 + 1) / 3)
    assert ciou.low <= ciou.second - ciou.first <= ciou.high


def test_a_figure_against_itself_differs_by_nothing() -> None:
    rng = np.random.default_rng(0)
    same: list[Outcome] = [float(value) for value in rng.random(30)]
    (found,) = compare(samples("x", same), samples("x", same))
    assert (found.low, found.high, found.p) == (0, 0, None)
    assert changed(samples("x", same), samples("x", same)) == []


def test_changed_samples_are_found() -> None:
    one = [*samples("x", [True, True, False]), Judged("m", "p", {"y": Overlap(5, 10)})]
    two = [*samples("x", [True, False, False]), Judged("m", "p", {"y": Overlap(7, 10)})]
    assert [before.key for before, _ in changed(one, two)] == ["s1", "m"]


def test_evaluations_of_other_samples_are_not_compared() -> None:
    with pytest.raises(EvaluationError, match="1 are in the first alone, 0 in the second alone, such as 's2'"):
        compare(samples("x", [True] * 3), samples("x", [True] * 2))


def test_the_table_shows_both_and_the_difference() -> None:
    text = to_markdown(compare(samples("x", [True, False]), samples("x", [True, True])), ("before", "after"))
    head, _, row = text.split("\n")
    assert [cell.strip() for cell in head.split("|")[1:4]] == ["figure", "before", "after"]
    assert [cell.strip() for cell in row.split("|")[1:5]] == ["x", "0.500", "1.000", "+0.500"]
    assert "1 / 0" in row


def test_figures_of_several_kinds_are_not_compared() -> None:
    with pytest.raises(EvaluationError, match="'x' is a bool in the first evaluation and a float in the second"):
        compare(samples("x", [True, False]), samples("x", [0.5, 0.5]))

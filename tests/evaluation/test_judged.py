"""Samples survive a file, and add up to the figures that their outcomes call for."""

from __future__ import annotations

import math

import pytest

from perceptio.evaluation.judged import Judged, Outcome, Overlap, figures


def sample(key: str, **outcomes: Outcome) -> Judged:
    return Judged(key, "picture", dict(outcomes), {"answer": "Es ist größer.\nJa"})


def test_a_line_holds_a_whole_sample() -> None:
    one = sample("a", right=True, error=0.25, mask=Overlap(3, 8))
    line = one.to_json()
    assert "\n" not in line
    assert Judged.from_json(line) == one
    assert isinstance(Judged.from_json(line).outcomes["right"], bool)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sample("a", error=math.nan).to_json()


def test_the_kind_of_outcome_decides_the_figure() -> None:
    samples = [
        sample("a", right=True, error=0.5, mask=Overlap(1, 2)),
        sample("b", right=False, error=1.0, mask=Overlap(0, 6)),
        sample("c", right=True, mask=Overlap(0, 0)),
        sample("d", right=True),
    ]
    found = {figure.name: figure for figure in figures(samples)}
    assert list(found) == ["right", "error", "mask cIoU", "mask gIoU"]
    assert (found["right"].value, found["right"].count) == (0.75, 4)
    assert found["right"].error == pytest.approx(math.sqrt(0.75 * 0.25 / 4))
    assert (found["error"].value, found["error"].count, found["error"].percent) == (0.75, 2, False)
    assert (found["mask cIoU"].value, found["mask cIoU"].count) == (1 / 8, 3)
    assert found["mask gIoU"].value == pytest.approx((0.5 + 0 + 1) / 3)


def test_named_figures_come_first_and_are_there_without_samples() -> None:
    found = figures([sample("a", right=True, other=False)], ["none", "other"])
    assert [figure.name for figure in found] == ["none", "other", "right"]
    assert math.isnan(found[0].value)
    assert found[0].count == 0

"""What of a sample is taught: the spans that its turns write, and the weights of tokens."""

from __future__ import annotations

from dataclasses import astuple, replace

import numpy as np
import pytest

from perceptio.data.schema import Turn
from perceptio.data.supervision import Spans, Supervision, TokenWeights, choose_spans
from perceptio.tokens import Switch

EVERYTHING = Turn("Where?", "Of <p>a</p> and <p>b</p>.", "nearer", masks=(2, 1), depth=True)
NOTHING = Turn("Where?", "There.", "plain")


def test_by_default_all_is_taught_and_every_token_weighs_one() -> None:
    supervision = Supervision()
    assert set(astuple(supervision.weights)) == {1.0}
    assert supervision.weights == TokenWeights()
    spans = Spans(Switch.AUTO, Switch.ON, (2, 1), True)
    assert supervision.restrict(spans) == spans


@pytest.mark.parametrize(("seg", "depth"), [(False, True), (True, False), (False, False)])
def test_what_is_not_taught_is_ruled_out(seg: bool, depth: bool) -> None:
    found = Supervision(seg, depth).restrict(Spans(Switch.ON, Switch.AUTO, (2, 1), True))
    assert (found.seg, found.masks) == ((Switch.ON, (2, 1)) if seg else (Switch.OFF, ()))
    assert (found.depth, found.has_depth) == ((Switch.AUTO, True) if depth else (Switch.OFF, False))


def test_switches_change_the_spans_they_name() -> None:
    rng = np.random.default_rng(0)
    turn = Turn("?", "Of <p>x</p> and <p>y</p>, x is nearer.", "nearer", masks=(1, 2), depth=True)
    seen = set()
    for _ in range(200):
        spans = choose_spans(turn, rng, explicit=1.0)
        seen.add((spans.seg, spans.depth))
        assert (spans.masks == ()) == (spans.seg is Switch.OFF)
        assert spans.has_depth == (spans.depth is not Switch.OFF)
    assert len(seen) == 9


def test_a_span_is_never_asked_for_where_the_turn_has_none() -> None:
    turn = Turn("Is there a cone?", "No.", "existence", target="no")
    rng = np.random.default_rng(0)
    for _ in range(100):
        spans = choose_spans(turn, rng, explicit=1.0)
        assert spans.seg is not Switch.ON
        assert spans.depth is not Switch.ON


def test_a_span_that_is_neither_there_nor_supervised_is_ruled_out() -> None:
    rng = np.random.default_rng(0)
    for explicit in (0.0, 1.0):
        for _ in range(30):
            spans = choose_spans(replace(NOTHING, supervise=("text",)), rng, explicit)
            assert (spans.seg, spans.depth) == (Switch.OFF, Switch.OFF)
    assert choose_spans(NOTHING, rng, 0.0).seg is Switch.AUTO  # its absence is taught
    there = choose_spans(replace(EVERYTHING, supervise=("text",)), rng, 0.0)
    assert (there.seg, there.depth, there.has_depth) == (Switch.AUTO, Switch.AUTO, True)

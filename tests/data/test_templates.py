"""Templates: many ways to ask, and how they are filled."""

from __future__ import annotations

import numpy as np
import pytest

from perceptio.data import templates


@pytest.mark.parametrize(("name", "least"), [("SEGMENT", 6), ("CAPTION", 5), ("DEPTH", 8)])
def test_there_are_many_ways_to_ask(name: str, least: int) -> None:
    asking = getattr(templates, name)
    assert len(set(asking)) == len(asking) >= least
    assert all(("{x}" in template) == (name == "SEGMENT") for template in asking)


def test_capital_passes_the_phrase_mark() -> None:
    assert templates.capital("<p>the cube</p> is red.") == "<p>The cube</p> is red."
    assert templates.capital("how many?") == "How many?"
    assert templates.capital("") == ""


def test_every_template_is_picked_and_filled() -> None:
    rng = np.random.default_rng(0)
    asked = {templates.pick(templates.SEGMENT, rng, x="the dog") for _ in range(200)}
    assert asked == {template.format(x="the dog") for template in templates.SEGMENT}
    assert templates.pick(("{x} is it.",), rng, x="the dog") == "The dog is it."


@pytest.mark.parametrize(("count", "answers"), [(0, templates.NONE), (1, templates.ONE), (3, templates.SEVERAL)])
def test_the_answer_goes_by_how_many_there_are(count: int, answers: tuple[str, ...]) -> None:
    for seed in range(8):
        question, answer = templates.segment("the dogs", count, np.random.default_rng(seed))
        assert "the dogs" in question
        assert answer in [template.format(x="the dogs") for template in answers]

"""Words up to a stop, piece by piece, against the whole text cut at it."""

from __future__ import annotations

import random

import pytest

from perceptio.decoding.stop_text import StopText


@pytest.mark.parametrize("seed", range(40))
def test_pieces_together_are_the_text_before_the_first_stop(seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choices("ab", k=30))
    stops = ["".join(rng.choices("ab", k=rng.randint(1, 5))) for _ in range(rng.randint(0, 3))]
    expected = text[: min([text.find(stop) for stop in stops if stop in text], default=len(text))]
    stop, said, place = StopText(stops), "", 0
    while place < len(text):
        count = rng.randint(0, 4)
        said += stop.push(text[place : place + count])
        place += count
        assert expected.startswith(said)
        assert stop.found == any(each in text[:place] for each in stops)
    assert stop.cut(text) == expected
    assert len(expected) - len(said) < max(map(len, stops), default=1)

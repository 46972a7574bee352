"""Rows of different lengths that come, go and step back, against transformers' own cache for each row alone."""

from __future__ import annotations

import pytest
import torch
from transformers import DynamicCache

from perceptio.decoding.cache import RowCache
from perceptio.decoding.reading import feed
from perceptio.pipeline import Perceptio


class Alone:
    """Rows read one by one, each with a cache of transformers."""

    def __init__(self, tiny: Perceptio, rows: int) -> None:
        self.language_model = tiny.model.vlm.model.language_model
        self.tokens: list[list[torch.Tensor]] = [[] for _ in range(rows)]

    @torch.no_grad()
    def states(self, row: int, count: int) -> torch.Tensor:
        """(count, D) at the last tokens of a row."""
        embeddings = torch.cat(self.tokens[row])[None]
        cache = DynamicCache(config=self.language_model.config)
        output = self.language_model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True)
        return output.last_hidden_state[0, -count:]


@torch.no_grad()
def read(tiny: Perceptio, cache: RowCache, alone: Alone, counts: dict[int, int], kept: dict[int, int]) -> None:
    """Feed random tokens to some rows, keep some of each, and compare."""
    rows = cache.in_front(list(counts))
    longest = max(counts.values())
    embeddings = torch.randn(len(rows), longest, 64)
    positions = torch.stack([torch.arange(cache.lengths[row], cache.lengths[row] + longest) for row in rows])
    states = feed(tiny.model, cache, rows, embeddings, positions)
    for place, row in enumerate(rows):
        alone.tokens[row].append(embeddings[place, : counts[row]])
        expected = alone.states(row, counts[row])
        torch.testing.assert_close(states[place, : counts[row]], expected, rtol=1e-4, atol=1e-4)
        alone.tokens[row][-1] = embeddings[place, : kept[row]]
        cache.lengths[row] += kept[row]


def test_each_row_reads_as_if_it_were_alone(tiny: Perceptio) -> None:
    torch.manual_seed(0)
    cache, alone = RowCache(2, 4), Alone(tiny, 4)
    read(tiny, cache, alone, {0: 3, 1: 7, 2: 1, 3: 5}, {0: 3, 1: 7, 2: 1, 3: 5})
    read(tiny, cache, alone, {3: 2, 1: 4}, {3: 1, 1: 4})  # row 3 steps back
    read(tiny, cache, alone, {2: 1}, {2: 1})
    read(tiny, cache, alone, {2: 150, 0: 2}, {2: 140, 0: 2})  # it grows
    read(tiny, cache, alone, {0: 1, 1: 1, 2: 1, 3: 1}, {0: 1, 1: 1, 2: 1, 3: 1})
    assert cache.lengths == [6, 12, 143, 7]


def test_rows_in_front_are_named_in_the_order_they_stand_there(tiny: Perceptio) -> None:
    cache, alone = RowCache(2, 5), Alone(tiny, 5)
    read(tiny, cache, alone, dict.fromkeys(range(5), 2), dict.fromkeys(range(5), 2))
    for rows in ([4], [0, 4], [1, 2, 3], [3, 1, 0, 2, 4]):
        assert set(cache.in_front(rows)) == set(rows)
        read(tiny, cache, alone, dict.fromkeys(rows, 1), dict.fromkeys(rows, 1))


@torch.no_grad()
def test_copies_go_on_by_themselves(tiny: Perceptio) -> None:
    torch.manual_seed(1)
    cache, alone = RowCache(2, 2), Alone(tiny, 2)
    read(tiny, cache, alone, {0: 3, 1: 5}, {0: 3, 1: 5})
    cache.in_front([1])  # where a row is stored does not matter
    copy = cache.copies([1, 0, 1])
    assert copy.lengths == [5, 3, 5]
    others = Alone(tiny, 3)
    others.tokens = [list(alone.tokens[row]) for row in (1, 0, 1)]
    read(tiny, copy, others, {0: 2, 1: 2, 2: 2}, {0: 2, 1: 2, 2: 2})
    read(tiny, cache, alone, {0: 1, 1: 1}, {0: 1, 1: 1})
    assert cache.lengths == [4, 6]


def test_a_spread_lets_new_tokens_see_each_other() -> None:
    cache = RowCache(1, 2)
    cache.lengths = [1, 0]
    mask = cache.begin([0, 1], 3, spread=[0, 2, 2])
    assert mask.shape == (2, 1, 3, 4)
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert mask[1, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]


@pytest.mark.parametrize("rows", [[0], [1]])
def test_what_stands_behind_a_row_is_never_seen(rows: list[int]) -> None:
    cache = RowCache(1, 2)
    cache.lengths = [2, 5]
    assert cache.begin(rows, 1).sum() == cache.lengths[rows[0]] + 1

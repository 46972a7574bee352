"""Processes that share a run: each piece is dealt once, all meet, and one that is left alone says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from torch.distributed import DistNetworkError, HashStore, Store

from perceptio.evaluation.errors import EvaluationError
from perceptio.evaluation.ranks import Ranks, join_ranks


def test_each_piece_is_dealt_once_and_everybody_hears_the_first() -> None:
    store, work = HashStore(), list(range(100))

    def take(number: int) -> tuple[Any, list[tuple[int, int]], list[tuple[int, int]]]:
        ranks = Ranks(store, number, 3)
        heard = ranks.share({"done": [number]})
        first = list(ranks.deal(work))
        ranks.wait()
        return heard, first, list(ranks.deal(work[:5]))

    with ThreadPoolExecutor(3) as pool:
        taken = list(pool.map(take, range(3)))
    assert [heard for heard, *_ in taken] == [{"done": [0]}] * 3
    assert sorted(piece for _, first, _ in taken for piece in first) == [(number, number) for number in work]
    assert sorted(piece for *_, second in taken for piece in second) == [(number, number) for number in range(5)]


def test_alone_nobody_is_waited_for() -> None:
    ranks = Ranks()
    ranks.wait()
    assert (ranks.is_first, ranks.share(3), list(ranks.deal("ab"))) == (True, 3, [("a", 0), ("b", 1)])


class Closed(Store):
    """A store whose host has died."""

    def add(self, key: str, amount: int) -> int:
        raise DistNetworkError("connection closed")


def test_a_process_that_is_left_alone_says_so() -> None:
    ranks = Ranks(Closed(), 1, 2)
    with pytest.raises(EvaluationError, match=r"lost each other \(connection closed\)"):
        list(ranks.deal([1]))
    with pytest.raises(EvaluationError, match="lost each other"):
        ranks.wait()


def test_an_environment_that_names_no_meeting_place_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(EvaluationError, match="RANK"):
        join_ranks()

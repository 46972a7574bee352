"""Processes that share one run: started by torchrun, they meet through its store and exchange nothing but numbers.

Answers never pass through it: they lie in files. So no collective library is needed, on a CPU or a GPU.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch.distributed import DistError, HashStore, Store, rendezvous

from perceptio.evaluation.errors import EvaluationError

_PATIENCE = timedelta(hours=6)  # of processes that wait for the slowest
_SHOWN = 200  # letters of a library's reason

_T = TypeVar("_T")


class Ranks:
    """One of the processes of a run; each of them calls the same methods in the same order.

    Args:
        store: that all of them reach; by default the run has one process.
        number: of this process, from 0.
        count: of processes.
    """

    def __init__(self, store: Store | None = None, number: int = 0, count: int = 1) -> None:
        self._store, self.number, self.count = store or HashStore(), number, count
        self._uses = 0  # of the store: each has keys of its own

    @property
    def is_first(self) -> bool:
        """Whether this process writes what there is one of: the report, the bar, the lock."""
        return self.number == 0

    def wait(self) -> None:
        """Return when all processes have come here."""
        name = self._name()
        with _together():
            if self._store.add(name, 1) == self.count:
                self._store.set(f"{name}/all", "")
            self._store.wait([f"{name}/all"], _PATIENCE)

    def share(self, value: Any = None) -> Any:
        """The first process's value, which JSON must be able to hold; what others give is not looked at."""
        name = self._name()
        with _together():
            if self.is_first:
                self._store.set(name, json.dumps(value))
            self._store.wait([name], _PATIENCE)
            return json.loads(self._store.get(name))

    def deal(self, work: Sequence[_T]) -> Iterator[tuple[_T, int]]:
        """What of some work is left to this process; whoever is free takes the next piece.

        Args:
            work: the same for all processes.

        Yields:
            A piece, and how many have been dealt before it.
        """
        name = self._name()
        while True:
            with _together():
                place = self._store.add(name, 1) - 1
            if place >= len(work):
                return
            yield work[place], place

    def _name(self) -> str:
        self._uses += 1
        return f"perceptio/{self._uses}"


def join_ranks() -> Ranks:
    """The processes that torchrun has started; one where it has not.

    Raises:
        EvaluationError: if they do not find each other.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return Ranks()
    with _together():
        return Ranks(*next(rendezvous("env://", timeout=_PATIENCE)))


@contextmanager
def _together() -> Iterator[None]:
    """Say in one sentence that the others are gone, or never came."""
    try:
        yield
    except (DistError, ValueError) as error:  # of the environment it says what is missing or wrong by a ValueError
        reason = " ".join(str(error).split())[:_SHOWN]
        raise EvaluationError(
            f"the processes that share the run have lost each other ({reason}): start it again with torchrun, and it "
            "goes on"
        ) from error


def own_device() -> str | None:
    """The GPU of this process, where a launcher has started one for each; None leaves the choice to the loader."""
    if not torch.cuda.is_available() or "LOCAL_RANK" not in os.environ:
        return None
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"

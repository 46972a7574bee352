"""What the settings of a recipe may be, said by their types: `steps: Steps = 1000`. `recipe.py` checks them at reading.

The bounds are wide: they stop slips of the pen (a rate of 1e12, minus one worker), which would end in a traceback, in
a machine without memory or in a model of NaN, hours later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Protocol


class Limit(Protocol):
    """A condition on a value of the right type; its text goes on after "a whole number", "text" and so on."""

    def allows(self, value: Any) -> bool:
        """Whether a value fulfils it."""


@dataclass(frozen=True)
class Range:
    """Finite numbers between two bounds, which are allowed too unless told otherwise."""

    low: float
    high: float
    above: bool = False  # more than `low`
    below: bool = False  # less than `high`

    def allows(self, value: float) -> bool:
        """Whether a number lies between the bounds; NaN does not."""
        enough = value > self.low if self.above else value >= self.low
        return enough and (value < self.high if self.below else value <= self.high)

    def __str__(self) -> str:
        low = f"above {self.low:,}" if self.above else f"from {self.low:,}"
        return f"{low} {'to below' if self.below else 'to'} {self.high:,}"


@dataclass(frozen=True)
class FolderName:
    """Text that can name a folder of results."""

    def allows(self, value: str) -> bool:
        """Whether no letter of it has a meaning in a path, or is not to be seen."""
        return re.fullmatch(r"[^/\\\x00-\x1f\x7f]{1,100}", value) is not None and value.strip(". ") != ""

    def __str__(self) -> str:
        return "that can name a folder"


@dataclass(frozen=True)
class NotEmpty:
    """At least one entry."""

    def allows(self, value: Any) -> bool:
        """Whether there is one."""
        return len(value) > 0

    def __str__(self) -> str:
        return "with at least one entry"


WEIGHT = Range(0, 1e6)  # of a number that says nothing else: the weights of losses, tokens and tasks

Batch = Annotated[int, Range(1, 4096)]
Every = Annotated[int, Range(1, 100_000_000)]  # steps between two saves and the like
Name = Annotated[str, FolderName()]
Rate = Annotated[float, Range(0, 1, above=True)]  # of learning
RateOrNone = Annotated[float, Range(0, 1)]
Scale = Annotated[float, Range(0, 1000)]  # of a part's learning rate
Seed = Annotated[int, Range(0, 2**32 - 1)]
Share = Annotated[float, Range(0, 1)]
ShareBelowAll = Annotated[float, Range(0, 1, below=True)]
Steps = Annotated[int, Range(1, 100_000_000)]
StepsOrNone = Annotated[int, Range(0, 100_000_000)]
Tokens = Annotated[int, Range(0, 1_000_000)]  # of a sequence; 0: no limit
Workers = Annotated[int, Range(0, 256)]

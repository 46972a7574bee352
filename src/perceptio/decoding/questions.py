"""Questions that are answered together, and how long each stage of that takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from perceptio.decoding.options import DecodingOptions
from perceptio.decoding.perceiving import Perceived


@dataclass
class Stopwatch:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage, and to no stage around it."""
        start, inside = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - inside
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start - inside


@dataclass
class Questions:
    """Questions that are being answered together."""

    perceived: Perceived
    picture_index: Sequence[int]  # of each question
    ids: Sequence[list[int]]  # of each, after its picture
    options: DecodingOptions
    watch: Stopwatch = field(default_factory=Stopwatch)

    def size(self, row: int) -> tuple[int, int]:
        """(width, height) px of a question's picture."""
        return self.perceived.pictures.images[self.picture_index[row]].size

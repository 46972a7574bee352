"""A query on its way: who waits for it, since when, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from perceptio.decoding.options import DecodingOptions
from perceptio.segmentation.prompted_objects import PromptedObjects
from perceptio.serving.engine.queries import EngineEvent, Finished, Query

Deliver = Callable[[EngineEvent | Exception], None]
Ending = Literal["failed", "cancelled", "deadline", "closing"]


@dataclass(eq=False)
class Ticket:
    """A query that was accepted."""

    query: Query
    ids: list[int] | None  # of its question, after the picture; None where there is none
    options: DecodingOptions | None  # of its question
    objects: PromptedObjects | None  # clicked and boxed
    deadline_s: float
    deliver: Deliver  # takes each event, and an error in place of the last
    submitted: float = field(default_factory=time.monotonic)
    began: float = 0.0  # when its batch did
    told: bool = False  # something was delivered
    answered: Finished | None = None
    ending: Ending | None = None  # where it ends unanswered

    @property
    def seconds_left(self) -> float:
        """Until its deadline."""
        return self.submitted + self.deadline_s - time.monotonic()

    @property
    def gone(self) -> bool:
        """Whether there is nothing more to be done for it."""
        return self.answered is not None or self.ending is not None or self.seconds_left <= 0

    def send(self, event: EngineEvent) -> None:
        """Deliver an event, unless nobody waits any longer."""
        if self.ending is None:
            self.told = True
            if isinstance(event, Finished):
                self.answered = event
            self.deliver(event)

    def end(self, ending: Ending, error: Exception | None = None) -> None:
        """Let it end unanswered, if it has not ended yet; an error is delivered as the last event."""
        if self.answered is None and self.ending is None:
            self.ending = ending
            if error is not None:
                self.deliver(error)

"""What an engine tells whoever counts."""

from __future__ import annotations

from perceptio.serving.engine.queries import Finished
from perceptio.serving.engine.tickets import Ending


class Observer:
    """Hears of an engine's work and ignores it; override what you count. Called from the engine's threads."""

    def batch(self, size: int) -> None:
        """A batch of so many queries begins."""

    def finished(self, finished: Finished) -> None:
        """A query was answered."""

    def refused(self) -> None:
        """A query was refused: the queue is full."""

    def given_up(self, ending: Ending) -> None:
        """A query ended without its answer."""

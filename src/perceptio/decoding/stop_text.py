"""Words that end before given texts, as they come."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Passes words on up to the first of some texts; what may be the beginning of one is held back.

    Args:
        stops: none of them empty.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = tuple(stops)
        self.found = False
        self._held = ""

    def push(self, piece: str) -> str:
        """What is certain to stand before the first stop, after another piece."""
        if self.found or not self.stops:
            return "" if self.found else piece
        text = self._held + piece
        before = self.cut(text)
        self.found = before != text
        if self.found:
            return before
        length = max(_shared(text, stop) for stop in self.stops)
        self._held = text[len(text) - length :]
        return text[: len(text) - length]

    def cut(self, text: str) -> str:
        """A whole text up to the first stop in it."""
        return text[: min((place for stop in self.stops if (place := text.find(stop)) >= 0), default=len(text))]


def _shared(text: str, stop: str) -> int:
    """How many of the last letters of a text are the first of a stop."""
    return next(size for size in range(min(len(stop) - 1, len(text)), -1, -1) if text.endswith(stop[:size]))

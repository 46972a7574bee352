"""How much an engine takes on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from perceptio.images import MAX_PIXELS
from perceptio.pretrained.fields import shown


@dataclass(frozen=True)
class EngineSettings:
    """Limits of an engine; each is a positive number."""

    batch_size: int = 16  # questions answered together, at most
    queue_size: int = 64  # queries that may wait; a further one is refused
    deadline_s: float = 60.0  # from a query's submission to its last event
    pictures: int = 64  # kept; the one that was not used for longest goes first
    picture_seconds: float = 900.0  # a picture is kept since its last use
    max_turns: int = 32  # earlier questions that a query may bring along
    max_prompt_chars: int = 8000  # of a query's question and earlier turns together
    max_pixels: int = 25_000_000  # of a picture, read from its header before it is decoded

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            whole = isinstance(each.default, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise TypeError(f"{each.name} must be a {'whole ' if whole else ''}number, not {shown(value)}")
            if not 0 < value < float("inf"):
                raise ValueError(f"{each.name} must be above 0, not {value}")
        if self.max_pixels > MAX_PIXELS:
            raise ValueError(f"max_pixels can be at most {MAX_PIXELS}, not {self.max_pixels}")

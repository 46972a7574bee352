"""What training samples ask."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mixture:
    """Weights of the tasks, relative to each other; a world leaves out those that its lexicon does not know."""

    marked: float = 0.5  # share of pictures with marked points; their one depth span is the marked question's
    referring: float = 3.0
    naming: float = 1.0
    plural: float = 1.0
    absent: float = 0.7
    caption: float = 0.5
    inventory: float = 2.5
    depth: float = 0.6
    reading: float = 1.0
    nearer: float = 1.2
    counting: float = 1.8
    attribute: float = 1.5
    existence: float = 1.0
    comparison: float = 1.5
    more: float = 0.3
    choice: float = 1.5
    beside: float = 1.5
    place: float = 0.5

"""An answer whose `[SEG]` tokens stand in its text, where it speaks of their objects, as Sa2VA (2501.04001) is taught:
"<p>the dog</p> [SEG] beside <p>a tree</p> [SEG]", "It is [SEG]."
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from perceptio.tokens import PHRASE_END, SEG

_CLOSE = re.compile(r"[.!?]?\s*$")  # of a sentence


@dataclass(frozen=True)
class InterleavedText:
    """An answer with the names of its `[SEG]` tokens written in."""

    text: str
    inserted: tuple[tuple[int, int], ...]  # begin and end in `text` of each piece that was written in

    def place(self, position: int) -> int:
        """Where a position in `text` was before; inside a piece, where it was written in."""
        return position - sum(max(0, min(position, end) - begin) for begin, end in self.inserted)


def interleave(answer: str, segments: int) -> InterleavedText:
    """Write `[SEG]` after the phrase that names its object.

    With one phrase all of them follow it; where their numbers differ otherwise, they stand at the end of the text,
    before the full stop.
    """
    ends = [found.end() for found in re.finditer(re.escape(PHRASE_END), answer)]
    if len(ends) != segments:
        close = _CLOSE.search(answer)
        assert close is not None
        ends = (ends if len(ends) == 1 else [close.start()]) * segments
    text = answer
    inserted: list[tuple[int, int]] = []
    for end in ends:
        begin = end + sum(last - first for first, last in inserted)
        piece = f" {SEG}" if begin else SEG
        text = text[:begin] + piece + text[begin:]
        inserted.append((begin, begin + len(piece)))
    return InterleavedText(text, tuple(inserted))

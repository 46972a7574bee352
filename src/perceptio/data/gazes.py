"""Which words of an answer speak of a marked point, and where in the picture that point is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perceptio.data.record import Record, Turn

MARKS = "marks"  # tasks about marked points begin so


def spoken_of(record: Record, turn: Turn, offsets: Sequence[tuple[int, int]], grid: int) -> Iterator[tuple[int, int]]:
    """Words about marked points: from a point's letter to the end of its clause.

    Args:
        record: with its marks.
        turn: of the record.
        offsets: begin and end in `turn.answer` of each token.
        grid: visual tokens along a side of the picture.

    Yields:
        the index of a token and that of the visual token which shows the point; nothing of turns that are not about
        marks, where a letter may be a word, or whose words are not taught.
    """
    if not turn.task.startswith(MARKS) or "text" not in turn.supervise:
        return
    height, width = record.image.shape[:2]
    for mark in record.marks:
        row, column = (min(place * grid // side, grid - 1) for place, side in ((mark.y, height), (mark.x, width)))
        for clause in re.finditer(rf"(?<!\w){re.escape(mark.letter)}(?!\w)[^;.]*", turn.answer):
            for index, (begin, end) in enumerate(offsets):
                if begin < clause.end() and end > clause.start():
                    yield index, row * grid + column

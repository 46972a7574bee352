"""Where in the picture the words of an answer about marked points look, and that a list of them looks for no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perceptio.data.record import Mark, Record, Turn

MARKS = "marks"  # tasks about marked points begin so
NOWHERE = -1  # in place of a visual token: there is nothing more to look at


def looked_at(record: Record, turn: Turn, offsets: Sequence[tuple[int, int]], grid: int) -> Iterator[tuple[int, int]]:
    """Words about marked points look at them: from a point's letter to the end of its clause.

    The last word of a clause in a list looks for the next point, since it decides whether the list goes on: at the
    point that the next clause is about, or nowhere.

    Args:
        record: with its marks.
        turn: of the record.
        offsets: begin and end in `turn.answer` of each token.
        grid: visual tokens along a side of the picture.

    Yields:
        the index of a token and that of the visual token which shows the point, or `NOWHERE`; nothing of turns that
        are not about marks, where a letter may be a word, or whose words are not taught.
    """
    if not turn.task.startswith(MARKS) or "text" not in turn.supervise:
        return
    clauses = sorted(_clauses(record, turn.answer, grid))
    for number, (begin, end, cell) in enumerate(clauses):
        rest = turn.answer[end:]
        if rest.startswith(";") and number + 1 < len(clauses):
            ahead = clauses[number + 1][2]
        else:
            ahead = NOWHERE if rest.strip(" .") else cell
        for index, (first, last) in enumerate(offsets):
            if last > begin and first < end:
                yield index, ahead if last >= end else cell


def _clauses(record: Record, answer: str, grid: int) -> Iterator[tuple[int, int, int]]:
    """Begin and end of each clause about a marked point, and the visual token that shows the point."""
    for mark in record.marks:
        cell = _cell(mark, record, grid)
        for clause in re.finditer(rf"(?<!\w){re.escape(mark.letter)}(?!\w)[^;.]*", answer):
            yield *clause.span(), cell


def _cell(mark: Mark, record: Record, grid: int) -> int:
    height, width = record.image.shape[:2]
    row, column = (min(place * grid // side, grid - 1) for place, side in ((mark.y, height), (mark.x, width)))
    return row * grid + column

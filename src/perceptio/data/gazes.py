"""What the words of an answer look at: the marked point they are about, or what is told of the object that they name.

Words about marked points look at the picture, and a list of them at its end for no more. Words about an object look at
the input after its `[SEG]`, which carries what is there and where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perceptio.data.record import Mark, Record, Turn

MARKS = "marks"  # tasks about marked points begin so
NOWHERE = -1  # in place of a visual token: there is nothing more to look at

Offsets = Sequence[tuple[int, int]]  # begin and end in an answer of each token
# a phrase and what is said of it: up to the next phrase or the end of the clause; the comma of "3,4" ends none
_SAID_OF_PHRASE = re.compile(r"<p>.*?</p>(?:[^<;,.]|(?<=\d),(?=\d))*")


def marks_looked_at(record: Record, turn: Turn, offsets: Offsets, grid: int) -> Iterator[tuple[int, int]]:
    """Words about marked points look at them: from a point's letter to the end of its clause.

    The last word of a clause in a list looks for the next point, since it decides whether the list goes on: at the
    point that the next clause is about, or nowhere.

    Args:
        record: with its marks.
        turn: of the record.
        offsets: of `turn.answer`.
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
            listed = turn.answer[:begin].rstrip().endswith(";")
            ahead = NOWHERE if listed or rest.strip(" .") else cell
        for index, (first, last) in enumerate(offsets):
            if last > begin and first < end:
                yield index, ahead if last >= end else cell


def objects_looked_at(turn: Turn, offsets: Offsets, number: int) -> Iterator[tuple[int, int]]:
    """Words about an object look at what its `[SEG]` told: from its phrase to the end of the clause.

    Args:
        turn: whose answer has one phrase for each `[SEG]`; with others it is not known what speaks of which.
        offsets: of `turn.answer`.
        number: of `[SEG]` tokens that the answer has.

    Yields:
        the index of a token and that of the `[SEG]`; nothing of words that are not taught.
    """
    parts = list(_SAID_OF_PHRASE.finditer(turn.answer))
    if len(parts) != number or "text" not in turn.supervise:
        return
    for which, part in enumerate(parts):
        for index, (begin, end) in enumerate(offsets):
            if end > part.start() and begin < part.end():
                yield index, which


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
